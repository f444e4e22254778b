package embedded

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

const errSharingViolation = syscall.Errno(32)

// lockStore opens a file that nobody else can open until it is closed, also by
// the death of the process.
func lockStore(file string) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(file)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errSharingViolation) {
		return nil, errLocked
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the folder must be writable", err)
	}
	return os.NewFile(uintptr(h), file), nil
}

package cluster_test

import (
	"syscall"
	"testing"
)

// mountDisk puts a disk of 64 KiB on a folder for the time of the test.
func mountDisk(t *testing.T, dir string, readOnly bool) bool {
	t.Helper()
	flags := uintptr(0)
	if readOnly {
		flags = syscall.MS_RDONLY
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, "size=64k"); err != nil {
		t.Logf("no disk: %v", err)
		return false
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return true
}

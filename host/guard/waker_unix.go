//go:build unix

package guard

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// waker ends a poll from another goroutine.
type waker struct {
	mu     sync.Mutex
	r, w   int
	rf, wf *os.File // nil when closed
}

func newWaker() (*waker, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	k := &waker{rf: r, wf: w}
	if k.r, err = nonblockFD(r); err == nil {
		k.w, err = nonblockFD(w)
	}
	if err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

// wake may be called at any time, also after close.
func (k *waker) wake() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.wf != nil {
		_, _ = unix.Write(k.w, []byte{1}) // a full pipe wakes as well
	}
}

func (k *waker) drain() {
	var buf [64]byte
	for {
		if n, err := unix.Read(k.r, buf[:]); n <= 0 && err != unix.EINTR {
			return
		}
	}
}

func (k *waker) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rf.Close()
	k.wf.Close()
	k.wf = nil
}

// nonblockFD returns the file's descriptor, set to never wait. The file must be
// kept open as long as the descriptor is used.
func nonblockFD(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("use %s: %w", f.Name(), err)
	}
	n := -1
	err2 := raw.Control(func(fd uintptr) {
		n = int(fd)
		err = unix.SetNonblock(n, true)
	})
	if err == nil {
		err = err2
	}
	if err != nil {
		return -1, fmt.Errorf("use %s: %w", f.Name(), err)
	}
	return n, nil
}

package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func supported() error { return nil }

// raw is a file of a database beside SQLite's own descriptors of it. It is not
// an os.File: whether it may be closed is a question of its own.
type raw struct {
	fd   int
	path string
}

func openRaw(path string) (*raw, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return &raw{fd: fd, path: path}, nil
}

// ReadAt is that of io.ReaderAt.
func (r *raw) ReadAt(b []byte, at int64) (n int, err error) {
	for n < len(b) {
		got, err := unix.Pread(r.fd, b[n:], at+int64(n))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return n, &os.PathError{Op: "read", Path: r.path, Err: err}
		case got == 0:
			return n, io.EOF
		default:
			n += got
		}
	}
	return n, nil
}

func (r *raw) size() (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(r.fd, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: r.path, Err: err}
	}
	return st.Size, nil
}

// sync makes durable what was written to the file up to now.
func (r *raw) sync() error {
	if err := unix.Fdatasync(r.fd); err != nil {
		return &os.PathError{Op: "sync", Path: r.path, Err: err}
	}
	return nil
}

// lock takes one byte for this open file description, or says at once that it
// is taken.
func (r *raw) lock(at int64) (bool, error) {
	l := unix.Flock_t{Type: unix.F_WRLCK, Start: at, Len: 1}
	for {
		err := unix.FcntlFlock(uintptr(r.fd), unix.F_OFD_SETLK, &l)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return false, &os.PathError{Op: "lock", Path: r.path, Err: err}
		}
	}
}

func (r *raw) unlock(at int64) {
	l := unix.Flock_t{Type: unix.F_UNLCK, Start: at, Len: 1}
	_ = unix.FcntlFlock(uintptr(r.fd), unix.F_OFD_SETLK, &l) // of a lock that is ours it cannot be refused
}

// nap holds the goroutine, and its thread, for so long. A timer of the Go runtime
// would take a millisecond, whatever it is set to, where nothing else runs.
func nap(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil)
}

// inPlace says whether the path still leads to this file.
func (r *raw) inPlace() bool {
	var here, there unix.Stat_t
	return unix.Fstat(r.fd, &here) == nil && unix.Stat(r.path, &there) == nil &&
		here.Dev == there.Dev && here.Ino == there.Ino
}

// close closes the descriptor, if this process has no other one of the same
// file: the kernel drops the POSIX locks that a process has on a file at any
// close of it, and SQLite's connections elsewhere in the process have such
// locks. Where there is another one, this one stays open, without locks.
func (r *raw) close() {
	l := unix.Flock_t{Type: unix.F_UNLCK}
	_ = unix.FcntlFlock(uintptr(r.fd), unix.F_OFD_SETLK, &l)
	if !r.shared() {
		_ = unix.Close(r.fd)
	}
}

func (r *raw) shared() bool {
	var mine, other unix.Stat_t
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil || unix.Fstat(r.fd, &mine) != nil {
		return true
	}
	for _, e := range names {
		fd, err := strconv.Atoi(e.Name())
		if err == nil && fd != r.fd && unix.Fstat(fd, &other) == nil && other.Dev == mine.Dev && other.Ino == mine.Ino {
			return true
		}
	}
	return false
}

// Magic numbers of file systems over a network, where locks and the shared
// memory of an index do not hold between machines.
const (
	magicNFS  = 0x6969
	magicSMB  = 0x517b
	magicSMB2 = 0xfe534d42
	magicCIFS = 0xff534d42
	magic9P   = 0x01021997
	magicCeph = 0x00c36400
)

// checkFilesystem refuses those.
func checkFilesystem(path string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &st); err != nil {
		return fmt.Errorf("look at file system of %s: %w", path, err)
	}
	switch uint32(st.Type) {
	case magicNFS, magicSMB, magicSMB2, magicCIFS, magic9P, magicCeph:
		return errNetwork
	}
	return nil
}

// waker tells of writes to a file, while it is armed.
type waker struct {
	f     *os.File
	watch int // -1: not armed
	path  string
	c     chan struct{}
	done  chan struct{}
}

func newWaker(path string) (*waker, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	w := &waker{
		f: os.NewFile(uintptr(fd), "inotify"), watch: -1, path: path,
		c: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go w.run()
	return w, nil
}

func (w *waker) run() {
	defer close(w.done)
	b := make([]byte, 4096)
	for {
		n, err := w.f.Read(b)
		if err != nil {
			return // closed
		}
		if !written(b[:n]) {
			continue
		}
		select {
		case w.c <- struct{}{}:
		default:
		}
	}
}

// written says whether events tell of a write. The end of a watch is an event
// too.
func written(b []byte) bool {
	for len(b) >= unix.SizeofInotifyEvent {
		mask, name := binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[12:])
		if mask&(unix.IN_MODIFY|unix.IN_Q_OVERFLOW) != 0 {
			return true
		}
		b = b[min(len(b), unix.SizeofInotifyEvent+int(name)):]
	}
	return false
}

// arm and disarm: each write costs its writer something while armed.
func (w *waker) arm() error {
	if w.watch >= 0 {
		return nil
	}
	sc, err := w.f.SyscallConn()
	if err != nil {
		return fmt.Errorf("watch %s: %w", w.path, err)
	}
	var watchErr error
	err = sc.Control(func(fd uintptr) {
		w.watch, watchErr = unix.InotifyAddWatch(int(fd), w.path, unix.IN_MODIFY)
	})
	if err = errors.Join(err, watchErr); err != nil {
		w.watch = -1
		return fmt.Errorf("watch %s: %w", w.path, err)
	}
	return nil
}

func (w *waker) disarm() {
	if w.watch < 0 {
		return
	}
	if sc, err := w.f.SyscallConn(); err == nil {
		_ = sc.Control(func(fd uintptr) {
			_, _ = unix.InotifyRmWatch(int(fd), uint32(w.watch)) // gone with its file: as well
		})
	}
	w.watch = -1
}

func (w *waker) close() {
	_ = w.f.Close()
	<-w.done
}

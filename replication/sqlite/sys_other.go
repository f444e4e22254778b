//go:build !linux

package sqlite

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// supported says why nothing can be opened here. What follows below is never
// reached.
func supported() error {
	return fmt.Errorf("replicate SQLite on %s: it needs locks of open file descriptions, which Linux has: %w",
		runtime.GOOS, errors.ErrUnsupported)
}

type raw struct{ path string }

func openRaw(string) (*raw, error) { return nil, supported() }

func nap(time.Duration) {}

func (r *raw) ReadAt([]byte, int64) (int, error) { return 0, supported() }
func (r *raw) size() (int64, error)              { return 0, supported() }
func (r *raw) sync() error                       { return supported() }
func (r *raw) lock(int64) (bool, error)          { return false, supported() }
func (r *raw) unlock(int64)                      {}
func (r *raw) inPlace() bool                     { return false }
func (r *raw) close()                            {}

func checkFilesystem(string) error { return supported() }

type waker struct{ c chan struct{} }

func newWaker(string) (*waker, error) { return nil, supported() }

func (w *waker) arm() error { return supported() }
func (w *waker) disarm()    {}
func (w *waker) close()     {}

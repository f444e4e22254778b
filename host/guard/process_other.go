//go:build !unix

package guard

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

func supported() error {
	return fmt.Errorf("make guard: %w: the guard is for linux, this is %s", errors.ErrUnsupported, runtime.GOOS)
}

// process is a running watchman; there is none here.
type process struct {
	toWatchman, fromWatchman *os.File
	silent                   chan struct{}
	told                     bool
}

func spawn(Config) (*process, error) { return nil, supported() }

func (p *process) write([]byte) error { return supported() }

func (p *process) kill() {}

func (p *process) wait() error { return supported() }

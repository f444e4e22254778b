//go:build unix

package guard

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

func supported() error { return nil }

// process is a running watchman.
type process struct {
	cmd          *exec.Cmd
	toWatchman   *os.File
	fromWatchman *os.File
	silent       chan struct{} // closed when it says nothing more: it has ended
	told         bool          // it knows all that was known when it started
}

// spawn starts a watchman in a session of its own, so that nothing that is sent
// to the host's group or terminal reaches it. All other descriptors of the host
// are closed in it; the host's end of the pipe must be, or it would never end.
func spawn(cfg Config) (*process, error) {
	theirIn, toWatchman, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start watchman: %w", err)
	}
	defer theirIn.Close()
	fromWatchman, theirOut, err := os.Pipe()
	if err != nil {
		toWatchman.Close()
		return nil, fmt.Errorf("start watchman: %w", err)
	}
	defer theirOut.Close()
	cmd := exec.Command(cfg.Command[0], cfg.Command[1:]...)
	cmd.Dir = "/" // no file system is held busy
	cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if cfg.LogFile != "" {
		var log *os.File
		if log, err = os.OpenFile(cfg.LogFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			defer log.Close()
			cmd.Stdout, cmd.Stderr = log, log
		}
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		toWatchman.Close()
		fromWatchman.Close()
		return nil, fmt.Errorf("start watchman: %w", err)
	}
	return &process{cmd: cmd, toWatchman: toWatchman, fromWatchman: fromWatchman, silent: make(chan struct{})}, nil
}

// write writes one message whole, or the watchman is of no use any more.
func (p *process) write(b []byte) error {
	if err := p.toWatchman.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("write to watchman: %w", err)
	}
	if _, err := p.toWatchman.Write(b); err != nil {
		return fmt.Errorf("write to watchman: %w", err)
	}
	return nil
}

func (p *process) kill() { _ = p.cmd.Process.Kill() } // one that has ended is what we want

// wait returns how the watchman ended.
func (p *process) wait() error {
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("wait for watchman: %w", err)
	}
	return nil
}

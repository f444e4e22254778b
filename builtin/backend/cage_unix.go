//go:build unix && !linux

package backend

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// cage holds the processes of a service: their process group. A process that
// leaves the group (setsid) is not held; only Linux has more to offer.
type cage struct{}

func newCage(_, _, _ string) *cage { return &cage{} }

func controlGroups() (string, error) {
	return "", errors.New("only Linux has control groups")
}

func (*cage) clean() error { return nil }

func (*cage) open() error { return nil }

func (*cage) renew() error { return nil }

func (*cage) attr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func (*cage) gone() bool { return false }

func (*cage) kill(pgid int) error {
	if pgid <= 0 {
		return nil
	}
	deadline := time.Now().Add(killTimeout)
	for signalGroup(pgid, syscall.SIGKILL); groupLives(pgid); <-time.After(stepTime) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process group %d still lives %v after SIGKILL", pgid, killTimeout)
		}
	}
	return nil
}

func (*cage) remove() error { return nil }

func (*cage) leave() error { return nil }

func groupLives(pgid int) bool {
	return !errors.Is(syscall.Kill(-pgid, 0), syscall.ESRCH)
}

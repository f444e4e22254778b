//go:build !unix

package backend

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// cage says that a service cannot be held together here: without process
// groups a stop could not end what the service started.
type cage struct{}

func newCage(_, _, _ string) *cage { return &cage{} }

func controlGroups() (string, error) {
	return "", errors.New("only Linux has control groups")
}

func (*cage) clean() error { return nil }

func (*cage) open() error {
	return fmt.Errorf("process backend: %w on %s: run the host on Linux", errors.ErrUnsupported, runtime.GOOS)
}

func (*cage) renew() error { return nil }

func (*cage) attr() *syscall.SysProcAttr { return nil }

func (*cage) gone() bool { return false }

func (*cage) kill(int) error { return nil }

func (*cage) remove() error { return nil }

func (*cage) leave() error { return nil }

func groupLives(int) bool { return false }

func signalGroup(int, syscall.Signal) bool { return false }

func exitCode(s *os.ProcessState) int { return s.ExitCode() }

//go:build unix

package backend

import (
	"errors"
	"os"
	"syscall"
)

// signalGroup sends a signal to each process of a group. A group without
// processes is no error for anyone here.
func signalGroup(pgid int, sig syscall.Signal) bool {
	return !errors.Is(syscall.Kill(-pgid, sig), syscall.ESRCH)
}

// exitCode is the code of an ended process; as in a shell it is 128+n when
// signal n ended it.
func exitCode(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

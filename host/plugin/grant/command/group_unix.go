//go:build unix

package command

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills all of a command's process group. Nobody may have waited for
// the command yet: until then its number is nobody else's.
func killGroup(p *os.Process) error {
	err := syscall.Kill(-p.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.EPERM) { // only its dead leader is left
		return os.ErrProcessDone
	}
	return err
}

func codeOf(s *os.ProcessState) int64 {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int64(w.Signal())
	}
	return int64(s.ExitCode())
}

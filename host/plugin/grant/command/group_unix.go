//go:build unix

package command

import (
	"os"
	"os/exec"
	"syscall"
)

func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills all of a command's process group. Nobody may have waited for
// the command yet: until then its number is nobody else's.
func killGroup(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL) // nothing left is what we want
}

func codeOf(s *os.ProcessState) int64 {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int64(w.Signal())
	}
	return int64(s.ExitCode())
}

//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// killGroup kills what is left of the process group of a command that has
// ended.
func killGroup(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // nothing left is what we want
	}
}

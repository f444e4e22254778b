//go:build !unix

package command

import (
	"os"
	"os/exec"
)

func ownGroup(*exec.Cmd) {}

// killGroup kills the command: there are no process groups here.
func killGroup(p *os.Process) { _ = p.Kill() }

func codeOf(s *os.ProcessState) int64 { return int64(s.ExitCode()) }

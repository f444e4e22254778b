//go:build !unix

package main

import (
	"os"
	"os/exec"
)

// guardSupported says whether this system has what the guard needs.
const guardSupported = false

// ownGroup does nothing: the command alone is killed.
func ownGroup(*exec.Cmd) {}

// alive reports whether a process runs; this system is not asked.
func alive(int) bool { return false }

// resume does nothing: processes are not stopped by signals here.
func resume(*os.Process) {}

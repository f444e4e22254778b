//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// guardSupported says whether this system has what the guard needs.
const guardSupported = runtime.GOOS == "linux"

// ownGroup starts a command in a process group of its own, so that a Ctrl-C in
// the terminal does not reach it.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// alive reports whether a process runs. One that has ended but that nobody has
// waited for counts as dead.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return runtime.GOOS != "linux"
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

// resume lets a process go on that was stopped by a signal.
func resume(p *os.Process) {
	_ = p.Signal(syscall.SIGCONT) // one that has ended needs it no more
}

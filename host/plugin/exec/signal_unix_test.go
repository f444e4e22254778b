//go:build unix

package exec

import (
	"strconv"
	"syscall"
	"testing"
)

const stopSignal = syscall.SIGSTOP

func signalTo(t testing.TB, pid string, sig syscall.Signal) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil || n <= 1 {
		t.Fatalf("pid %q", pid)
	}
	if err := syscall.Kill(n, sig); err != nil && err != syscall.ESRCH {
		t.Fatal(err)
	}
}

// killActor kills the process of an instance, as soon as there is one.
func killActor(t testing.TB, i *Instance) {
	t.Helper()
	until(t, "a process runs", func() bool {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.current == nil || i.current.condemned() {
			return false
		}
		signalTo(t, i.current.run.ID(), syscall.SIGKILL)
		return true
	})
}

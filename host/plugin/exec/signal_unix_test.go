//go:build unix

package exec

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// stopActor stops a process; when it returns no thread of it runs.
func stopActor(t testing.TB, pid string) {
	t.Helper()
	signalTo(t, pid, syscall.SIGSTOP)
	until(t, "all threads have stopped", func() bool {
		threads, _ := filepath.Glob("/proc/" + pid + "/task/*/stat")
		return !slices.ContainsFunc(threads, func(file string) bool {
			b, err := os.ReadFile(file)
			return err == nil && !bytes.Contains(b, []byte(") T "))
		})
	})
}

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

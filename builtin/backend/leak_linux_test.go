package backend

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// Fifty lives leave no process, control group, file or goroutine.
func TestFiftyLivesLeaveNothing(t *testing.T) {
	cfg := actor(t, "")
	cfg.Command, cfg.Args = "sh", []string{"-c", "echo ready; setsid sleep 1001 & exec sleep 1000"}
	cfg.LogFile = filepath.Join(t.TempDir(), "log")
	cfg.OutputHandler = func(string, bool) {}
	cfg.Ready = &ReadyCheck{Exec: []string{"true"}}
	p, folder := bound(t, cfg)
	life := func() {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustStop(t, p)
		if _, err := os.Stat(folder); err == nil {
			t.Fatal("the control group is left")
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would close forgotten files
	life()                                           // what is opened once for good is opened now
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	begin := time.Now()
	for range 50 {
		life()
	}
	t.Logf("%v a life", time.Since(begin)/50)
	until(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
	until(t, "no file is left", func() bool { return openFiles(t) <= files })
}

func openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

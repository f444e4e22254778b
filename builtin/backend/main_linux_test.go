package backend

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest"
)

const treeSize = 20

func playLinux(part string, _ chan os.Signal) int {
	switch part {
	case "tree": // 20 processes, half of them out of the process group
		for range 5 {
			spawn(nil, "sleep", "1000")
			spawn(&syscall.SysProcAttr{Setsid: true}, "sleep", "1001")
		}
		for range 3 {
			spawn(nil, "sh", "-c", "setsid sleep 1002 & sleep 1003 & wait")
		}
		fmt.Println("ready")
		<-time.After(time.Hour)
	case "orphan": // ends by itself and leaves a process that holds its pipes
		spawn(&syscall.SysProcAttr{Setsid: true}, "sleep", "1004")
		return 4
	case "delegated":
		return playDelegated()
	}
	return 99
}

// living returns the processes with a test's mark that are alive. It is another
// code than the one under test.
func living(mark string) []int {
	var pids []int
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		env, err := os.ReadFile(f)
		if err == nil && bytes.Contains(env, []byte("GCTEST_MARK="+mark+"\x00")) {
			pid, _ := strconv.Atoi(strings.Split(f, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

// bound returns a backend that is bound to an instance of its own, and the
// folder of its control group.
func bound(t *testing.T, cfg ProcessConfig) (*ProcessBackend, string) {
	t.Helper()
	p := NewProcess(cfg)
	fences, err := p.Bind(instance(t))
	if err != nil {
		t.Fatal(err)
	}
	if p.Isolation() != IsolationCgroup {
		lacking(t, "needs control groups: ", p.IsolationReason())
	}
	t.Cleanup(func() {
		mustStop(t, p)
		if _, err := os.Stat(fences[0].Name); err == nil {
			t.Errorf("control group %s is still there", fences[0].Name)
		}
	})
	return p, fences[0].Name
}

// instance is one that no other test has.
func instance(t *testing.T) pluginapi.Instance {
	app := strings.Map(func(r rune) rune {
		if r == '/' || r == '#' || r == '=' {
			return '-'
		}
		return r
	}, t.Name())
	return pluginapi.Instance{Platform: fmt.Sprintf("t%d", os.Getpid()), Node: "n1", App: app}
}

// guard does to a control group what the guard of a dead host does.
func guard(t *testing.T, folder string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, "cgroup.kill"), []byte("1"), 0); err != nil {
		t.Error(err)
	}
	until(t, "the guard can remove the folder", func() bool {
		os.Remove(filepath.Join(folder, nestName))
		return os.Remove(folder) == nil
	})
}

// lacking skips a test for want of what the kernel has to offer. Where changes
// are checked, as root, it is a failure: there the test must run.
func lacking(t testing.TB, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" && os.Getuid() == 0 {
		t.Fatal(args...)
	}
	t.Skip(args...)
}

// skipFor is lacking for a check of a suite.
func skipFor(t plugintest.T, why string) {
	t.Helper()
	if skip, ok := t.(interface{ Skip(...any) }); ok && (os.Getenv("CI") != "true" || os.Getuid() != 0) {
		skip.Skip(why)
	}
	t.Fatalf("%s", why)
}

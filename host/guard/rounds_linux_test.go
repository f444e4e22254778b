package guard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ozanturksever/go-cluster/host/clock"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// figures of some rounds.
type figures []time.Duration

func (f figures) String() string {
	slices.Sort(f)
	return fmt.Sprintf("p50 %v max %v (n=%d)", f[len(f)/2].Round(10*time.Microsecond), f[len(f)-1].Round(10*time.Microsecond), len(f))
}

// round kills a host with its tree of 26 processes. It returns how long it took
// from the kill until the watchman, with all of the tree dead, gave the session
// back, and how much of that was the killing itself.
func round(t testing.TB, base string) (whole, kill time.Duration, memory string) {
	b := newBed(t, base)
	b.start()
	b.hold(1, 150*time.Millisecond)
	guard := b.watchman()
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", guard))
	for line := range strings.Lines(string(status)) {
		if rss, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			memory = strings.TrimSpace(rss)
		}
	}
	began := clock.Now().UnixNano()
	b.signal(b.cmd.Process.Pid, unix.SIGKILL)
	b.over(guard)
	b.order("release", "gone", "exit")
	log, _ := os.ReadFile(b.dir + "/log")
	for line := range bytes.Lines(log) {
		var l struct{ Took time.Duration }
		if json.Unmarshal(line, &l) == nil && l.Took != 0 {
			kill = l.Took
		}
	}
	return time.Duration(b.events()[0].At - began), kill, memory
}

// Fifty hosts come and go: no process, no control group, no descriptor is left.
// The first twenty, one after the other, give the figures.
func TestFiftyRounds(t *testing.T) {
	base := cgroupBase(t)
	openFiles := func() int { e, _ := os.ReadDir("/proc/self/fd"); return len(e) }
	var whole, kill figures
	before, memory := 0, ""
	for i := range 20 {
		w, k, m := round(t, base)
		memory = m
		whole, kill = append(whole, w), append(kill, k)
		if i == 0 {
			before = openFiles()
		}
	}
	t.Run("more", func(t *testing.T) {
		for range 3 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for range 10 {
					round(t, base)
				}
			})
		}
	})
	t.Logf("kill -9 of the host to tree of 26 dead: %v; of that from the watchman's notice: %v; the watchman is %s", whole, kill, memory)
	eventually(t, "watchmen gone", func() bool { return len(watchmen(t, base)) == 0 })
	if left := cgroupTarget(base).tree(); len(left) != 1 {
		t.Errorf("control groups are left over: %v", left)
	}
	// Beds are closed at the end of the test: their pidfds and pipes are theirs.
	if after := openFiles(); after > before+4*50 {
		t.Errorf("%d open files after one round, %d after fifty", before, after)
	}
}

// watchmen lists the watchmen of hosts below this base.
func watchmen(t testing.TB, base string) []int {
	t.Helper()
	pids, err := allPids()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(pids, func(pid int) bool {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return !strings.Contains(string(line), "gc-host\x00") || !strings.Contains(string(line), base)
	})
}

// How long a mark takes to find and kill, on a machine with as many processes as
// this one.
func TestMarkFigures(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("marks: must be root")
	}
	var took figures
	pids, _ := allPids()
	for range 10 {
		start(t, t.TempDir(), "", "GCHOST_INSTANCE=tp.tn.figures")
		began := clock.Now()
		if err := Kill(patient(t), []pluginapi.Fence{envFence("GCHOST_INSTANCE=tp.tn.figures")}); err != nil {
			t.Fatal(err)
		}
		took = append(took, clock.Now().Sub(began))
	}
	t.Logf("tree of 26 found by its mark and dead, among %d processes: %v", len(pids), took)
}

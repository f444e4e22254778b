package backend

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

func TestFences(t *testing.T) {
	p, folder := bound(t, actor(t, "polite"))
	in := instance(t)
	fences, err := p.Bind(in)
	if err != nil {
		t.Fatal(err)
	}
	want := []pluginapi.Fence{
		{Kind: pluginapi.FenceCgroup, Name: folder},
		{Kind: pluginapi.FenceEnv, Name: "GCHOST_INSTANCE=" + instanceName(in)},
	}
	if fmt.Sprint(fences) != fmt.Sprint(want) || !strings.HasSuffix(folder, "/gchost/"+instanceName(in)) {
		t.Errorf("fences %v", fences)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Bind(in); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("bind of a running service: %v", err)
	}
	procs, err := os.ReadFile(filepath.Join(folder, nestName, "cgroup.procs"))
	if err != nil || strings.TrimSpace(string(procs)) != fmt.Sprint(p.PID()) {
		t.Errorf("in the control group: %q, %v", procs, err)
	}
}

// Stop ends the whole tree, also what has left the process group; with control
// groups and without.
func TestStopEndsTheWholeTree(t *testing.T) {
	for _, groups := range []bool{true, false} {
		t.Run(fmt.Sprintf("cgroup=%v", groups), func(t *testing.T) {
			cfg := actor(t, "tree")
			cfg.GracefulTimeout = 100 * time.Millisecond
			lines := hearing(&cfg)
			p, _ := bound(t, cfg)
			if !groups {
				p.folder = ""
			}
			if err := p.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			await(t, lines, "ready")
			until(t, "the tree is complete", func() bool { return len(living(markOf(t))) == treeSize })
			begin := time.Now()
			mustStop(t, p)
			t.Logf("stopped after %v", time.Since(begin))
		})
	}
}

// What a main process leaves behind is killed before it is started again, and
// does not hold up anything by the pipes that it inherited.
func TestLeftoversDieBeforeARestart(t *testing.T) {
	for _, groups := range []bool{true, false} {
		t.Run(fmt.Sprintf("cgroup=%v", groups), func(t *testing.T) {
			cfg := actor(t, "orphan")
			cfg.OutputHandler = func(string, bool) {}
			cfg.Restart = RestartPolicy{MaxRestarts: 3, Delay: 10 * time.Millisecond}
			p, _ := bound(t, cfg)
			if !groups {
				p.folder = ""
			}
			if err := p.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := failure(t, p); !strings.Contains(err.Error(), "exit status 4") {
				t.Errorf("failed: %v", err)
			}
			if n := len(living(markOf(t))); n > 0 { // not one of four
				t.Errorf("%d leftovers", n)
			}
		})
	}
}

// What a host left that died without a guard is ended by the next start.
func TestStartEndsWhatAnEarlierHostLeft(t *testing.T) {
	p, folder := bound(t, actor(t, "polite"))
	old := exec.Command("sleep", "1000")
	old.Env = append(os.Environ(), "GCTEST_MARK="+markOf(t), "GCHOST_INSTANCE="+instanceName(instance(t)))
	if err := old.Start(); err != nil { // by its mark
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(folder, "made", "by", "the", "service"), 0o755); err != nil {
		t.Fatal(err)
	}
	below, err := os.Open(filepath.Join(folder, "made", "by"))
	if err != nil {
		t.Fatal(err)
	}
	defer below.Close()
	inside := exec.Command("sleep", "1001") // by its control group
	inside.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(below.Fd())}
	if err := inside.Start(); err != nil {
		t.Fatal(err)
	}
	stale := pluginapi.Lease{Epoch: 1, Valid: func() bool { return false }}
	if err := p.Start(pluginapi.WithLease(t.Context(), stale)); !errors.Is(err, pluginapi.ErrNotLeader) {
		t.Errorf("start without leadership: %v", err)
	}
	for _, c := range []*exec.Cmd{old, inside} { // it may be another leader's
		if state := stateOf(t, c.Process.Pid); state == "Z" {
			t.Errorf("%v was killed without leadership", c.Args)
		}
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*exec.Cmd{old, inside} {
		if err := c.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("%v: %v", c.Args, err)
		}
	}
}

// A service may make control groups below its own.
func TestControlGroupsBelow(t *testing.T) {
	p, folder := bound(t, actor(t, "polite"))
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(folder, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	mustStop(t, p) // bound's end sees whether the folder is gone
}

// A stop that cannot be sure says so, and what is left is tried again: by the
// next stop, or by a start.
func TestStopThatIsNotSure(t *testing.T) {
	p, folder := bound(t, actor(t, "polite"))
	unsure := func() {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.mu.Lock()
		err := p.run.cage.dir.Close() // now nothing can be asked or killed by it
		p.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := p.Stop(t.Context()); err == nil {
				t.Error("a stop was sure without being able to look")
			}
			if h := health(t, p); h.Status != pluginapi.StatusUnhealthy || h.Message == "" {
				t.Errorf("health: %+v", h)
			}
		}
		if n := len(living(markOf(t))); n > 0 {
			t.Errorf("%d processes were not even tried", n)
		}
	}
	unsure()
	dir, err := os.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	p.run.cage.dir = dir
	mustStop(t, p)
	unsure()
	if err := p.Start(t.Context()); err != nil {
		t.Error(err)
	}
}

// A host that was frozen between its question and the clone, and whose guard
// has fenced it meanwhile, starts nothing when it thaws.
func TestThawedHostStartsNothing(t *testing.T) {
	p, folder := bound(t, actor(t, "polite"))
	frozen := func() bool {
		if _, err := os.Stat(folder); err == nil { // the last question, right before the clone
			guard(t, folder)
			if err := os.Mkdir(folder, 0o755); err != nil { // and the next host has one of the same name
				t.Error(err)
			}
		}
		return true
	}
	err := p.Start(pluginapi.WithLease(t.Context(), pluginapi.Lease{Epoch: 7, Valid: frozen}))
	if !errors.Is(err, errFenced) {
		t.Errorf("start: %v", err)
	}
	if n := len(living(markOf(t))); n > 0 {
		t.Errorf("%d processes live", n)
	}
	mustStop(t, p)
	if err := os.Remove(folder); err != nil {
		t.Errorf("the folder of the next host: %v", err)
	}
	if err := p.Start(t.Context()); err != nil { // when the host decides anew
		t.Error(err)
	}
}

// The supervisor of a thawed host does not bring back what the guard has ended,
// and leaves alone what the next host makes under the same name.
func TestThawedHostRestartsNothing(t *testing.T) {
	t.Parallel()
	cfg := actor(t, "polite")
	cfg.Restart.Delay = 2 * time.Second // time for the guard, on a busy machine too
	p, folder := bound(t, cfg)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	guard(t, folder)
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := failure(t, p); !errors.Is(err, errFenced) {
		t.Errorf("failed: %v", err)
	}
	if n := len(living(markOf(t))); n > 0 || p.RestartCount() > 0 {
		t.Errorf("%d processes live, %d restarts", n, p.RestartCount())
	}
	if strings.Contains(health(t, p).Message, "not enough") {
		t.Errorf("it was tried again: %+v", health(t, p))
	}
	if err := os.Remove(folder); err != nil {
		t.Errorf("the folder of the next host: %v", err)
	}
}

// Who writes to cgroup.kill by hand, and does not remove the control group,
// ends the service once; it comes back. (Some kernels kill at its birth what is
// cloned into a control group that was killed before.)
func TestKilledControlGroupIsNotUsedAgain(t *testing.T) {
	p, folder := bound(t, actor(t, "polite"))
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 2; n++ {
		pid := p.PID()
		if err := os.WriteFile(filepath.Join(folder, "cgroup.kill"), []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
		until(t, "another process runs", func() bool { q := p.PID(); return q != 0 && q != pid })
	}
	pid := p.PID()
	probe := ReadyCheck{Exec: []string{"true"}, Timeout: time.Minute}
	for range 10 { // time in which a new process would have died
		if err := probe.once(t.Context(), p.run.check); err != nil {
			t.Fatal(err)
		}
	}
	if p.PID() != pid || p.RestartCount() != 2 {
		t.Errorf("pid %d then %d, %d restarts", pid, p.PID(), p.RestartCount())
	}
}

// A process without process group and mark dies with its control group. Without
// that it is out of reach, but the pipes that it holds hang nobody.
func TestProcessThatHides(t *testing.T) {
	for _, groups := range []bool{true, false} {
		cfg := actor(t, "")
		cfg.Command, cfg.Args = "sh", []string{"-c", `env -i setsid sh -c 'echo $$; exec sleep 1000' & exec sleep 1001`}
		lines := hearing(&cfg)
		p := NewProcess(cfg)
		if groups {
			p, _ = bound(t, cfg)
		}
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(receive(t, lines))
		if err != nil {
			t.Fatal(err)
		}
		mustStop(t, p)
		if state := stateOf(t, pid); (state == "" || state == "Z") != groups {
			t.Errorf("control groups %v: the hidden process is in state %q", groups, state)
		}
		if !groups {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
	}
}

// stateOf is the letter of a process's state; "" when there is none.
func stateOf(t *testing.T, pid int) string {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}

// The lease is asked right before each clone: at the start and at a restart.
func TestLeaseThatDoesNotHold(t *testing.T) {
	p, folder := bound(t, actor(t, "polite"))
	var holds atomic.Bool
	var asked atomic.Int32
	ctx := pluginapi.WithLease(t.Context(), pluginapi.Lease{Epoch: 7, Valid: func() bool {
		asked.Add(1)
		return holds.Load()
	}})
	if err := p.Start(ctx); !errors.Is(err, pluginapi.ErrNotLeader) {
		t.Errorf("start: %v", err)
	}
	if err := p.Start(pluginapi.WithLease(t.Context(), pluginapi.Lease{Epoch: 7})); !errors.Is(err, pluginapi.ErrNotLeader) {
		t.Errorf("start with a lease that cannot be asked: %v", err)
	}
	if _, err := os.Stat(folder); err == nil || len(living(markOf(t))) > 0 {
		t.Error("a refused start left something")
	}
	lost := func() bool { // valid at first, not any more when the control group is there
		_, err := os.Stat(folder)
		return err != nil
	}
	if err := p.Start(pluginapi.WithLease(t.Context(), pluginapi.Lease{Valid: lost})); !errors.Is(err, pluginapi.ErrNotLeader) {
		t.Errorf("start with a lease that ends meanwhile: %v", err)
	}
	holds.Store(true)
	if err := p.Start(ctx); err != nil {
		t.Fatal(err)
	}
	holds.Store(false)
	before := asked.Load()
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := failure(t, p); !errors.Is(err, pluginapi.ErrNotLeader) || p.RestartCount() > 0 {
		t.Errorf("failed: %v, %d restarts", err, p.RestartCount())
	}
	if n := asked.Load() - before; n != 1 {
		t.Errorf("the lease was asked %d times: not leading is no reason to try again", n)
	}
}

// A start of a running service brings the lease by which it is restarted.
func TestStartOfARunningServiceBringsALease(t *testing.T) {
	cfg := actor(t, "env")
	lines := hearing(&cfg)
	p, _ := bound(t, cfg)
	for epoch := range pluginapi.Epoch(2) {
		lease := pluginapi.Lease{Epoch: epoch + 1, Valid: func() bool { return true }}
		if err := p.Start(pluginapi.WithLease(t.Context(), lease)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, lines, "GCHOST_EPOCH=1")
	if err := p.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, lines, "GCHOST_EPOCH=2")
}

func TestEmptyFolder(t *testing.T) {
	p, folder := bound(t, actor(t, "polite"))
	if !emptyFolder(folder) {
		t.Error("a control group that is not there holds processes")
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if emptyFolder(folder) {
		t.Error("a control group with a process is empty")
	}
}

package guard

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// G5: a host that is killed is cleaned up: its whole tree is dead before its
// session is given back, the others are told after that, and the watchman looks
// again for one TTL and ends.
func TestHostKilled(t *testing.T) {
	t.Parallel()
	b := newBed(t, cgroupBase(t))
	b.start()
	b.hold(1, 600*time.Millisecond)
	guard := b.watchman()
	if sid, err := unix.Getsid(guard); sid != guard {
		t.Errorf("the watchman is in session %d (%v), want one of its own", sid, err)
	}
	for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP} {
		b.signal(guard, s) // it ends with the host, not before
	}
	b.signal(b.cmd.Process.Pid, unix.SIGKILL)
	b.over(guard)
	b.order("release", "gone", "exit")
	if b.get().State != "released" {
		t.Error("the session was not released")
	}
	if _, err := os.Stat(b.cgroup); !os.IsNotExist(err) {
		t.Errorf("the control group is still there: %v", err)
	}
	all := b.events()
	first, last := all[0], all[len(all)-1]
	if lingered := time.Duration(last.At - first.At); lingered < 600*time.Millisecond || last.Code != exitOK {
		t.Errorf("the watchman stayed %v and ended with %d, want at least one ttl (600ms) and 0", lingered, last.Code)
	}
	if b.count("recheck") < 2 {
		t.Errorf("looked again %d times, want several", b.count("recheck"))
	}
}

// G1: a host that stands still past its deadline is cleaned up by the deadline,
// and its session is given back at the deadline, not before; when it wakes it is told, cannot start anything
// under the old incarnation, and is watched again as a new one.
func TestHostFrozenThawedAndKilled(t *testing.T) {
	t.Parallel()
	b := newBed(t, cgroupBase(t))
	b.start()
	const ttl = 1000 * time.Millisecond
	b.work(1, ttl)
	guard := b.watchman()
	b.signal(b.cmd.Process.Pid, unix.SIGSTOP)
	b.await("gone", 1)
	b.order("release", "gone")
	e := b.events()[0]
	// It may wake until its deadline and still leads then: nobody else must.
	if early := e.Deadline - e.At; early > 0 || e.Inc != 1 {
		t.Errorf("gave incarnation %d back %v before its deadline", e.Inc, time.Duration(early))
	}
	b.signal(b.cmd.Process.Pid, unix.SIGCONT)
	b.expect("fired deadline 1")
	b.say("fences") // under the old incarnation: refused
	b.expect("fences false true")

	b.work(2, ttl)
	during(t, 2*ttl, "the tree of the new incarnation was touched", b.whole)
	b.order("release", "gone")
	b.signal(b.cmd.Process.Pid, unix.SIGKILL)
	b.over(guard)
	b.order("release", "gone", "release", "gone", "exit")
	if r := b.get(); r.Inc != 2 || r.State != "released" {
		t.Errorf("record %+v, want incarnation 2 released", r)
	}
}

// A frozen host may have been about to start something: as long as it is not
// watched again, what appears is killed.
func TestLateChildOfAFrozenHost(t *testing.T) {
	t.Parallel()
	b := newBed(t, cgroupBase(t))
	b.start()
	b.work(1, 1000*time.Millisecond)
	b.signal(b.cmd.Process.Pid, unix.SIGSTOP)
	b.await("gone", 1)
	during(t, 1300*time.Millisecond, "a late child from nowhere", func() bool { return b.count("release") == 1 }) // not only for one TTL
	late, err := startTree(b.dir, b.cgroup, "")
	if err != nil {
		t.Fatal(err)
	}
	dead := make(chan struct{})
	go func() { defer close(dead); _ = late.Wait() }()
	select {
	case <-dead:
	case <-time.After(patience):
		_ = late.Process.Kill()
		t.Error("a late child was not killed")
	}
	eventually(t, "late tree dead", func() bool { return len(tree(b.dir)) == 0 })
	if n := b.count("release"); n != 1 {
		t.Errorf("released %d times, want once", n)
	}
	guard := b.watchman()
	b.signal(b.cmd.Process.Pid, unix.SIGKILL)
	b.over(guard)
}

// A frozen host that dies without waking: the watchman comes to its end.
func TestHostFrozenAndKilled(t *testing.T) {
	t.Parallel()
	b := newBed(t, cgroupBase(t))
	b.start()
	b.work(1, 1000*time.Millisecond)
	guard := b.watchman()
	b.signal(b.cmd.Process.Pid, unix.SIGSTOP)
	b.await("gone", 1)
	b.signal(b.cmd.Process.Pid, unix.SIGKILL)
	b.over(guard)
	b.order("release", "gone", "gone", "exit") // the second look finds it released
}

// A watchman that is killed is followed by one that knows as much.
func TestWatchmanKilled(t *testing.T) {
	t.Parallel()
	b := newBed(t, cgroupBase(t))
	b.start()
	b.work(1, 1500*time.Millisecond)
	for range 3 {
		guard := b.watchman()
		b.signal(guard, unix.SIGKILL)
		b.over(guard)
		eventually(t, "the dead watchman reaped", func() bool { return parent(guard) == 0 })
	}
	guard := b.watchman()
	b.say("fences") // answered by the new one: it watches
	b.expect("fences true")
	during(t, 2*time.Second, "the new watchman killed the tree of a living host", b.whole)
	b.signal(b.cmd.Process.Pid, unix.SIGKILL)
	b.over(guard)
	b.order("release", "gone", "exit")
}

// The watchman dies while the host is frozen, and the host wakes with its lease
// over: the next watchman kills first, as it would have.
func TestWatchmanKilledWhileHostFrozen(t *testing.T) {
	t.Parallel()
	b := newBed(t, cgroupBase(t))
	b.start()
	b.work(1, 1000*time.Millisecond)
	guard := b.watchman()
	b.signal(guard, unix.SIGSTOP)
	b.signal(b.cmd.Process.Pid, unix.SIGSTOP)
	b.signal(guard, unix.SIGKILL)
	b.over(guard)
	during(t, 1100*time.Millisecond, "nobody could kill the tree", b.whole)
	b.signal(b.cmd.Process.Pid, unix.SIGCONT)
	b.expect("fired deadline 1")
	b.await("gone", 1)
	b.order("release", "gone")
}

// A watchman that stood still itself must not take the renewals that wait in its
// pipe for a silent host.
func TestWatchmanFrozen(t *testing.T) {
	t.Parallel()
	b := newBed(t, cgroupBase(t))
	b.start()
	const ttl = 1000 * time.Millisecond
	b.work(1, ttl)
	guard := b.watchman()
	for range 2 {
		b.signal(guard, unix.SIGSTOP)
		during(t, 3*ttl/2, "a frozen watchman acted", b.whole)
		b.signal(guard, unix.SIGCONT)
		during(t, ttl/3, "the watchman killed the tree of a renewing host", b.whole)
	}
	b.order()
	b.signal(b.cmd.Process.Pid, unix.SIGKILL)
	b.over(guard)
	b.order("release", "gone", "exit")
}

// The planned end: the host gave its session back itself. Nothing is released,
// what was forgotten is killed, and the host need not wait for it.
func TestPlannedEnd(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"stop", "kill"} {
		b := newBed(t, cgroupBase(t))
		b.start()
		b.work(1, 1000*time.Millisecond)
		guard := b.watchman()
		b.say("released")
		b.expect("released")
		during(t, 1200*time.Millisecond, "a released lease still has a deadline", b.whole)
		if end == "kill" {
			b.signal(b.cmd.Process.Pid, unix.SIGKILL)
		} else {
			_ = b.in.(*os.File).Close()
			b.expect("run <nil>")
		}
		b.over(guard)
		b.order("exit")
		if n := len(tree(b.dir)); n != 0 {
			t.Errorf("%d processes were left over", n)
		}
	}
}

// Run that ends while the session is live leaves the cleaning up to the watchman
// and waits for it.
func TestUnplannedEnd(t *testing.T) {
	t.Parallel()
	b := newBed(t, cgroupBase(t))
	b.start()
	b.hold(1, 300*time.Millisecond)
	guard := b.watchman()
	_ = b.in.(*os.File).Close()
	b.expect("run <nil>")
	if n := b.count("exit"); n != 1 {
		t.Errorf("Run returned before the watchman had ended (%d)", n)
	}
	b.over(guard)
	b.order("release", "gone", "exit")
}

// The store may be out of reach, at first or later: that never delays the
// killing, and the session is given back when it can be.
func TestStoreOutOfReach(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"down", "nodial"} {
		b := newBed(t, cgroupBase(t))
		if err := os.WriteFile(b.dir+"/"+how, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		b.start()
		b.hold(1, time.Second)
		guard := b.watchman()
		b.signal(b.cmd.Process.Pid, unix.SIGKILL)
		eventually(t, "tree dead without a store", func() bool { return len(tree(b.dir)) == 0 })
		if how == "down" {
			b.await("down", 10)
		}
		if b.count("release") != 0 {
			t.Error("released by a store that is out of reach")
		}
		if err := os.Remove(b.dir + "/" + how); err != nil {
			t.Fatal(err)
		}
		b.over(guard)
		if b.count("release") != 1 || b.count("gone") != 1 {
			t.Errorf("%s: released %d times, told %d times, want once", how, b.count("release"), b.count("gone"))
		}
	}
}

// A store that hangs and does not heed its context holds up nothing: not the
// killing, not the next incarnation, not the end.
func TestStoreHangs(t *testing.T) {
	t.Parallel()
	b := newBed(t, cgroupBase(t))
	b.start()
	b.work(1, 1000*time.Millisecond)
	guard := b.watchman()
	if err := os.WriteFile(b.dir+"/hang", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.signal(b.cmd.Process.Pid, unix.SIGSTOP)
	b.await("hang", 2)
	b.order(append([]string{}, strings.Fields(strings.Repeat("hang ", b.count("hang")))...)...)
	b.signal(b.cmd.Process.Pid, unix.SIGCONT)
	b.expect("fired deadline 1")
	b.hold(2, 200*time.Millisecond)
	b.signal(b.cmd.Process.Pid, unix.SIGKILL)
	eventually(t, "tree dead with a hanging store", func() bool { return len(tree(b.dir)) == 0 })
	b.over(guard)
	all := b.events()
	if last := all[len(all)-1]; last.Code != exitFailed {
		t.Errorf("ended with %d, want %d: the session was not given back", last.Code, exitFailed)
	}
}

// A write of the dead host that was still in a socket brings its session back
// after the release: it is released again. A newer incarnation is not touched.
func TestLateWrite(t *testing.T) {
	t.Parallel()
	b := newBed(t, cgroupBase(t))
	b.start()
	b.hold(1, 800*time.Millisecond)
	guard := b.watchman()
	b.signal(b.cmd.Process.Pid, unix.SIGKILL)
	b.await("gone", 1)
	b.put(record{1, "live"})
	b.await("release", 2)
	b.put(record{2, "live"})
	b.over(guard)
	b.order("release", "gone", "release", "exit")
	if r := b.get(); r != (record{2, "live"}) {
		t.Errorf("record %+v, want the newer incarnation alive", r)
	}
}

// A node that is started again while the watchman of its dead host still looks
// for late children: what it starts, in the same control group, is its own.
func TestNewLifeIsNotTouched(t *testing.T) {
	t.Parallel()
	b := newBed(t, cgroupBase(t))
	b.start()
	b.hold(1, time.Second)
	guard := b.watchman()
	b.signal(b.cmd.Process.Pid, unix.SIGKILL)
	b.await("gone", 1)
	b.put(record{2, "live"})
	b.await("replaced", 1)
	start(t, t.TempDir(), b.cgroup, "")
	b.over(guard)
	during(t, 500*time.Millisecond, "the service of the new life was killed", b.whole)
	b.order("release", "gone", "exit")
	if all := b.events(); all[len(all)-1].Code != exitOK {
		t.Errorf("ended with %d, want 0", all[len(all)-1].Code)
	}
}

// The store is out of reach at the very moment of a look, as when another host
// dies: a newer life of the node that has joined before is not killed unseen.
func TestNewLifeWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	b := newBed(t, cgroupBase(t))
	b.start()
	b.hold(1, 5*time.Second)
	guard := b.watchman()
	b.signal(b.cmd.Process.Pid, unix.SIGKILL)
	b.await("gone", 1)
	if err := os.WriteFile(b.dir+"/down", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.put(record{2, "live"})
	start(t, t.TempDir(), b.cgroup, "")
	b.await("down", 1)
	if err := os.Remove(b.dir + "/down"); err != nil {
		t.Fatal(err)
	}
	b.over(guard)
	if b.count("replaced") == 0 {
		t.Fatal("the watchman ended without a word of the new life")
	}
	during(t, 500*time.Millisecond, "the service of the new life was killed", b.whole)
}

// A host without apps has no fences; its session is given back all the same.
func TestHostWithoutFences(t *testing.T) {
	t.Parallel()
	b := newBed(t, "")
	b.start()
	b.say("hold 1 300")
	b.expect("hold 1")
	b.say("fences")
	b.expect("fences true")
	guard := b.watchman()
	b.signal(b.cmd.Process.Pid, unix.SIGKILL)
	b.over(guard)
	b.order("release", "gone", "exit")
}

// A command that is no watchman is an error of Run, not a wait for ever.
func TestRunSaysWhenThereIsNoWatchman(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for want, cfg := range map[string]Config{
		"watchman ended":          {Command: []string{"/bin/true"}},
		"speaks another protocol": {Command: []string{exe, "gc-refuser"}},
		"start watchman":          {Command: []string{exe, "gc-watchman"}, LogFile: t.TempDir() + "/none/log"},
	} {
		cfg.Init = Init{Platform: "p", Node: "n"}
		g, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		if err = g.Run(ctx); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: Run returned %v, want %q", cfg.Command, err, want)
		}
		if err := g.Fences(ctx, nil); !errors.Is(err, errEnded) {
			t.Errorf("fences after the end: %v", err)
		}
		cancel()
	}
}

func TestNewRefuses(t *testing.T) {
	good := Init{Platform: "p", Node: "n"}
	for name, cfg := range map[string]Config{
		"no command":      {Init: good},
		"unknown command": {Init: good, Command: []string{"/no/such/gchost", "guard"}},
		"bad node":        {Init: Init{Platform: "p", Node: "a.b"}, Command: []string{"/bin/true"}},
		"bad pid":         {Init: Init{Platform: "p", Node: "n", HostPID: -1}, Command: []string{"/bin/true"}},
		"huge store":      {Init: Init{Platform: "p", Node: "n", Store: []byte(`"` + strings.Repeat("x", maxFrame) + `"`)}, Command: []string{"/bin/true"}},
	} {
		if _, err := New(cfg); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	g, err := New(Config{Init: good, Command: []string{"/bin/true"}})
	if err != nil {
		t.Fatal(err)
	}
	strange := []pluginapi.Fence{{Kind: pluginapi.FenceEnv, Name: "GCHOST_INSTANCE=p.other.app"}}
	if err := g.Fences(context.Background(), strange); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("fence of another node: %v, want ErrInvalid", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.Fences(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("fences with an ended context: %v", err)
	}
}

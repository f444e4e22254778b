package guard

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/clock"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Whatever breaks the order of the pipe is as good as its end: a host that cannot
// be understood has its session given back and is told so.
func TestBrokenPipeIsTheEndOfTheHost(t *testing.T) {
	good := func(m message) []byte { return mustEncode(t, m) }
	for name, in := range map[string][]byte{
		"nothing more":    nil,
		"half a length":   {0, 0},
		"half a message":  good(message{Kind: kindReleased})[:9],
		"too long":        {0xff, 0xff, 0xff, 0xff, 1, 2, 3},
		"not json":        frame("GET / HTTP/1.1"),
		"empty":           frame(""),
		"unknown kind":    good(message{Kind: "reboot"}),
		"another hello":   good(message{Kind: kindHello, Version: version, Init: &Init{Platform: "p", Node: "n", HostPID: 1}}),
		"no lease":        good(message{Kind: kindLease}),
		"lease of nobody": good(message{Kind: kindLease, Lease: &Lease{Inc: 1, TTL: time.Second}}),
		"lease of 0 s":    good(message{Kind: kindLease, Lease: &Lease{Node: "n", Inc: 9}}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLine(t)
			l.hello(os.Getpid())
			l.lease(7, 0)
			if in != nil {
				l.write(in)
			}
			if len(in) < 10 { // what was written is no whole message, or nothing was
				l.w.Close()
			}
			if f := l.reply(kindFired).Fired; f == nil || f.Inc != 7 {
				t.Errorf("told %+v, want incarnation 7", f)
			}
			if code := l.end(); code != exitOK || !l.store.has("release", 7) || !l.store.has("gone", 7) || !l.store.has("close", 0) {
				t.Errorf("ended with %d, store saw %v", code, l.store.calls)
			}
		})
	}
}

// Without a valid hello there is nobody to watch and nothing to give back.
func TestNoHello(t *testing.T) {
	for name, in := range map[string][]byte{
		"nothing":      nil,
		"garbage":      frame("garbage"),
		"lease first":  mustEncode(t, message{Kind: kindLease, Lease: &Lease{Node: "n", Inc: 1, TTL: time.Second}}),
		"no init":      mustEncode(t, message{Kind: kindHello, Version: version}),
		"bad node":     mustEncode(t, message{Kind: kindHello, Version: version, Init: &Init{Platform: "p", Node: "../n", HostPID: 1}}),
		"a group":      mustEncode(t, message{Kind: kindHello, Version: version, Init: &Init{Platform: "p", Node: "n", HostPID: -1}}),
		"next version": mustEncode(t, message{Kind: kindHello, Version: version + 1, Init: &Init{Platform: "p", Node: "n", HostPID: 1}}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLine(t)
			if in != nil {
				l.write(in)
			} else {
				l.w.Close()
			}
			if code := l.end(); code != exitUnfit || len(l.store.calls) != 0 {
				t.Errorf("ended with %d, store saw %v", code, l.store.calls)
			}
			if m := message(<-l.maybe()); in != nil && name != "garbage" && name != "lease first" && m.Error == "" {
				t.Errorf("said %+v, want why not", m)
			}
		})
	}
}

// The host had died before its watchman was there: also with the pipe held open
// by somebody, what it said is heard and acted on.
func TestHostGoneAtHello(t *testing.T) {
	dead := exec.Command("/bin/true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	long := []byte(`"` + strings.Repeat("x", 100<<10) + `"`) // more than is read at once
	hello := message{Kind: kindHello, Version: version, Init: &Init{Platform: "p", Node: "n", HostPID: dead.Process.Pid, Store: long}}
	lease := message{Kind: kindLease, Lease: &Lease{Node: "n", Inc: 3, TTL: 50 * time.Millisecond}}
	again := message{Kind: kindFences, Fences: slices.Repeat([]pluginapi.Fence{envFence("GCHOST_INSTANCE=p.n.app")}, 2000)}
	l := newLine(t, slices.Concat(mustEncode(t, hello), mustEncode(t, again), mustEncode(t, lease))...)
	if code := l.end(); code != exitOK || !l.store.has("release", 3) {
		t.Errorf("ended with %d, store saw %v", code, l.store.calls)
	}
}

// The host dies and the pipe stays open, as when a child holds its other end: the
// handle on the process tells.
func TestHostDiesWithThePipeOpen(t *testing.T) {
	host := exec.Command("/bin/sleep", "1000")
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	l := newLine(t)
	l.hello(host.Process.Pid)
	l.lease(3, 0)
	_ = host.Process.Kill()
	_ = host.Wait()
	if f := l.reply(kindFired).Fired; f.Reason != reasonExited || f.Inc != 3 {
		t.Errorf("told %+v", f)
	}
	if code := l.end(); code != exitOK || !l.store.has("release", 3) {
		t.Errorf("ended with %d, store saw %v", code, l.store.calls)
	}
}

// An incarnation that is over stays over; fences are refused until a newer one
// is watched. Twenty rounds in one watchman keep no descriptor.
func TestFiredIncarnationNeverComesBack(t *testing.T) {
	l := newLine(t)
	l.hello(os.Getpid())
	openFiles := func() int { e, _ := os.ReadDir("/proc/self/fd"); return len(e) }
	before := 0
	id := uint64(0)
	fences := func(ended bool) {
		t.Helper()
		id++
		l.send(message{Kind: kindFences, ID: id, Fences: []pluginapi.Fence{envFence("GCHOST_INSTANCE=p.n.app")}})
		if m := l.reply(kindAck); m.ID != id || m.Ended != ended || (m.Error != "") != ended {
			t.Fatalf("fences %d: %+v, want ended %v", id, m, ended)
		}
	}
	for inc := uint64(1); inc <= 20; inc++ {
		l.lease(inc, 50*time.Millisecond)
		fences(false)
		if f := l.reply(kindFired).Fired; f.Reason != reasonDeadline || f.Inc != inc {
			t.Fatalf("round %d: told %+v", inc, f)
		}
		for _, old := range []uint64{inc, inc - 1, 0}[:min(inc, 2)] {
			l.lease(max(old, 1), time.Second)
		}
		fences(true)
		if inc == 3 {
			before = openFiles()
		}
	}
	if after := openFiles(); after > before+3 {
		t.Errorf("%d open files after 3 rounds, %d after 20", before, after)
	}
	l.w.Close()
	l.end()
	for inc := uint64(1); inc <= 20; inc++ {
		if !l.store.has("release", inc) && inc == 20 {
			t.Errorf("incarnation %d was not given back: %v", inc, l.store.calls)
		}
	}
}

// A deadline moves with each renewal, and one of 0 is none.
func TestRenewalMovesTheDeadline(t *testing.T) {
	l := newLine(t)
	l.hello(os.Getpid())
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 8 {
		l.lease(1, 300*time.Millisecond)
		<-tick.C
	}
	l.lease(1, 0)
	select {
	case m := <-l.got:
		t.Fatalf("a renewed lease was ended: %+v", m)
	case <-time.After(400 * time.Millisecond):
	}
	l.lease(1, 30*time.Millisecond)
	if f := l.reply(kindFired).Fired; f.Reason != reasonDeadline {
		t.Errorf("told %+v", f)
	}
	l.w.Close()
	l.end()
}

// The margin is before the deadline: by then everything must be dead.
func TestMarginIsBeforeTheDeadline(t *testing.T) {
	l := newLine(t)
	l.hello(os.Getpid())
	deadline := clock.Now().Add(time.Minute)
	l.send(message{Kind: kindLease, Lease: &Lease{
		Node: "n", Inc: 1, TTL: time.Minute + time.Second, Margin: time.Minute - 100*time.Millisecond, Deadline: deadline.UnixNano(),
	}})
	if f := l.reply(kindFired).Fired; f.Reason != reasonDeadline || !clock.Now().Before(deadline) {
		t.Errorf("told %+v, %v after the deadline", f, clock.Now().Sub(deadline))
	}
}

// What a thawing host drops from its set, when its incarnation is over, is
// killed as before.
func TestDroppedFenceIsStillKilled(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("marks: must be root")
	}
	l := newLine(t)
	l.hello(os.Getpid())
	l.send(message{Kind: kindFences, ID: 1, Fences: []pluginapi.Fence{envFence("GCHOST_INSTANCE=p.n.dropped")}})
	l.reply(kindAck)
	l.lease(1, 50*time.Millisecond)
	l.reply(kindFired)
	l.send(message{Kind: kindFences, ID: 2})
	if m := l.reply(kindAck); !m.Ended {
		t.Errorf("answered %+v", m)
	}
	eventually(t, "first killing", func() bool { return l.store.has("release", 1) })
	late := exec.Command("/bin/sleep", "1000")
	late.Env = []string{"GCHOST_INSTANCE=p.n.dropped"}
	if err := late.Start(); err != nil {
		t.Fatal(err)
	}
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		_ = late.Wait()
	}()
	select {
	case <-killed:
	case <-time.After(patience):
		_ = late.Process.Kill()
		t.Error("a late child was not killed")
	}
	l.w.Close()
	l.end()
}

// While the killing for an old incarnation goes on, a newer one is not watched
// and its fences are not acknowledged: nothing may be started yet.
func TestNewIncarnationWaitsForTheKilling(t *testing.T) {
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer out.Close()
	w := &watchman{log: slog.New(slog.DiscardHandler), init: &Init{Platform: "p", Node: "n", HostPID: 1}, host: -1}
	if w.out, err = nonblockFD(out); err != nil {
		t.Fatal(err)
	}
	if w.alarm, err = newAlarm(); err != nil {
		t.Fatal(err)
	}
	defer w.alarm.close()
	cancelled := false
	w.lease = Lease{Node: "n", Inc: 1, TTL: time.Second}
	w.job = &job{lease: w.lease, done: make(chan struct{}), cancel: func() { cancelled = true }}
	if err := w.renew(&Lease{Node: "n", Inc: 2, TTL: time.Second}); err != nil {
		t.Fatal(err)
	}
	w.setFences(message{ID: 5})
	w.step(context.Background())
	if cancelled || w.armed || len(w.waiting) != 1 {
		t.Fatalf("killing cancelled %v, armed %v, waiting %v", cancelled, w.armed, w.waiting)
	}
	w.job.killed.Store(true)
	w.step(context.Background())
	if !cancelled || w.armed || len(w.waiting) != 1 {
		t.Fatalf("killed: cancelled %v, armed %v, waiting %v", cancelled, w.armed, w.waiting)
	}
	close(w.job.done)
	w.step(context.Background())
	if !w.armed || w.lease.Inc != 2 || len(w.waiting) != 0 {
		t.Fatalf("done: armed %v for %d, waiting %v", w.armed, w.lease.Inc, w.waiting)
	}
	buf := make([]byte, 1000)
	n, _ := r.Read(buf)
	if want := mustEncode(t, message{Kind: kindAck, ID: 5}); !slices.Equal(buf[:n], want) {
		t.Fatalf("said %q, want %q only", buf[:n], want)
	}
}

// A set of fences with one bad name is refused as a whole; the set before stays.
func TestBadFencesAreRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("marks: must be root")
	}
	l := newLine(t)
	l.hello(os.Getpid())
	id := t.TempDir()
	start(t, id, "", "GCHOST_INSTANCE=p.n.web")
	l.send(message{Kind: kindFences, ID: 1, Fences: []pluginapi.Fence{envFence("GCHOST_INSTANCE=p.n.web")}})
	if m := l.reply(kindAck); m.Error != "" {
		t.Fatal(m.Error)
	}
	for _, bad := range []pluginapi.Fence{
		envFence("GCHOST_INSTANCE=p.m.web"), envFence("GCHOST_INSTANCE=q.n.web"), envFence("HOME=/"), cgroupFence("/"), {Kind: "all"},
	} {
		l.send(message{Kind: kindFences, ID: 2, Fences: []pluginapi.Fence{envFence("GCHOST_INSTANCE=p.n.other"), bad}})
		if m := l.reply(kindAck); m.Error == "" || m.Ended {
			t.Errorf("%+v: answered %+v, want why not", bad, m)
		}
	}
	l.w.Close() // no lease: nothing to give back, but to kill
	if code := l.end(); code != exitOK || len(tree(id)) != 0 || slices.Contains(l.store.calls, "release") {
		t.Errorf("ended with %d, %d processes alive, store saw %v", code, len(tree(id)), l.store.calls)
	}
}

// The end of the context ends the watchman without acting.
func TestContextEndsTheWatchman(t *testing.T) {
	theirs, w, _ := os.Pipe()
	r, out, _ := os.Pipe()
	defer w.Close()
	defer r.Close()
	ctx, cancel := context.WithCancel(context.Background())
	code := make(chan int)
	go func() { code <- watch(ctx, theirs, out, nil, slog.New(slog.DiscardHandler)) }()
	_, _ = w.Write(mustEncode(t, message{Kind: kindHello, Version: version, Init: &Init{Platform: "p", Node: "n", HostPID: os.Getpid()}}))
	if _, err := r.Read(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if c := <-code; c != exitOK {
		t.Errorf("ended with %d", c)
	}
	if _, err := r.Read(make([]byte, 1000)); !errors.Is(err, io.EOF) {
		t.Errorf("said something at its end: %v", err)
	}
}

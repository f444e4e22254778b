package host

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

const patience = 30 * time.Second

// ended returns a context that has ended.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// Parts are stopped in reverse, each after the one above it has ended.
func TestPartsStopInReverse(t *testing.T) {
	p := newParts()
	var order []string
	for _, name := range []string{"server", "guard", "connection"} {
		p.start(name, func(ctx context.Context) error {
			<-ctx.Done()
			order = append(order, name) // no lock: one at a time
			return nil
		})
		p.onStop("", func() error { order = append(order, "before "+name); return nil })
	}
	if err := p.stop(); err != nil || p.fault() != nil {
		t.Errorf("stop: %v, %v", err, p.fault())
	}
	want := []string{"before connection", "connection", "before guard", "guard", "before server", "server"}
	if !slices.Equal(order, want) {
		t.Errorf("stopped %q, want %q", order, want)
	}
	if err := p.stop(); err != nil || len(order) != len(want) {
		t.Errorf("stopped twice: %v, %q", err, order)
	}
}

// A part that ends by itself is told at once, with its error or without one;
// what a part says when it was stopped is told by stop.
func TestPartsFail(t *testing.T) {
	p := newParts()
	p.start("disk", func(context.Context) error { return errors.New("on fire") })
	p.start("clock", func(context.Context) error { return nil })
	p.start("slow", func(ctx context.Context) error { <-ctx.Done(); return errors.New("cannot close") })
	late := time.After(patience)
	select {
	case <-p.failed:
	case <-late:
		t.Fatal("nobody is told")
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for strings.Count(p.fault().Error(), "run ") < 2 {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("only %v", p.fault())
		}
	}
	err := p.stop()
	if err == nil || err.Error() != "cannot close" {
		t.Errorf("stop: %v", err)
	}
	for _, want := range []string{"run disk: on fire", "run clock: it ended by itself"} {
		if f := p.fault(); f == nil || !strings.Contains(f.Error(), want) {
			t.Errorf("fault %v, want %q", f, want)
		}
	}
}

// A part that does not end is named, and does not keep the others from being
// stopped.
func TestPartThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParts()
		release := make(chan struct{})
		below := false
		p.start("server", func(ctx context.Context) error {
			<-ctx.Done()
			below = true
			return nil
		})
		p.start("guard", func(context.Context) error { <-release; return nil })
		began := time.Now()
		err := p.stop()
		if !errors.Is(err, pluginapi.ErrTimeout) || !strings.Contains(err.Error(), "stop guard: ") {
			t.Errorf("stop: %v, want that the guard hangs", err)
		}
		if took := time.Since(began); took != partBound || !below {
			t.Errorf("stop took %v, the other part has ended: %v", took, below)
		}
		close(release)
		synctest.Wait()
	})
}

// Five voters need five copies, an even number one fewer.
func TestReplicas(t *testing.T) {
	for voters, want := range map[int]int{1: 1, 2: 2, 3: 3, 4: 3, 5: 5} {
		if got := replicas(voters); got != want {
			t.Errorf("%d voters: %d replicas, want %d", voters, got, want)
		}
	}
}

// A wish that comes when the loop has ended is answered at once: whoever waits
// for its answer would hold up the end of the node.
func TestWishAfterTheLoop(t *testing.T) {
	n, err := New(Config{Platform: "p", Node: "n", NATS: bus.Config{URLs: []string{"nats://127.0.0.1:1"}}})
	if err != nil {
		t.Fatal(err)
	}
	close(n.over)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := (handler{n}).StepDown(ctx, "web"); !errors.Is(err, pluginapi.ErrShuttingDown) {
		t.Errorf("step down: %v", err)
	}
}

// The queue keeps order, never blocks who puts, and one signal is enough for
// any number of inputs.
func TestQueue(t *testing.T) {
	q := newQueue()
	if got := q.take(); len(got) != 0 {
		t.Errorf("an empty queue has %v", got)
	}
	for i := range 1000 {
		q.put(core.Forget{ID: uint64(2 * i)}, core.Forget{ID: uint64(2*i + 1)})
	}
	<-q.signal
	for i, in := range q.take() {
		if in != (core.Forget{ID: uint64(i)}) {
			t.Fatalf("input %d is %v", i, in)
		}
	}
	select {
	case <-q.signal:
		t.Error("a signal for nothing")
	default:
	}
	q.put(core.Shutdown{})
	<-q.signal
}

// The mailbox keeps order, waits, and ends with its context, mail or not.
func TestMailbox(t *testing.T) {
	m := newMailbox()
	got := make(chan any, 1)
	go func() {
		e, _ := m.next(t.Context())
		got <- e
	}()
	m.put(core.SayGone{Node: "n0"})
	select {
	case e := <-got:
		if e != (core.SayGone{Node: "n0"}) {
			t.Errorf("got %v", e)
		}
	case <-time.After(patience):
		t.Fatal("nobody wakes up")
	}
	m.put(core.SayGone{Node: "n1"})
	m.put(core.SayGone{Node: "n2"})
	for _, want := range []string{"n1", "n2"} {
		if e, ok := m.next(t.Context()); !ok || e != (core.SayGone{Node: want}) {
			t.Errorf("got %v, %v, want %s", e, ok, want)
		}
	}
	if e, ok := m.next(ended(t)); ok {
		t.Errorf("an ended context gets %v", e)
	}
	m.put(core.SayGone{Node: "n3"})
	if e, ok := m.next(ended(t)); ok {
		t.Errorf("an ended context gets %v", e)
	}
}

// A hook's panic is an error, one that overran its time says so, and the first
// failure ends the call.
func TestCall(t *testing.T) {
	boom := errors.New("boom")
	var called []int
	hook := func(i int, err error) func(context.Context) error {
		return func(context.Context) error { called = append(called, i); return err }
	}
	hooks := []func(context.Context) error{hook(1, nil), hook(2, boom), hook(3, nil)}
	if err := call(t.Context(), hooks); !errors.Is(err, boom) || !slices.Equal(called, []int{1, 2}) {
		t.Errorf("%v after %v", err, called)
	}
	if err := call(t.Context(), []func(context.Context) error{func(context.Context) error { panic("at the disco") }}); err == nil || err.Error() != "panic: at the disco" {
		t.Errorf("panic: %v", err)
	}
	late, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err := call(late, []func(context.Context) error{func(ctx context.Context) error { <-ctx.Done(); return nil }})
	if err == nil || !strings.Contains(err.Error(), "hook timed out after") {
		t.Errorf("late: %v", err)
	}
}

// A change of the health and its opposite, both untold, are no change.
func TestMailboxOfAFlappingCheck(t *testing.T) {
	m := newMailbox()
	status := func(s string) healthChanged { return healthChanged{pluginapi.HealthStatus{Status: s}} }
	m.put(core.SayGone{Node: "n0"})
	for range 100 {
		m.putHealth(status("failing"))
		m.putHealth(status("passing"))
	}
	m.putHealth(status("failing"))
	m.put(core.SayGone{Node: "n1"})
	m.putHealth(status("passing"))
	if len(m.items) != 4 {
		t.Fatalf("%d items", len(m.items))
	}
	for i, want := range []string{"", "failing", "", "passing"} {
		e, _ := m.next(t.Context())
		if h, ok := e.(healthChanged); ok != (want != "") || h.status.Status != want {
			t.Errorf("item %d is %+v, want %q", i, e, want)
		}
	}
}

package wasm

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// asks is a guest that, called without an input, asks its host and answers with
// the reply; its status says how often it was called.
func asks() module {
	ask := code(call(fnHostCall, c32(0), c32(4), c32(0), c32(4)), set(2+3), // the reply's length, a refusal in front
		get(5), opWrap, set(1),
		call(fnReplyRead, c32(buffer), get(1)), set(1), call(fnOutputWrite, c32(buffer), get(1)),
		get(5), opConst64, 32, opI64Shr, opWrap, 0x0f)
	m := hook(ask)
	m.data = "wait"
	m.funcs[1].wide = 1
	return m
}

// gate is a host that holds up its callers until it is told to let them go.
type gate struct {
	entered chan context.Context
	open    chan struct{}
}

func newGate() *gate {
	return &gate{entered: make(chan context.Context, 100), open: make(chan struct{})}
}

func (g *gate) Call(ctx context.Context, op string, in []byte) ([]byte, error) {
	g.entered <- ctx
	select {
	case <-g.open:
		return []byte(op + ":" + string(in)), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestHostCall: the reply and the refusal of the host reach the guest; the
// context that the host gets ends with the call.
func TestHostCall(t *testing.T) {
	r := newRuntime(t, Config{})
	g := newGate()
	close(g.open)
	i := load(t, r, asks().bytes(), plugin.Options{Host: g})
	out, err := i.Call(testContext(t), "event", nil)
	if err != nil || string(out) != "wait:wait" {
		t.Fatalf("%q, %v", out, err)
	}
	ctx := <-g.entered
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > 6*time.Second || ctx.Err() == nil {
		t.Fatal("the host's context outlives the call, or its limit")
	}
	for _, c := range []struct {
		host plugin.Host
		want error
	}{
		{nil, pluginapi.ErrNotGranted},
		{hostFuncOf(func(context.Context, string, []byte) ([]byte, error) { return nil, pluginapi.ErrKeyNotFound }), pluginapi.ErrKeyNotFound},
		{hostFuncOf(func(context.Context, string, []byte) ([]byte, error) { return make([]byte, 9<<20), nil }), pluginapi.ErrTooLarge},
	} {
		i := load(t, r, asks().bytes(), plugin.Options{Host: c.host})
		if out, err := i.Call(testContext(t), "event", nil); !errors.Is(err, c.want) {
			t.Fatalf("%q, %v; want %v", out, err, c.want)
		}
		if i.Stats().Restarts != 0 {
			t.Fatal("a refusal of the host cost the guest its life")
		}
	}
}

// TestSlowHost: a call that waits for the host ends with its limit, with its
// caller's context, and with the instance.
func TestSlowHost(t *testing.T) {
	r := newRuntime(t, Config{})
	g := newGate()
	i := load(t, r, asks().bytes(), plugin.Options{Host: g, Limits: plugin.Limits{Call: 50 * time.Millisecond}})
	if _, err := i.Call(testContext(t), "event", nil); !errors.Is(err, pluginapi.ErrPluginLimit) || errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	i = load(t, r, asks().bytes(), plugin.Options{Host: g})
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := i.Call(short, "event", nil); !errors.Is(err, pluginapi.ErrPluginLimit) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { _, err := i.Call(gone, "event", nil); done <- err }()
	<-g.entered
	<-g.entered
	<-g.entered
	leave()
	if err := <-done; !errors.Is(err, context.Canceled) || errors.Is(err, pluginapi.ErrPluginLimit) {
		t.Fatal(err)
	}
	if s := i.Stats(); s.Limits != 1 || s.Crashes != 0 || s.Restarts != 2 {
		t.Fatalf("who gives up is not the plugin's fault: %+v", s)
	}
	answers(t, i)
}

// slowTimer is a context whose deadline has passed and whose timer has not fired.
type slowTimer struct {
	context.Context
	end time.Time
}

func (s slowTimer) Deadline() (time.Time, bool) { return s.end, true }

// TestDeadlineBeforeTimer: the deadline counts, not the timer that tells of it.
func TestDeadlineBeforeTimer(t *testing.T) {
	i := load(t, newRuntime(t, Config{}), hook(forever()).bytes(), plugin.Options{Limits: plugin.Limits{Call: patience}})
	_, err := i.Call(slowTimer{context.Background(), time.Now()}, "event", nil)
	if !errors.Is(err, pluginapi.ErrPluginLimit) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the caller's deadline passed") {
		t.Fatal(err)
	}
}

// TestGuests: no more guests than allowed, each with one call at a time; who
// waits for one waits no longer than its context.
func TestGuests(t *testing.T) {
	r := newRuntime(t, Config{})
	g := newGate()
	i := load(t, r, asks().bytes(), plugin.Options{Host: g, Limits: plugin.Limits{Guests: 2}})
	done := make(chan error, 3)
	for range 3 {
		go func() { _, err := i.Call(testContext(t), "event", nil); done <- err }()
	}
	<-g.entered
	<-g.entered
	late, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := i.Call(late, "event", []byte("x")); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "wait for one of 2 guests") {
		t.Fatal(err)
	}
	if s := i.Stats(); s.Guests != 2 || len(g.entered) != 0 {
		t.Fatalf("%+v", s)
	}
	close(g.open)
	for range 3 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if s := i.Stats(); s.Guests != 2 || s.Calls != 3 || s.Memory != 2*pageSize || s.Restarts != 0 {
		t.Fatalf("%+v", s)
	}
}

// TestTurnThatComesTooLate: a guest, or the right to make one, that is given to
// somebody who has just given up goes to the next.
func TestTurnThatComesTooLate(t *testing.T) {
	i := load(t, newRuntime(t, Config{}), hook().bytes(), plugin.Options{Limits: plugin.Limits{Guests: 1}})
	gone, leave := context.WithCancel(context.Background())
	leave()
	late := 0
	for n := range 200 {
		turn := make(chan *guest, 1)
		g, err := i.acquire(testContext(t), "event")
		if err != nil {
			t.Fatal(err)
		}
		if n%2 == 0 {
			turn <- g
		} else {
			g.dead = pluginapi.ErrPluginCrashed
			i.mu.Lock()
			i.waiting = append(i.waiting, turn)
			i.mu.Unlock()
			i.release(g)
		}
		switch g, err := i.wait(gone, "event", turn); {
		case err == nil:
			i.release(g)
		case errors.Is(err, context.Canceled):
			late++
		default:
			t.Fatal(err)
		}
		answers(t, i)
	}
	if s := i.Stats(); late == 0 || s.Guests != 1 {
		t.Fatalf("%d turns came too late; %+v", late, s)
	}
}

// TestReentry: a plugin that is called by what it asks of its host does not wait
// for itself.
func TestReentry(t *testing.T) {
	r := newRuntime(t, Config{})
	var i plugin.Instance
	host := hostFuncOf(func(ctx context.Context, op string, in []byte) ([]byte, error) {
		return i.Call(ctx, "event", []byte("x"))
	})
	i = load(t, r, asks().bytes(), plugin.Options{Host: host, Limits: plugin.Limits{Guests: 1}})
	if _, err := i.Call(testContext(t), "event", nil); !errors.Is(err, pluginapi.ErrBusy) || !strings.Contains(err.Error(), "calls itself through its host") {
		t.Fatal(err)
	}
}

// TestDo: a guest that is lent keeps what its borrower has noted, until it is
// replaced, and is of no use after it was given back.
func TestDo(t *testing.T) {
	r := newRuntime(t, Config{})
	i := load(t, r, hook(code(opUnreachable)).bytes(), plugin.Options{Limits: plugin.Limits{Guests: 1}})
	ctx := testContext(t)
	var kept *plugin.Guest
	err := i.Do(ctx, func(g *plugin.Guest) error {
		kept = g
		g.Held = "mine"
		_, err := g.Call(ctx, "event", []byte("x"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kept.Call(ctx, "event", []byte("x")); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Fatal(err)
	}
	err = i.Do(ctx, func(g *plugin.Guest) error {
		if g.Held != "mine" {
			t.Error("the guest has forgotten")
		}
		_, crashed := g.Call(ctx, "event", nil)
		_, after := g.Call(ctx, "event", []byte("x"))
		if crashed == nil || !errors.Is(after, pluginapi.ErrPluginCrashed) {
			t.Error("a dead guest answers:", after)
		}
		return crashed
	})
	if !errors.Is(err, pluginapi.ErrPluginCrashed) {
		t.Fatal(err)
	}
	err = i.Do(ctx, func(g *plugin.Guest) error {
		if g.Held != nil {
			t.Error("a new guest remembers")
		}
		return pluginapi.ErrStale
	})
	if !errors.Is(err, pluginapi.ErrStale) {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = i.Do(ctx, func(*plugin.Guest) error { panic("a mistake of the caller") })
	}()
	answers(t, i)
}

// TestTwoCallsOfOneGuest: a borrower that shares its guest is told, and nothing
// is corrupted.
func TestTwoCallsOfOneGuest(t *testing.T) {
	r := newRuntime(t, Config{})
	gate := newGate()
	i := load(t, r, asks().bytes(), plugin.Options{Host: gate})
	err := i.Do(testContext(t), func(g *plugin.Guest) error {
		done := make(chan error, 1)
		go func() { _, err := g.Call(testContext(t), "event", nil); done <- err }()
		<-gate.entered
		if _, err := g.Call(testContext(t), "event", []byte("x")); !errors.Is(err, pluginapi.ErrBusy) {
			t.Error(err)
		}
		close(gate.open)
		return <-done
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestTiredGuests: a guest is replaced after so many calls, when its memory has
// grown too much, and when its stack has.
func TestTiredGuests(t *testing.T) {
	r := newRuntime(t, Config{})
	r.maxCalls = 3
	i := load(t, r, hook().bytes(), plugin.Options{Limits: plugin.Limits{Guests: 1}})
	for range 7 {
		answers(t, i)
	}
	if s := i.Stats(); s.Restarts != 2 || s.Crashes != 0 || s.Calls != 7 {
		t.Fatalf("%+v", s)
	}
	r.maxCalls = defaultCalls
	grow := hook(code(c32(40), opGrow, 0, opDrop))
	i = load(t, r, grow.bytes(), plugin.Options{Limits: plugin.Limits{Guests: 1, Memory: 64 * pageSize}})
	if _, err := i.Call(testContext(t), "event", nil); err != nil {
		t.Fatal(err)
	}
	if s := i.Stats(); s.Restarts != 1 || s.Limits != 0 {
		t.Fatalf("%+v", s)
	}
	answers(t, i)
	if s := i.Stats(); s.Memory != pageSize {
		t.Fatalf("%+v", s)
	}
	// f(n) = n == 0 ? n : f(n-1), and back: 100,000 calls deep
	deep := hook(code(call(fnCount+2, c32(100_000)), opDrop)).with(function{signature: "i->i",
		code: code(get(0), block(opIf, code(call(fnCount+2, get(0), c32(0xffffffff), opAdd), 0x0f)), get(0))})
	i = load(t, r, deep.bytes(), plugin.Options{Limits: plugin.Limits{Guests: 1}})
	if _, err := i.Call(testContext(t), "event", nil); err != nil {
		t.Fatal(err)
	}
	if s := i.Stats(); s.Restarts != 1 {
		t.Fatalf("a stack of 100,000 calls is kept, or wazero does not show it any more: %+v", s)
	}
}

// TestDeepStack: a stack is bounded well before wazero's own limit.
func TestDeepStack(t *testing.T) {
	endless := hook(call(fnCount+2, c32(0))).with(function{signature: "i->", code: call(fnCount+2, get(0))})
	i := load(t, newRuntime(t, Config{}), endless.bytes(), plugin.Options{Limits: plugin.Limits{Call: patience}})
	if _, err := i.Call(testContext(t), "event", nil); !errors.Is(err, pluginapi.ErrPluginLimit) || !strings.Contains(err.Error(), "its stack has more than 16384 KiB") {
		t.Fatal(err)
	}
}

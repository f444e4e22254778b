package wasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// TestClose: Close waits for the calls that run; those that do not end in its
// time are ended; later calls and those that wait are told.
func TestClose(t *testing.T) {
	r := newRuntime(t, Config{})
	g := newGate()
	i := load(t, r, asks().bytes(), plugin.Options{Host: g, Limits: plugin.Limits{Guests: 1}})
	done, waits, closed := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() { _, err := i.Call(testContext(t), "event", nil); done <- err }()
	<-g.entered
	go func() { _, err := i.Call(testContext(t), "event", nil); waits <- err }()
	eventually(t, func() bool { i.mu.Lock(); defer i.mu.Unlock(); return len(i.waiting) == 1 })
	go func() { closed <- i.Close(testContext(t)) }()
	if err := <-waits; !errors.Is(err, pluginapi.ErrPluginDisabled) {
		t.Fatal(err)
	}
	if _, err := i.Call(testContext(t), "event", nil); !errors.Is(err, pluginapi.ErrPluginDisabled) {
		t.Fatal(err)
	}
	select {
	case err := <-closed:
		t.Fatal("closed while a call runs:", err)
	default:
	}
	close(g.open)
	if err := errors.Join(<-done, <-closed); err != nil {
		t.Fatal(err)
	}
	if s := i.Stats(); s.Guests != 0 || s.Memory != 0 || s.Calls != 1 || len(r.entries) != 0 || len(r.instances) != 0 {
		t.Fatalf("%+v", s)
	}
	if err := i.Close(testContext(t)); err != nil {
		t.Fatal("the second Close:", err)
	}
}

// TestCloseEndsCalls: a guest that spins and one that waits for the host end when
// Close may not wait any longer.
func TestCloseEndsCalls(t *testing.T) {
	for name, m := range map[string]module{"spins": hook(forever()), "waits": asks(),
		"sleeps": func() module {
			m := hook(code(call(fnPollOneoff, c32(0), c32(100), c32(1), c32(200)), opDrop))
			m.data = sleepFor(time.Hour)
			return m
		}()} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t, Config{})
			i := load(t, r, m.bytes(), plugin.Options{Host: newGate(), Limits: plugin.Limits{Call: patience}})
			done := make(chan error, 1)
			go func() { _, err := i.Call(context.Background(), "event", nil); done <- err }()
			eventually(t, func() bool { i.mu.Lock(); defer i.mu.Unlock(); return len(i.idle) == 0 })
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if err := i.Close(ctx); err != nil {
				t.Fatal(err)
			}
			if err := <-done; !errors.Is(err, pluginapi.ErrPluginDisabled) {
				t.Fatal(err)
			}
		})
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, holds func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(end) {
			t.Fatal("it does not become true")
		}
		runtime.Gosched()
	}
}

// TestManyCallers: callers, crashes, limits, loans and a Close at the same time:
// every answer is right, every figure adds up, no goroutine and no guest stays.
func TestManyCallers(t *testing.T) {
	before := runtime.NumGoroutine()
	r := newRuntime(t, Config{})
	var log journal
	i := load(t, r, hook(code(opUnreachable)).bytes(), plugin.Options{Logger: log.logger(), Limits: plugin.Limits{Guests: 3}})
	const callers, rounds = 100, 60
	var wg sync.WaitGroup
	var calls, crashes, disabled atomic.Uint64
	for c := range callers {
		wg.Go(func() {
			for n := range rounds {
				in := []byte(fmt.Sprintf("caller %d, call %d", c, n))
				if (c+n)%7 == 0 {
					in = nil
				}
				out, err := i.callSomehow(t, n, in)
				switch {
				case errors.Is(err, pluginapi.ErrPluginDisabled):
					disabled.Add(1)
					return
				case errors.Is(err, pluginapi.ErrPluginCrashed) && in == nil:
					crashes.Add(1)
				case err != nil || !bytes.Equal(in, out):
					t.Errorf("%q: %q, %v", in, out, err)
				}
				if calls.Add(1) == callers*rounds*3/4 {
					wg.Go(func() {
						if err := i.Close(testContext(t)); err != nil {
							t.Error(err)
						}
					})
				}
			}
		})
	}
	wg.Wait()
	s := i.Stats()
	if s.Calls != calls.Load() || s.Crashes != crashes.Load() || s.Errors != crashes.Load() || s.Guests != 0 || s.Memory != 0 || disabled.Load() == 0 {
		t.Fatalf("%d calls, %d crashes, %d too late; %+v", calls.Load(), crashes.Load(), disabled.Load(), s)
	}
	eventually(t, func() bool { return runtime.NumGoroutine() <= before })
}

func (i *instance) callSomehow(t *testing.T, n int, in []byte) (out []byte, err error) {
	ctx := testContext(t)
	if n%3 > 0 {
		return i.Call(ctx, wire.OpEvent, in)
	}
	err = i.Do(ctx, func(g *plugin.Guest) (err error) {
		out, err = g.Call(ctx, wire.OpEvent, in)
		return err
	})
	return out, err
}

// TestEmptyCallAllocates: nothing.
func TestEmptyCallAllocates(t *testing.T) {
	i := load(t, newRuntime(t, Config{}), hook(c32(0), 0x0f).bytes(), plugin.Options{})
	ctx := context.Background()
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := i.Call(ctx, wire.OpEvent, nil); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

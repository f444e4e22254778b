package catalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// TestSwapsUnderLoad: 1000 upgrades while callers call without a pause. No call
// fails, none reaches a version that was closed, each version is closed, and
// none while a call runs on it.
func TestSwapsUnderLoad(t *testing.T) {
	const upgrades, callers = 1000, 4
	h := newHandle("greet", Use{}, nil)
	next := func(i int) *loaded { return h.add(newFakeInstance(fmt.Sprint(i)), &meter{}) }
	h.swap(next(0))
	ctx, stop := context.WithCancel(t.Context())
	var calls, late atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for ctx.Err() == nil {
				var err error
				if i%2 == 0 {
					_, err = h.Call(t.Context(), "event", nil)
				} else {
					err = h.Do(t.Context(), func(g *plugin.Guest) error {
						for range 3 {
							if _, err := g.Call(t.Context(), "rank", nil); err != nil {
								return err
							}
						}
						return nil
					})
				}
				if err != nil {
					t.Errorf("call: %v", err)
					return
				}
				calls.Add(1)
				if n := calls.Load(); n%64 == 0 { // the upgrades need the cores too
					<-time.After(50 * time.Microsecond)
				}
			}
		})
	}
	var ends sync.WaitGroup
	for i := range upgrades {
		before := calls.Load()
		old := h.swap(next(i + 1))
		ends.Go(func() {
			if err := old.end(t.Context()); err != nil {
				t.Errorf("end: %v", err)
			}
			if in := old.inst.(*fakeInstance); !in.closed.Load() || in.inside.Load() != 0 {
				late.Add(1)
			}
			h.ended(old)
		})
		for i%10 == 0 && calls.Load() == before && ctx.Err() == nil && !t.Failed() { // so that there is load on many of them
			select {
			case <-time.After(time.Millisecond):
			case <-t.Context().Done():
			}
		}
	}
	stop()
	wg.Wait()
	ends.Wait()
	if late.Load() > 0 {
		t.Errorf("%d versions were closed with calls on them, or not closed", late.Load())
	}
	if s := h.Stats(); s.Calls < uint64(calls.Load()) || s.Errors > 0 {
		t.Errorf("%+v after %d calls", s, calls.Load())
	}
	t.Logf("%d upgrades, %d calls", upgrades, calls.Load())
}

// TestDrain: a call that runs keeps its version alive, and is the last on it.
func TestDrain(t *testing.T) {
	h := newHandle("greet", Use{}, nil)
	in := newFakeInstance("1")
	in.hold = make(chan struct{})
	in.begun = make(chan struct{}, 1)
	h.swap(newLoaded(in, &meter{}))
	ended := make(chan error, 1)
	go func() {
		out, err := h.Call(t.Context(), "event", nil)
		if err == nil && string(out) != "1" {
			err = fmt.Errorf("answered by %s", out)
		}
		ended <- err
	}()
	<-in.begun
	old := h.swap(newLoaded(newFakeInstance("2"), &meter{}))
	closed := make(chan error, 1)
	go func() { closed <- old.end(t.Context()) }()
	if out, err := h.Call(t.Context(), "event", nil); err != nil || string(out) != "2" {
		t.Errorf("%s, %v", out, err)
	}
	select {
	case <-closed:
		t.Error("closed while a call runs")
	default:
	}
	close(in.hold)
	if err := errors.Join(<-ended, <-closed); err != nil {
		t.Error(err)
	}
	// One that never ends is not waited for without end.
	in = newFakeInstance("3")
	in.hold, in.begun = make(chan struct{}), make(chan struct{}, 1)
	defer close(in.hold)
	h.swap(newLoaded(in, &meter{}))
	go h.Call(t.Context(), "event", nil)
	<-in.begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.swap(nil).end(ctx); err != nil || !in.closed.Load() {
		t.Errorf("%v, closed %v", err, in.closed.Load())
	}
}

// TestEmpty: without a version, calls get the reason.
func TestEmpty(t *testing.T) {
	h := newHandle("greet", Use{}, nil)
	if _, err := h.Call(t.Context(), "event", nil); !errors.Is(err, pluginapi.ErrPluginNotFound) {
		t.Error(err)
	}
	h.empty(pluginapi.ErrPluginDisabled)
	if err := h.Do(t.Context(), nil); !errors.Is(err, pluginapi.ErrPluginDisabled) {
		t.Error(err)
	}
}

// TestMeter: what is slow is told to within a quarter, and what is no fault is
// not counted as one.
func TestMeter(t *testing.T) {
	for _, d := range []time.Duration{0, time.Microsecond, 7 * time.Microsecond, 100 * time.Microsecond, 12 * time.Millisecond, time.Minute, time.Hour} {
		if got := longest(step(d)); got < d.Truncate(time.Microsecond) || got > d+d/3+5*time.Microsecond {
			t.Errorf("%v is counted as %v", d, got)
		}
	}
	var m meter
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	m.end(cancelled, time.Now().Add(-time.Hour), context.Canceled)
	for i := range 100 {
		took := time.Millisecond
		if i%20 == 0 {
			took = time.Second
		}
		var err error
		switch i {
		case 1:
			err = fmt.Errorf("no: %w", pluginapi.ErrRejected)
		case 2:
			err = pluginapi.ErrStale
		case 3, 4, 5:
			err = pluginapi.ErrPluginCrashed
		case 6:
			err = context.DeadlineExceeded
		}
		m.end(t.Context(), time.Now().Add(-took), err)
	}
	got := m.tally()
	if got.Calls != 100 || got.Faults != 4 || got.SlowUS < 1000 || got.SlowUS > 30_000 {
		t.Errorf("%+v", got)
	}
	timed := 0
	for range 2000 {
		begun := m.begin()
		if !begun.IsZero() {
			timed++
		}
		m.end(t.Context(), begun, nil)
	}
	if timed < 300 || timed > 500 { // 156 of the first ones, and an eighth of the others
		t.Errorf("%d of 2000 calls were timed", timed)
	}
}

func BenchmarkHandleCall(b *testing.B) {
	h := newHandle("greet", Use{}, nil)
	h.swap(newLoaded(newFakeInstance("1"), &meter{}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Call(context.Background(), "event", nil); err != nil {
			b.Fatal(err)
		}
	}
}

// TestInVain: who comes too late is sent away, however often, and ends nothing a
// second time.
func TestInVain(t *testing.T) {
	l := newLoaded(newFakeInstance("1"), &meter{})
	if !l.enter() {
		t.Fatal("nobody may come in")
	}
	ended := make(chan error, 1)
	go func() { ended <- l.end(t.Context()) }()
	for l.enter() { // until the end has begun
		l.leave()
	}
	l.leave()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for range 3 {
		if l.enter() {
			t.Error("one came in after the end")
		}
	}
}

func BenchmarkBareCall(b *testing.B) {
	in := newFakeInstance("1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := in.Call(context.Background(), "event", nil); err != nil {
			b.Fatal(err)
		}
	}
}

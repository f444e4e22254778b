package adapt_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// service is a plugin of a backend whose answers a test sets.
type service struct {
	mu     sync.Mutex
	status wire.Status
	err    error // of status
	asked  int   // for the status
	grace  []int64
	epochs []uint64
	fences []pluginapi.Fence
	slow   chan struct{} // a start waits for it; nil: it does not
}

func (s *service) Call(_ context.Context, op string, in []byte) ([]byte, error) {
	if op == wire.OpStart && s.slow != nil {
		<-s.slow
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch op {
	case wire.OpStart:
		var m wire.Start
		err := m.Decode(in)
		s.epochs = append(s.epochs, m.Epoch)
		return nil, err
	case wire.OpStop:
		var m wire.Stop
		err := m.Decode(in)
		s.grace = append(s.grace, m.GraceMS)
		return nil, err
	case wire.OpStatus:
		s.asked++
		return s.status.Append(nil), s.err
	case wire.OpBind:
		return (&wire.Fences{Fences: s.fences}).Append(nil), nil
	}
	return nil, pluginapi.ErrNoMethod
}

func (s *service) Do(context.Context, func(*plugin.Guest) error) error { return pluginapi.ErrNoMethod }
func (s *service) Stats() plugin.Stats                                 { return plugin.Stats{} }
func (s *service) Close(context.Context) error                         { return nil }

func (s *service) set(st wire.Status, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.err = st, err
}

func (s *service) polls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func newBackend(t *testing.T) (*adapt.Backend, *service) {
	t.Helper()
	s := &service{status: wire.Status{Status: pluginapi.StatusRunning}}
	b, err := adapt.NewBackend(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return b, s
}

// TestPollsOnlyWhileStarted: once a second, from the end of the start to the
// begin of the stop, and no goroutine is left (the bubble waits for all).
func TestPollsOnlyWhileStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBackend(t)
		time.Sleep(time.Minute)
		if n := s.polls(); n != 0 {
			t.Errorf("asked %d times before the start", n)
		}
		if err := errors.Join(b.Start(t.Context()), b.Start(t.Context())); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Second + time.Millisecond)
		if n := s.polls(); n != 10 {
			t.Errorf("asked %d times in 10 s", n)
		}
		if err := b.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := s.polls(); n != 10 {
			t.Errorf("asked %d times after the stop", n-10)
		}
		if err := errors.Join(b.Start(t.Context()), b.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
	})
}

// TestGivesUp: one word on Failed, and none from a plugin that does not answer.
func TestGivesUp(t *testing.T) {
	for name, c := range map[string]struct {
		status wire.Status
		err    error
		want   string
		after  time.Duration
	}{
		"it says so":        {status: wire.Status{Status: pluginapi.StatusUnhealthy, Failed: "worn out"}, want: "worn out", after: time.Second},
		"it is stopped":     {status: wire.Status{Status: pluginapi.StatusStopped}, want: "the plugin says that the service is stopped; nobody has stopped it", after: 3 * time.Second},
		"it starts again":   {status: wire.Status{Status: pluginapi.StatusStarting}},
		"no answer":         {err: pluginapi.ErrPluginCrashed},
		"an unknown status": {status: wire.Status{Status: "fine", Failed: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, s := newBackend(t)
				if err := b.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.set(c.status, c.err)
				begun := time.Now()
				select {
				case err := <-b.Failed():
					if err.Error() != c.want || time.Since(begun) != c.after {
						t.Errorf("after %v: %v, want %q after %v", time.Since(begun), err, c.want, c.after)
					}
				case <-time.After(time.Minute):
					if c.want != "" {
						t.Error("nothing")
					}
				}
				s.set(wire.Status{Status: pluginapi.StatusUnhealthy, Failed: "again"}, nil)
				time.Sleep(time.Minute)
				if err := errors.Join(b.Start(t.Context()), b.Stop(t.Context())); err != nil {
					t.Fatal(err)
				}
				select {
				case err := <-b.Failed():
					t.Errorf("a stopped service gives up: %v", err)
				default:
				}
			})
		})
	}
}

// TestStoppedForAMoment: only three times in a row it counts.
func TestStoppedForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBackend(t)
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond) // between two questions
		for range 10 {
			s.set(wire.Status{Status: pluginapi.StatusStopped}, nil)
			time.Sleep(2 * time.Second)
			s.set(wire.Status{Status: pluginapi.StatusStarting}, nil)
			time.Sleep(time.Second)
		}
		select {
		case err := <-b.Failed():
			t.Error(err)
		default:
		}
		if err := b.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestStopOvertakesAStart: it does not wait for it, and nobody asks for a service
// whose start was overtaken.
func TestStopOvertakesAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBackend(t)
		s.slow = make(chan struct{})
		started := make(chan error)
		go func() { started <- b.Start(t.Context()) }()
		synctest.Wait()
		if err := b.Stop(t.Context()); err != nil || len(s.grace) != 1 {
			t.Errorf("stop: %v, %d stops at the plugin", err, len(s.grace))
		}
		close(s.slow)
		if err := <-started; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if n := s.polls(); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newBackend(t)
		for _, d := range []time.Duration{0, 5 * time.Second, time.Minute, -time.Second} {
			ctx, cancel := context.WithCancel(t.Context())
			if d != 0 {
				ctx, cancel = context.WithTimeout(t.Context(), d)
			}
			// A context that has ended may be refused before the call.
			if err := b.Stop(ctx); err != nil && d > 0 {
				t.Error(err)
			}
			cancel()
		}
		for i, want := range []int64{10_000, 4500, 59_000} {
			if s.grace[i] != want {
				t.Errorf("grace %d: %d ms, want %d", i, s.grace[i], want)
			}
		}
		if len(s.grace) > 3 && s.grace[3] != 0 {
			t.Errorf("a grace of %d ms when there is no time", s.grace[3])
		}
	})
}

func TestHealth(t *testing.T) {
	b, s := newBackend(t)
	s.set(wire.Status{Status: pluginapi.StatusStarting, Message: "soon", UptimeMS: 1500}, nil)
	h, err := b.Health(t.Context())
	if want := (pluginapi.BackendHealth{Status: pluginapi.StatusStarting, Message: "soon", Uptime: 1500 * time.Millisecond}); err != nil || h != want {
		t.Errorf("%+v, %v", h, err)
	}
	for _, ms := range []int64{-1 << 63, 1<<63 - 1} {
		s.set(wire.Status{Status: pluginapi.StatusRunning, UptimeMS: ms}, nil)
		if h, err = b.Health(t.Context()); err != nil || h.Uptime < 0 {
			t.Errorf("uptime of %d ms: %v, %v", ms, h.Uptime, err)
		}
	}
	s.set(wire.Status{Status: "fine"}, nil)
	if _, err = b.Health(t.Context()); !errors.Is(err, pluginapi.ErrPluginProtocol) {
		t.Errorf("an unknown status: %v", err)
	}
}

func TestEpochGoesAlong(t *testing.T) {
	b, s := newBackend(t)
	defer func() {
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	held := pluginapi.Lease{Epoch: 77, Valid: func() bool { return true }}
	lost := pluginapi.Lease{Epoch: 78, Valid: func() bool { return false }}
	if err := errors.Join(b.Start(pluginapi.WithLease(t.Context(), held)), b.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(pluginapi.WithLease(t.Context(), lost)); !errors.Is(err, pluginapi.ErrNotLeader) {
		t.Errorf("a lease that does not hold: %v", err)
	}
	if len(s.epochs) != 2 || s.epochs[0] != 77 || s.epochs[1] != 0 {
		t.Errorf("epochs %v", s.epochs)
	}
}

// TestFencesOfOthersAreRefused: a guard kills what a fence names.
func TestFencesOfOthersAreRefused(t *testing.T) {
	in := pluginapi.Instance{Platform: "p", Node: "n", App: "a"}
	env := func(name string) pluginapi.Fence { return pluginapi.Fence{Kind: pluginapi.FenceEnv, Name: name} }
	group := func(name string) pluginapi.Fence {
		return pluginapi.Fence{Kind: pluginapi.FenceCgroup, Name: name}
	}
	for _, f := range []pluginapi.Fence{env("GCHOST_INSTANCE=p.n.a"), group("/sys/fs/cgroup/gchost/p.n.a"), group("/sys/fs/cgroup/system.slice/gchost.service/gchost/p.n.a/run-1")} {
		b, s := newBackend(t)
		s.fences = []pluginapi.Fence{f}
		if got, err := b.Bind(in); err != nil || len(got) != 1 || got[0] != f {
			t.Errorf("%v: %v, %v", f, got, err)
		}
	}
	for _, f := range []pluginapi.Fence{
		{}, {Kind: "pid", Name: "1"},
		env(""), env("GCHOST_INSTANCE=p.n.b"), env("GCHOST_INSTANCE=p.n.a.b"), env("PATH=/bin"), env("GCHOST_INSTANCE="),
		group(""), group("/sys/fs/cgroup"), group("/sys/fs/cgroup/system.slice/ssh.service"), group("/sys/fs/cgroup/gchost/p.n.ab"),
		group("/sys/fs/cgroup/gchost/p.n.a/../p.n.b"), group("/p.n.a"), group("sys/fs/cgroup/p.n.a"), group("/sys/fs/cgroup/p.n.a/"), group("/sys/fs/cgroup/p.n.a/x\x00"), group("/sys/fs/cgroup/p.n.a/" + strings.Repeat("x", 1024)),
	} {
		b, s := newBackend(t)
		s.fences = []pluginapi.Fence{env("GCHOST_INSTANCE=p.n.a"), f}
		if got, err := b.Bind(in); !errors.Is(err, pluginapi.ErrPluginProtocol) || got != nil {
			t.Errorf("%v: %v, %v", f, got, err)
		}
	}
	b, s := newBackend(t)
	s.fences = make([]pluginapi.Fence, 17)
	if _, err := b.Bind(in); !errors.Is(err, pluginapi.ErrPluginProtocol) {
		t.Errorf("17 fences: %v", err)
	}
	none := &scripted{do: func(context.Context, string, []byte) ([]byte, error) { return nil, pluginapi.ErrNoMethod }}
	unbound, err := adapt.NewBackend(t.Context(), none)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := unbound.Bind(in); err != nil || got != nil {
		t.Errorf("one that has nothing to be killed: %v, %v", got, err)
	}
}

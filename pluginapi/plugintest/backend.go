package plugintest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest/reference"
)

// Backend is the suite for backends. New gives one whose service is stopped, can
// be started, and lives until it is stopped.
type Backend struct {
	New       func(t T) pluginapi.Backend
	Reference bool // it is reference.Backend
}

// Run runs the suite.
func (s Backend) Run(t *testing.T) {
	t.Helper()
	run(t, s.Checks())
}

// Checks lists the suite: the laws, and the reference checks if they apply. Each
// stops the service in the end.
func (s Backend) Checks() []Check {
	with := func(fn func(t T, b pluginapi.Backend)) func(T) {
		return func(t T) {
			t.Helper()
			b := s.New(t)
			t.Cleanup(func() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
				defer cancel()
				if err := b.Stop(ctx); err != nil {
					t.Errorf("the last stop: %v", err)
				}
			})
			fn(t, b)
		}
	}
	checks := []Check{
		{"stopped before the first start", with(backendFresh)},
		{"start and stop may be repeated", with(backendRepeats)},
		{"it starts again", with(backendRestarts)},
		{"starts and stops at one time", with(backendConcurrent)},
		{"a start whose context has ended", with(backendCancelled)},
		{"a stop without time", with(backendForced)},
	}
	if s.Reference {
		checks = append(checks,
			Check{"failures keep their code", with(backendFails)},
			Check{"a service that is given up", with(backendGivesUp)},
			Check{"a lease that does not hold", with(backendWithoutLease)},
			Check{"what the guard has to kill", with(backendFences)},
		)
	}
	return checks
}

func start(t T, b pluginapi.Backend, epoch uint64) error {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if epoch > 0 {
		ctx = pluginapi.WithLease(ctx, pluginapi.Lease{
			Epoch: pluginapi.Epoch(epoch), Valid: func() bool { return true }, Until: func() time.Duration { return patience },
		})
	}
	return b.Start(ctx)
}

func stop(t T, b pluginapi.Backend) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		t.Fatalf("stop: %v", err)
	}
}

// is wants the status now: a start returns when the service is ready, a stop
// when nothing of it runs.
func is(t T, b pluginapi.Backend, want string) pluginapi.BackendHealth {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	h, err := b.Health(ctx)
	if err != nil || h.Status != want || h.Uptime < 0 {
		t.Fatalf("health: %+v, %v, want %s", h, err, want)
	}
	return h
}

func mustStart(t T, b pluginapi.Backend) {
	t.Helper()
	if err := start(t, b, 1); err != nil {
		t.Fatalf("start: %v", err)
	}
}

func backendFresh(t T, b pluginapi.Backend) {
	is(t, b, pluginapi.StatusStopped)
	stop(t, b)
	is(t, b, pluginapi.StatusStopped)
}

func backendRepeats(t T, b pluginapi.Backend) {
	for range 3 {
		mustStart(t, b)
		is(t, b, pluginapi.StatusRunning)
	}
	for range 3 {
		stop(t, b)
		is(t, b, pluginapi.StatusStopped)
	}
}

func backendRestarts(t T, b pluginapi.Backend) {
	for range 5 {
		mustStart(t, b)
		is(t, b, pluginapi.StatusRunning)
		stop(t, b)
		is(t, b, pluginapi.StatusStopped)
	}
}

func backendConcurrent(t T, b pluginapi.Backend) {
	together(t, "4 goroutines that start and 4 that stop", 8, func(i int) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for range 5 {
			if i%2 == 0 {
				_ = b.Start(ctx) // a stop may end it
			} else if err := b.Stop(ctx); err != nil {
				t.Errorf("stop beside others: %v", err)
			}
		}
	})
	mustStart(t, b)
	is(t, b, pluginapi.StatusRunning)
	stop(t, b)
	is(t, b, pluginapi.StatusStopped)
}

func backendCancelled(t T, b pluginapi.Backend) {
	ended(t, "start with a context that has ended", func() {
		if err := b.Start(over(t)); err == nil {
			t.Errorf("a start whose context has ended says that the service is ready")
		}
	})
	stop(t, b)
	mustStart(t, b)
	is(t, b, pluginapi.StatusRunning)
}

// backendForced: a stop that has no time for grace ends the service too, or says
// that it did not; the next one ends it.
func backendForced(t T, b pluginapi.Backend) {
	mustStart(t, b)
	ended(t, "stop with a context that has ended", func() {
		if err := b.Stop(over(t)); err == nil {
			is(t, b, pluginapi.StatusStopped)
		}
	})
	stop(t, b)
	is(t, b, pluginapi.StatusStopped)
}

func backendFails(t T, b pluginapi.Backend) {
	if err := start(t, b, reference.EpochFenced); !errors.Is(err, pluginapi.ErrFenced) {
		t.Errorf("start with epoch %d: %v, want ErrFenced", reference.EpochFenced, err)
	}
	is(t, b, pluginapi.StatusStopped)
	mustStart(t, b)
	is(t, b, pluginapi.StatusRunning)
}

func backendGivesUp(t T, b pluginapi.Backend) {
	s, ok := b.(pluginapi.Supervised)
	if !ok {
		t.Fatalf("%T does not say when it gives up", b)
	}
	for range 2 {
		if err := start(t, b, reference.EpochWornOut); err != nil {
			t.Fatalf("start: %v", err)
		}
		select {
		case err := <-s.Failed():
			if err == nil || !strings.Contains(err.Error(), "worn out") {
				t.Errorf("it gives up: %v", err)
			}
		case <-time.After(patience):
			t.Fatalf("nothing on Failed")
		}
		is(t, b, pluginapi.StatusUnhealthy)
		stop(t, b)
	}
	mustStart(t, b)
	is(t, b, pluginapi.StatusRunning)
	select {
	case err := <-s.Failed():
		t.Errorf("a healthy service gives up: %v", err)
	default:
	}
}

func backendWithoutLease(t T, b pluginapi.Backend) {
	lost := pluginapi.Lease{Epoch: 5, Valid: func() bool { return false }, Until: func() time.Duration { return 0 }}
	if err := b.Start(pluginapi.WithLease(t.Context(), lost)); !errors.Is(err, pluginapi.ErrNotLeader) {
		t.Errorf("start: %v, want ErrNotLeader", err)
	}
	is(t, b, pluginapi.StatusStopped)
}

func backendFences(t T, b pluginapi.Backend) {
	k, ok := b.(pluginapi.Killable)
	if !ok {
		t.Fatalf("%T cannot be bound", b)
	}
	fences, err := k.Bind(pluginapi.Instance{Platform: "p", Node: "n", App: "a", Dir: "/var/lib/x"})
	want := []pluginapi.Fence{{Kind: pluginapi.FenceEnv, Name: "GCHOST_INSTANCE=p.n.a"}}
	if err != nil || !slices.Equal(fences, want) {
		t.Errorf("bind: %v, %v, want %v", fences, err, want)
	}
	if _, err := k.Bind(pluginapi.Instance{Platform: "p", Node: "a b", App: "a"}); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("bind with a wrong name: %v", err)
	}
}

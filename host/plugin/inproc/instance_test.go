package inproc_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/inproc"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// handler does a few things by the name of the operation.
func handler(guests *atomic.Int64) func() inproc.Handler {
	return func() inproc.Handler {
		guests.Add(1)
		var calls byte
		return func(ctx context.Context, op string, in []byte) ([]byte, error) {
			calls++
			switch op {
			case "count":
				return []byte{calls}, nil
			case "panic":
				panic("at the disco")
			case "wait":
				<-ctx.Done()
				return nil, ctx.Err()
			case "long":
				return make([]byte, 100), nil
			case "busy":
				return nil, &wire.Error{Code: "busy", Retry: true}
			case wire.OpConfigure:
				if strings.Contains(string(in), "refuse me") {
					return nil, pluginapi.ErrInvalid
				}
				calls = 0
				return nil, nil
			}
			return nil, pluginapi.ErrNoMethod
		}
	}
}

func newInstance(limits plugin.Limits) (*inproc.Instance, *atomic.Int64) {
	made := new(atomic.Int64)
	return inproc.New(handler(made), wire.ContractHook, plugin.Options{Limits: limits}), made
}

// TestBrokenGuestsAreReplaced: after a crash and after a limit the next call has
// a new guest; after an answer, even a failure, it has the old one.
func TestBrokenGuestsAreReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, made := newInstance(plugin.Limits{Guests: 1, Output: 99, Input: 50})
		if _, err := i.Call(t.Context(), "count", nil); err != nil {
			t.Fatal(err)
		}
		for n, c := range []struct {
			op      string
			in      int
			want    error
			replace bool
		}{
			{"busy", 0, pluginapi.ErrBusy, false},
			{"nothing", 0, pluginapi.ErrNoMethod, false},
			{"count", 51, pluginapi.ErrTooLarge, false},
			{"panic", 0, pluginapi.ErrPluginCrashed, true},
			{"wait", 0, pluginapi.ErrPluginLimit, true},
			{"long", 0, pluginapi.ErrPluginLimit, true},
		} {
			before := made.Load()
			if _, err := i.Call(t.Context(), c.op, make([]byte, c.in)); !errors.Is(err, c.want) {
				t.Errorf("%d, %s: %v, want %v", n, c.op, err, c.want)
			}
			out, err := i.Call(t.Context(), "count", nil)
			if err != nil || (out[0] == 1) != c.replace {
				t.Errorf("%d, after %s: call %v, %v", n, c.op, out, err)
			}
			if (made.Load() > before) != c.replace {
				t.Errorf("%d, after %s: %d guests were made", n, c.op, made.Load()-before)
			}
		}
		s := i.Stats()
		if s.Crashes != 1 || s.Limits != 2 || s.Restarts != 3 || s.Guests != 1 || s.Errors != 5 || s.Mode != "built in" {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestCallersContextIsNoLimit: who gives up says nothing of the plugin.
func TestCallersContextIsNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, _ := newInstance(plugin.Limits{Guests: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := i.Call(ctx, "wait", nil); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, pluginapi.ErrPluginLimit) {
			t.Errorf("%v", err)
		}
		if s := i.Stats(); s.Restarts != 0 || s.Limits != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestGuestsAreOnesOwn: in Do a guest is nobody else's, what it holds stays with
// it, and waiting for one heeds the context.
func TestGuestsAreOnesOwn(t *testing.T) {
	i, made := newInstance(plugin.Limits{Guests: 2})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				err := i.Do(t.Context(), func(g *plugin.Guest) error {
					n, _ := g.Held.(int)
					a, err := g.Call(t.Context(), "count", nil)
					b, err2 := g.Call(t.Context(), "count", nil)
					if err != nil || err2 != nil || b[0] != a[0]+1 || a[0] != byte(2*n+1) {
						t.Errorf("two calls in a row: %v, %v, %v, %v; %d held", a, b, err, err2, n)
					}
					g.Held = n + 1
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := made.Load(); n > 2 {
		t.Errorf("%d guests", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_ = i.Do(t.Context(), func(*plugin.Guest) error {
		return i.Do(t.Context(), func(*plugin.Guest) error {
			cancel()
			if _, err := i.Call(ctx, "count", nil); !errors.Is(err, context.Canceled) {
				t.Errorf("no guest is free: %v", err)
			}
			return nil
		})
	})
}

func TestConfigureFirst(t *testing.T) {
	made := new(atomic.Int64)
	i := inproc.New(handler(made), wire.ContractHook, plugin.Options{Configure: wire.Configure{Config: []byte("refuse me")}})
	for range 2 {
		if _, err := i.Call(t.Context(), "count", nil); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%v", err)
		}
	}
	if s := i.Stats(); made.Load() != 2 || s.Guests != 0 || s.Restarts != 2 {
		t.Errorf("%d guests made, stats %+v", made.Load(), s)
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, _ := newInstance(plugin.Limits{Guests: 2})
		hold := make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() { _ = i.Do(t.Context(), func(*plugin.Guest) error { <-hold; return nil }) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := i.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close with a call under way: %v", err)
		}
		if _, err := i.Call(t.Context(), "count", nil); !errors.Is(err, pluginapi.ErrShuttingDown) {
			t.Errorf("call after close: %v", err)
		}
		close(hold)
		if err := errors.Join(i.Close(t.Context()), i.Close(t.Context())); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
}

package plugintest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/answer"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest/reference"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// witness is a T that remembers.
type witness struct {
	ctx     context.Context
	mu      sync.Mutex
	said    []string
	cleanup []func()
}

func (w *witness) Helper()                  {}
func (w *witness) Context() context.Context { return w.ctx }
func (w *witness) Cleanup(fn func())        { w.cleanup = append(w.cleanup, fn) }
func (w *witness) Errorf(f string, a ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, fmt.Sprintf(f, a...))
}

func (w *witness) Fatalf(f string, a ...any) {
	w.Errorf(f, a...)
	runtime.Goexit()
}

// watch runs a check as a command would, and returns what it said.
func watch(t *testing.T, c plugintest.Check) []string {
	w := &witness{ctx: t.Context()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(w)
	}()
	<-done
	for _, fn := range slices.Backward(w.cleanup) {
		fn()
	}
	return w.said
}

// caught wants the named check, among all, to find the fault.
func caught(t *testing.T, checks []plugintest.Check, name string) {
	t.Helper()
	i := slices.IndexFunc(checks, func(c plugintest.Check) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no check is named %q", name)
	}
	if said := watch(t, checks[i]); len(said) == 0 {
		t.Errorf("%q finds nothing", name)
	}
}

type policyFunc func(ctx context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error)

func (f policyFunc) Rank(ctx context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
	return f(ctx, app, table)
}

// TestPolicySuiteFindsFaults gives it policies with one fault each.
func TestPolicySuiteFindsFaults(t *testing.T) {
	score := reference.Policy{}.Rank
	var calls atomic.Int64
	var busy atomic.Int64
	for name, p := range map[string]policyFunc{
		"one score for each candidate": func(ctx context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
			s, err := score(ctx, app, table)
			return s[:min(len(s), 999)], err
		},
		"the same question has the same answer": func(ctx context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
			s, err := score(ctx, app, table)
			s[0] = calls.Add(1)
			return s, err
		},
		"a table's changes are seen": stuck(score),
		"the arguments are not changed": func(ctx context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
			table.Candidates[0].Leads++
			return score(ctx, app, table)
		},
		"many at a time": func(ctx context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
			defer busy.Add(-1)
			if busy.Add(1) > 1 {
				return nil, pluginapi.ErrBusy
			}
			runtime.Gosched()
			return score(ctx, app, table)
		},
		"a context that has ended": func(ctx context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
			if ctx.Err() != nil {
				return make([]int64, len(table.Candidates)), nil
			}
			return score(ctx, app, table)
		},
		"label score, by hand": func(ctx context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
			app.Requires = nil
			return score(ctx, app, table)
		},
		"label score, by the reference": func(ctx context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
			s, err := score(ctx, app, table)
			if len(s) > 500 {
				s[500]++
			}
			return s, err
		},
		"failures keep their code": func(ctx context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
			s, err := score(ctx, app, table)
			if err != nil {
				err = errors.New(err.Error())
			}
			return s, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			fresh := func(plugintest.T) pluginapi.Policy { return p }
			caught(t, plugintest.Policy{New: fresh, Reference: true}.Checks(), name)
		})
	}
	t.Run("what was asked before changes nothing", func(t *testing.T) {
		fresh := func(plugintest.T) pluginapi.Policy { return policyFunc(stuck(score)) }
		caught(t, plugintest.Policy{New: fresh}.Checks(), "what was asked before changes nothing")
	})
}

// stuck ranks by the first table of each size that it has seen.
func stuck(score policyFunc) policyFunc {
	var mu sync.Mutex
	var old *pluginapi.Table
	return func(ctx context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
		mu.Lock()
		defer mu.Unlock()
		if old == nil {
			old = table
		}
		return score(ctx, app, old)
	}
}

type hookFunc func(ctx context.Context, e pluginapi.HookEvent) error

func (f hookFunc) Handle(ctx context.Context, e pluginapi.HookEvent) error { return f(ctx, e) }

func TestHookSuiteFindsFaults(t *testing.T) {
	good := picky{}.Handle
	var busy atomic.Int64
	for name, h := range map[string]hookFunc{
		"every kind of event": func(ctx context.Context, e pluginapi.HookEvent) error {
			if e.Kind == pluginapi.HookRelease {
				return pluginapi.ErrInvalid
			}
			return good(ctx, e)
		},
		"a kind of a later version": func(ctx context.Context, e pluginapi.HookEvent) error {
			if !slices.Contains(pluginapi.HookKinds(), e.Kind) {
				return pluginapi.ErrPluginCrashed
			}
			return good(ctx, e)
		},
		"the event is not changed": func(ctx context.Context, e pluginapi.HookEvent) error {
			if e.Member != nil {
				e.Member.Apps[0] = "mine"
			}
			return good(ctx, e)
		},
		"many at a time": func(ctx context.Context, e pluginapi.HookEvent) error {
			defer busy.Add(-1)
			if busy.Add(1) > 1 {
				return pluginapi.ErrBusy
			}
			runtime.Gosched()
			return good(ctx, e)
		},
		"a context that has ended":       once(good),
		"only the kinds that are wanted": reference.Hook{}.Handle,
		"every field arrives": func(ctx context.Context, e pluginapi.HookEvent) error {
			e.Attempt = 1
			return good(ctx, e)
		},
		"failures keep their code": func(ctx context.Context, e pluginapi.HookEvent) error {
			if err := good(ctx, e); err != nil {
				return errors.New(err.Error())
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			caught(t, plugintest.Hook{New: func(plugintest.T) pluginapi.Hook { return h }, Reference: true}.Checks(), name)
		})
	}
}

// once works until a context has ended.
func once(good hookFunc) hookFunc {
	var broken atomic.Bool
	return func(ctx context.Context, e pluginapi.HookEvent) error {
		if ctx.Err() != nil {
			broken.Store(true)
		}
		if broken.Load() {
			return pluginapi.ErrPluginCrashed
		}
		return good(ctx, e)
	}
}

// bad is a backend with faults to be set.
type bad struct {
	*reference.Backend
	onStart func(ctx context.Context) (done bool, err error)
	onStop  func(ctx context.Context) (done bool, err error)
	health  *pluginapi.BackendHealth
	fences  []pluginapi.Fence
}

func (b bad) Start(ctx context.Context) error {
	if b.onStart != nil {
		if done, err := b.onStart(ctx); done {
			return err
		}
	}
	return b.Backend.Start(ctx)
}

func (b bad) Stop(ctx context.Context) error {
	if b.onStop != nil {
		if done, err := b.onStop(ctx); done {
			return err
		}
	}
	return b.Backend.Stop(ctx)
}

func (b bad) Health(ctx context.Context) (pluginapi.BackendHealth, error) {
	if b.health != nil {
		return *b.health, nil
	}
	return b.Backend.Health(ctx)
}

func (b bad) Bind(in pluginapi.Instance) ([]pluginapi.Fence, error) {
	if b.fences != nil {
		return b.fences, nil
	}
	return b.Backend.Bind(in)
}

// after says no from the n-th time on.
func after(n int64, err error) func(context.Context) (bool, error) {
	var calls atomic.Int64
	return func(context.Context) (bool, error) { return calls.Add(1) > n, err }
}

func TestBackendSuiteFindsFaults(t *testing.T) {
	drop := func(context.Context) (bool, error) { return true, nil }
	for name, b := range map[string]bad{
		"stopped before the first start": {health: &pluginapi.BackendHealth{Status: pluginapi.StatusRunning}},
		"start and stop may be repeated": {onStart: after(1, errors.New("it runs already"))},
		"it starts again":                {onStart: after(1, nil)},
		"starts and stops at one time":   {onStop: after(3, nil)},
		"a start whose context has ended": {onStart: func(ctx context.Context) (bool, error) {
			return ctx.Err() != nil, nil
		}},
		"a stop without time": {onStop: func(ctx context.Context) (bool, error) { return ctx.Err() != nil, nil }},
		"failures keep their code": {onStart: func(ctx context.Context) (bool, error) {
			l, _ := pluginapi.LeaseFrom(ctx)
			return l.Epoch == reference.EpochFenced, errors.New("fenced by a newer epoch")
		}},
		"a service that is given up": {onStart: func(ctx context.Context) (bool, error) {
			l, _ := pluginapi.LeaseFrom(ctx)
			return l.Epoch == reference.EpochWornOut, errors.New("worn out at once")
		}},
		"a lease that does not hold": {onStart: drop},
		"what the guard has to kill": {fences: []pluginapi.Fence{{Kind: pluginapi.FenceEnv, Name: "PATH=/bin"}}},
	} {
		t.Run(name, func(t *testing.T) {
			b.Backend = reference.NewBackend()
			caught(t, plugintest.Backend{New: func(plugintest.T) pluginapi.Backend { return b }, Reference: true}.Checks(), name)
		})
	}
}

type callFunc func(ctx context.Context, op string, in []byte) ([]byte, error)

func (f callFunc) Call(ctx context.Context, op string, in []byte) ([]byte, error) {
	return f(ctx, op, in)
}

func TestOperationsSuiteFindsFaults(t *testing.T) {
	good := (&answer.Plugin{About: reference.AboutHook(), Hook: reference.Hook{}}).Do
	shared := (&wire.Description{Contract: wire.ContractHook, Name: "x", Version: "1"}).Append(nil)
	for name, c := range map[string]callFunc{
		"it says what it is": func(ctx context.Context, op string, in []byte) ([]byte, error) { return nil, nil },
		"an operation that it has not": func(ctx context.Context, op string, in []byte) ([]byte, error) {
			return good(ctx, strings.TrimSpace(op), in)
		},
		"bytes that are no message": func(ctx context.Context, op string, in []byte) ([]byte, error) {
			out, err := good(ctx, op, in)
			if errors.Is(err, pluginapi.ErrPluginProtocol) {
				err = nil
			}
			return out, err
		},
		"fields of a later version": func(ctx context.Context, op string, in []byte) ([]byte, error) {
			if strings.Contains(string(in), "new") {
				return nil, pluginapi.ErrInvalid
			}
			return good(ctx, op, in)
		},
		"an answer is the caller's own": func(context.Context, string, []byte) ([]byte, error) { return shared, nil },
	} {
		t.Run(name, func(t *testing.T) {
			caught(t, plugintest.Operations{New: func(plugintest.T) plugintest.Caller { return c }, Contract: wire.ContractHook}.Checks(), name)
		})
	}
}

// TestACommandCanRunTheSuites: every check runs with a T that is no *testing.T.
func TestACommandCanRunTheSuites(t *testing.T) {
	all := slices.Concat(
		plugintest.Policy{New: func(t plugintest.T) pluginapi.Policy {
			return must(adapt.NewPolicy(t.Context(), load(t, 2, policyGuest(true))))(t)
		}, Reference: true}.Checks(),
		plugintest.Hook{New: func(t plugintest.T) pluginapi.Hook { return must(adapt.NewHook(t.Context(), load(t, 2, hookGuest)))(t) }, Reference: true}.Checks(),
	)
	for _, c := range all {
		if said := watch(t, c); len(said) > 0 {
			t.Errorf("%s: %v", c.Name, said)
		}
	}
}

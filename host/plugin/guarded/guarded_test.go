package guarded_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/failure"
	"github.com/ozanturksever/go-cluster/host/plugin/guarded"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest/reference"
)

type ranker func(ctx context.Context) ([]int64, error)

func (r ranker) Rank(ctx context.Context, _ pluginapi.AppSpec, _ *pluginapi.Table) ([]int64, error) {
	return r(ctx)
}

func scores(n ...int64) ranker {
	return func(context.Context) ([]int64, error) { return n, nil }
}

func fails(err error) ranker {
	return func(context.Context) ([]int64, error) { return nil, err }
}

var (
	app   = pluginapi.AppSpec{Name: "db"}
	table = &pluginapi.Table{Epoch: 1, Candidates: make([]pluginapi.Candidate, 2)}
)

// guard makes a policy whose fallback says 7 7, and keeps the reports.
func guard(t *testing.T, p pluginapi.Policy, rule failure.Rule) (*guarded.Policy, *guarded.Circuit, *[]guarded.Report) {
	t.Helper()
	var told []guarded.Report
	circuit := new(guarded.Circuit)
	g, err := guarded.NewPolicy(guarded.PolicyConfig{
		Name: "p", Plugin: p, Fallback: scores(7, 7), Rule: rule, Circuit: circuit,
		Told: func(r guarded.Report) { told = append(told, r) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return g, circuit, &told
}

func TestPolicyFallsBack(t *testing.T) {
	for name, c := range map[string]struct {
		plugin ranker
		want   []int64
		err    error // that is told
	}{
		"it ranks":               {plugin: scores(1, 2), want: []int64{1, 2}},
		"it says no":             {plugin: fails(pluginapi.ErrRejected), want: []int64{7, 7}, err: pluginapi.ErrRejected},
		"it crashes":             {plugin: fails(pluginapi.ErrPluginCrashed), want: []int64{7, 7}, err: pluginapi.ErrPluginCrashed},
		"it panics":              {plugin: func(context.Context) ([]int64, error) { panic("x") }, want: []int64{7, 7}, err: pluginapi.ErrPluginCrashed},
		"wrong number of scores": {plugin: scores(1), want: []int64{7, 7}, err: pluginapi.ErrPluginProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			g, _, told := guard(t, c.plugin, failure.Rule{})
			got, err := g.Rank(t.Context(), app, table)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%v, %v", got, err)
			}
			if len(*told) > 1 || (len(*told) == 1) != (c.err != nil) {
				t.Fatalf("told %+v", *told)
			}
			if c.err != nil {
				if r := (*told)[0]; !errors.Is(r.Err, c.err) || r.App != "db" || r.Plugin != "p" || r.Then != failure.Fallback || r.Calls != 1 {
					t.Errorf("told %+v", r)
				}
			}
			if err := g.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if got, err := g.Rank(t.Context(), app, table); err != nil || !slices.Equal(got, []int64{7, 7}) {
				t.Errorf("after Close: %v, %v", got, err)
			}
		})
	}
}

// TestStuckPolicyCostsItsDeadlineOnly: 500 ms, even when the plugin does not heed
// its context; after five of them nothing, until the trial.
func TestStuckPolicyCostsItsDeadlineOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		g, circuit, told := guard(t, ranker(func(context.Context) ([]int64, error) { <-free; return []int64{1, 1}, nil }), failure.Rule{})
		var changes []failure.State
		circuit.Changed = func(s failure.State, _ error) { changes = append(changes, s) }
		for n := range 8 {
			begun := time.Now()
			got, err := g.Rank(t.Context(), app, table)
			want := 500 * time.Millisecond
			if n >= 5 {
				want = 0
			}
			if took := time.Since(begun); err != nil || !slices.Equal(got, []int64{7, 7}) || took != want {
				t.Errorf("ranking %d: %v, %v after %v, want %v", n, got, err, took, want)
			}
		}
		if !errors.Is((*told)[4].Err, pluginapi.ErrPluginLimit) || !errors.Is((*told)[5].Err, pluginapi.ErrCircuitOpen) || circuit.State() != failure.Open {
			t.Errorf("told %v, then %v; %s", (*told)[4].Err, (*told)[5].Err, circuit.State())
		}
		time.Sleep(time.Second)
		close(free)
		if got, err := g.Rank(t.Context(), app, table); err != nil || !slices.Equal(got, []int64{1, 1}) || circuit.State() != failure.Closed {
			t.Errorf("the trial: %v, %v; %s", got, err, circuit.State())
		}
		if !slices.Equal(changes, []failure.State{failure.Open, failure.Closed}) {
			t.Errorf("changes %v", changes)
		}
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestCallersEndIsNoFault: a caller that gives up gets its own error, and the
// circuit does not learn from it.
func TestCallersEndIsNoFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := ranker(func(ctx context.Context) ([]int64, error) { <-ctx.Done(); return nil, ctx.Err() })
		g, circuit, told := guard(t, wait, failure.Rule{})
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			if _, err := g.Rank(ctx, app, table); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			cancel()
		}
		if circuit.State() != failure.Closed || len(*told) > 0 {
			t.Errorf("%s, told %v", circuit.State(), *told)
		}
	})
}

// TestATrialThatNobodyWaitsForProvesNothing: the circuit stays as it was, and the
// next call is the trial.
func TestATrialThatNobodyWaitsForProvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		g, circuit, _ := guard(t, ranker(func(ctx context.Context) ([]int64, error) {
			if broken {
				return nil, pluginapi.ErrPluginCrashed
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}), failure.Rule{})
		for range 5 {
			if _, err := g.Rank(t.Context(), app, table); err != nil {
				t.Fatal(err)
			}
		}
		var changes []failure.State
		circuit.Changed = func(s failure.State, _ error) { changes = append(changes, s) }
		broken = false
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := g.Rank(ctx, app, table); !errors.Is(err, context.DeadlineExceeded) || circuit.State() != failure.Open || len(changes) > 0 {
			t.Errorf("%v, %s, changes %v", err, circuit.State(), changes)
		}
		if _, err := g.Rank(t.Context(), app, table); err != nil || circuit.State() != failure.Open || len(changes) != 1 {
			t.Errorf("the next trial hangs: %v, %s, changes %v", err, circuit.State(), changes)
		}
	})
}

// TestPolicyThatFails: a rule may want the plugin's ranking or none, and retries
// stay within the deadline.
func TestPolicyThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		flaky := ranker(func(context.Context) ([]int64, error) {
			if calls++; calls%3 != 0 {
				return nil, pluginapi.ErrBusy
			}
			return []int64{1, 2}, nil
		})
		g, _, _ := guard(t, flaky, failure.Rule{Retries: 2, Wait: 100 * time.Millisecond, Then: failure.Fail})
		if got, err := g.Rank(t.Context(), app, table); err != nil || !slices.Equal(got, []int64{1, 2}) || calls != 3 {
			t.Errorf("the third call: %v, %v, %d calls", got, err, calls)
		}
		g, _, told := guard(t, fails(pluginapi.ErrBusy), failure.Rule{Retries: 50, Wait: 100 * time.Millisecond, Then: failure.Fail})
		begun := time.Now()
		if _, err := g.Rank(t.Context(), app, table); !errors.Is(err, pluginapi.ErrBusy) || !strings.Contains(err.Error(), "plugin p") {
			t.Errorf("%v", err)
		}
		if took := time.Since(begun); took > 500*time.Millisecond || len(*told) > 0 {
			t.Errorf("after %v, told %v", took, *told)
		}
	})
}

func TestPolicyConfigsThatAreRefused(t *testing.T) {
	for _, c := range []guarded.PolicyConfig{
		{Plugin: scores()},
		{Plugin: scores(), Rule: failure.Rule{Then: failure.Fallback}},
		{Plugin: scores(), Fallback: scores(), Rule: failure.Rule{Then: failure.Ignore}},
		{Plugin: scores(), Fallback: scores(), Rule: failure.Rule{Then: failure.Fail, Retries: -1}},
	} {
		if _, err := guarded.NewPolicy(c); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestCallsLeftBehindAreFew: a plugin that heeds no context, and callers that
// give up so early that the circuit does not learn from it, do not pile up.
func TestCallsLeftBehindAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		var begun atomic.Int64
		g, _, _ := guard(t, ranker(func(context.Context) ([]int64, error) { begun.Add(1); <-free; return []int64{1, 1}, nil }), failure.Rule{})
		for range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if _, err := g.Rank(ctx, app, table); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			cancel()
		}
		synctest.Wait()
		if n := begun.Load(); n != 64 {
			t.Errorf("%d calls were begun", n)
		}
		close(free)
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestSuite: a guarded plugin is still the plugin.
func TestSuite(t *testing.T) {
	plugintest.Policy{Reference: true, New: func(t plugintest.T) pluginapi.Policy {
		rule := failure.Rule{Then: failure.Fail}
		g, err := guarded.NewPolicy(guarded.PolicyConfig{Plugin: reference.Policy{}, Rule: rule, Deadline: time.Minute})
		if err != nil {
			t.Fatalf("%v", err)
		}
		return g
	}}.Run(t)
}

package guarded_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/failure"
	"github.com/ozanturksever/go-cluster/host/plugin/guarded"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// teller is a hook that answers as it is told, call by call; the last answer is
// for all that follow.
type teller struct {
	mu      sync.Mutex
	answers []error
	told    []pluginapi.HookEvent
	at      []time.Time
}

func (h *teller) Handle(_ context.Context, e pluginapi.HookEvent) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told, h.at = append(h.told, e), append(h.at, time.Now())
	return h.answers[min(len(h.told), len(h.answers))-1]
}

func TestHookByItsRules(t *testing.T) {
	for name, c := range map[string]struct {
		kind    pluginapi.HookKind
		answers []error
		calls   int
		err     error           // of Handle
		then    failure.Outcome // that is told; "": nothing is
	}{
		"well":                          {kind: pluginapi.HookActive, answers: []error{nil}, calls: 1},
		"active: the third is well":     {kind: pluginapi.HookActive, answers: []error{pluginapi.ErrBusy, pluginapi.ErrPluginCrashed, nil}, calls: 3},
		"active: fails":                 {kind: pluginapi.HookActive, answers: []error{pluginapi.ErrBusy}, calls: 3, err: pluginapi.ErrBusy},
		"active: a decision":            {kind: pluginapi.HookActive, answers: []error{pluginapi.ErrInvalid}, calls: 1, err: pluginapi.ErrInvalid},
		"passive: ignored":              {kind: pluginapi.HookPassive, answers: []error{pluginapi.ErrBusy}, calls: 1, then: failure.Ignore},
		"join: ignored in the end":      {kind: pluginapi.HookMemberJoin, answers: []error{pluginapi.ErrBusy}, calls: 6, then: failure.Ignore},
		"migration: a veto":             {kind: pluginapi.HookMigrationStart, answers: []error{pluginapi.ErrRejected}, calls: 1, err: pluginapi.ErrRejected},
		"own: configured to be ignored": {kind: pluginapi.HookOwn, answers: []error{pluginapi.ErrBusy}, calls: 2, then: failure.Ignore},
		"release: what is built in":     {kind: pluginapi.HookRelease, answers: []error{pluginapi.ErrBusy}, calls: 1, err: pluginapi.ErrUnreachable, then: failure.Fallback},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &teller{answers: c.answers}
				var told []guarded.Report
				g, err := guarded.NewHook(guarded.HookConfig{
					Name: "h", Plugin: h, Fallback: &teller{answers: []error{pluginapi.ErrUnreachable}},
					Rules: map[pluginapi.HookKind]failure.Rule{
						pluginapi.HookOwn:     {Retries: 1, Wait: time.Second, Then: failure.Ignore},
						pluginapi.HookRelease: {Then: failure.Fallback},
					},
					Told: func(r guarded.Report) { told = append(told, r) },
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := g.Handle(t.Context(), pluginapi.HookEvent{ID: "1", Kind: c.kind, App: "db"}); !errors.Is(err, c.err) || err != nil && c.err == nil {
					t.Errorf("%v, want %v", err, c.err)
				}
				for i, e := range h.told {
					if e.ID != "1" || e.Attempt != int64(i+1) {
						t.Errorf("call %d: %+v", i, e)
					}
				}
				if len(h.told) != c.calls {
					t.Errorf("%d calls, want %d", len(h.told), c.calls)
				}
				if c.then == "" && len(told) > 0 || c.then != "" && (len(told) != 1 || told[0].Then != c.then || told[0].Kind != c.kind || told[0].Calls != c.calls) {
					t.Errorf("told %+v", told)
				}
			})
		})
	}
}

// TestVetoIsNeverIgnored: whatever the rule says about failures.
func TestVetoIsNeverIgnored(t *testing.T) {
	for answer, want := range map[error]error{pluginapi.ErrRejected: pluginapi.ErrRejected, pluginapi.ErrPluginCrashed: nil} {
		g, err := guarded.NewHook(guarded.HookConfig{
			Plugin: &teller{answers: []error{answer}},
			Rules:  map[pluginapi.HookKind]failure.Rule{pluginapi.HookMigrationStart: {Then: failure.Ignore}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Handle(t.Context(), pluginapi.HookEvent{Kind: pluginapi.HookMigrationStart}); !errors.Is(err, want) || err != nil && want == nil {
			t.Errorf("%v: %v", answer, err)
		}
	}
}

// TestHookWaitsAndCounts: between calls it waits as the rule says, and the
// attempts of an event that is told again go on.
func TestHookWaitsAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &teller{answers: []error{pluginapi.ErrBusy}}
		g, err := guarded.NewHook(guarded.HookConfig{Plugin: h})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := g.Handle(t.Context(), pluginapi.HookEvent{Kind: pluginapi.HookMemberLeave, Attempt: 4}); err != nil {
			t.Error(err)
		}
		var at []time.Duration
		for _, x := range h.at {
			at = append(at, x.Sub(begun))
		}
		if want := []time.Duration{0, 1e9, 3e9, 7e9, 15e9, 31e9}; !slices.Equal(at, want) {
			t.Errorf("called after %v, want %v", at, want)
		}
		if first, last := h.told[0].Attempt, h.told[5].Attempt; first != 4 || last != 9 {
			t.Errorf("attempts %d to %d", first, last)
		}
	})
}

// TestHookHeedsItsCaller: it neither waits past the caller's deadline nor goes on
// after the caller has given up; a plugin that hangs is left behind.
func TestHookHeedsItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &teller{answers: []error{pluginapi.ErrBusy}}
		g, _ := guarded.NewHook(guarded.HookConfig{Plugin: h})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begun := time.Now()
		if err := g.Handle(ctx, pluginapi.HookEvent{Kind: pluginapi.HookMemberJoin}); err != nil || time.Since(begun) != time.Second || len(h.told) != 2 {
			t.Errorf("%v after %v and %d calls: there was no time for a third", err, time.Since(begun), len(h.told))
		}

		free := make(chan struct{})
		stuck := hookFunc(func(context.Context, pluginapi.HookEvent) error { <-free; return nil })
		circuit := new(guarded.Circuit)
		g, _ = guarded.NewHook(guarded.HookConfig{Plugin: stuck, Circuit: circuit})
		for range 5 { // its caller has less time than the limit, but more than enough
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			begun := time.Now()
			if err := g.Handle(ctx, pluginapi.HookEvent{Kind: pluginapi.HookActive}); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 3*time.Second {
				t.Errorf("%v after %v", err, time.Since(begun))
			}
			cancel()
		}
		if circuit.State() != failure.Open {
			t.Errorf("after five calls of 3 s that hang it is %s", circuit.State())
		}
		if err := g.Handle(t.Context(), pluginapi.HookEvent{Kind: pluginapi.HookMigrationStart}); !errors.Is(err, pluginapi.ErrCircuitOpen) {
			t.Errorf("%v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close with calls that hang: %v", err)
		}
		close(free)
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

type hookFunc func(ctx context.Context, e pluginapi.HookEvent) error

func (f hookFunc) Handle(ctx context.Context, e pluginapi.HookEvent) error { return f(ctx, e) }

func TestHookConfigsThatAreRefused(t *testing.T) {
	for _, r := range []failure.Rule{{}, {Then: failure.Fallback}, {Then: failure.Fail, Retries: 1000}} {
		if _, err := guarded.NewHook(guarded.HookConfig{Rules: map[pluginapi.HookKind]failure.Rule{pluginapi.HookStop: r}}); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

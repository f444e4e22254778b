package guarded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/failure"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// HookConfig says which hook is guarded, and how.
type HookConfig struct {
	Name     string         // of the plugin, for people
	Plugin   pluginapi.Hook // as an adapter
	Fallback pluginapi.Hook // for rules that end with it; may be nil
	// Rules are for kinds that differ from [failure.ForHook].
	Rules    map[pluginapi.HookKind]failure.Rule
	Deadline time.Duration // of one call; 0: 5 s. The caller's context bounds all of them
	Circuit  *Circuit      // nil: one of its own
	Told     func(Report)  // told of each error that is ignored or that the fallback covers; nil: nobody
}

// Hook tells a plugin of events, and does with its errors what the rules say.
type Hook struct {
	c     HookConfig
	calls *calls
}

const hookDeadline = 5 * time.Second

// NewHook guards a hook.
//
// # Errors
//
// One that wraps ErrInvalid for a rule that makes no sense, or that falls back to
// a hook that is not there.
func NewHook(c HookConfig) (*Hook, error) {
	for kind, rule := range c.Rules {
		if err := rule.Check(); err != nil {
			return nil, fmt.Errorf("hook %s: %s: %w", c.Name, kind, err)
		}
		if rule.Then == failure.Fallback && c.Fallback == nil {
			return nil, fmt.Errorf("%w: hook %s: %s: outcome %s, and there is nothing built in to fall back to: give %s or %s",
				pluginapi.ErrInvalid, c.Name, kind, rule.Then, failure.Ignore, failure.Fail)
		}
	}
	if c.Deadline == 0 {
		c.Deadline = hookDeadline
	}
	if c.Told == nil {
		c.Told = func(Report) {}
	}
	return &Hook{c: c, calls: newCalls(c.Name, c.Circuit, c.Deadline)}, nil
}

// Handle tells the plugin of the event, again where the rule says so: with the
// same ID, and Attempt counted up from the one that it was given.
//
// # Errors
//
// That of the last call when the rule says that it fails; the fallback's;
// ErrRejected for a migration's start, always: a veto is an answer and no
// failure.
func (h *Hook) Handle(ctx context.Context, e pluginapi.HookEvent) error {
	rule, ok := h.c.Rules[e.Kind]
	if !ok {
		rule = failure.ForHook(e.Kind)
	}
	first := max(1, e.Attempt)
	n, then, err := h.calls.repeat(ctx, rule, func(ctx context.Context, n int) error {
		told := e
		told.Attempt = first + int64(n) - 1
		return h.c.Plugin.Handle(ctx, told)
	})
	veto := e.Kind == pluginapi.HookMigrationStart && errors.Is(err, pluginapi.ErrRejected)
	switch {
	case err == nil:
		return nil
	case veto || then == failure.Fail:
		return fmt.Errorf("hook %s: %w", h.c.Name, err)
	}
	h.c.Told(Report{Plugin: h.c.Name, App: e.App, Kind: e.Kind, Calls: n, Then: then, Err: err})
	if then == failure.Fallback {
		return h.c.Fallback.Handle(ctx, e)
	}
	return nil
}

// Close waits for calls that were left behind. It does not close the plugin.
func (h *Hook) Close(ctx context.Context) error { return h.calls.close(ctx) }

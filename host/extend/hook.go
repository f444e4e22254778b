package extend

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/host/plugin/failure"
	"github.com/ozanturksever/go-cluster/host/plugin/guarded"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// HookUse says how an app uses a plugin as a hook.
type HookUse struct {
	Plugin  string
	Config  []byte                              // JSON; nil: the plugin's default
	Events  []pluginapi.HookKind                // that it is told; empty: all that it wants
	Timeout time.Duration                       // of one call; 0: 5 s
	Rules   map[pluginapi.HookKind]failure.Rule // what an error does; the others have the default of their kind
}

// Check refuses what cannot be meant.
func (u HookUse) Check() error {
	if err := pluginapi.CheckName("plugin", u.Plugin); err != nil {
		return err
	}
	for _, k := range u.Events {
		if !slices.Contains(pluginapi.HookKinds(), k) {
			return fmt.Errorf("%w: hook %s: event %.80q: there are %v", pluginapi.ErrInvalid, u.Plugin, k, pluginapi.HookKinds())
		}
	}
	if u.Timeout < 0 {
		return fmt.Errorf("%w: hook %s: timeout %v", pluginapi.ErrInvalid, u.Plugin, u.Timeout)
	}
	for k, r := range u.Rules {
		if err := r.Check(); err != nil {
			return fmt.Errorf("hook %s: event %s: %w", u.Plugin, k, err)
		}
	}
	return nil
}

// Hook is a plugin that is told of an app's events.
type Hook struct {
	use HookUse
	l   *late
	g   *guarded.Hook
}

// NewHook returns a hook. told is told of each error that is ignored; nil: nobody.
//
// # Errors
//
// ErrInvalid.
func NewHook(use HookUse, open Open, told func(guarded.Report)) (*Hook, error) {
	if err := use.Check(); err != nil {
		return nil, err
	}
	h := &Hook{use: use, l: &late{name: use.Plugin, open: open}}
	g, err := guarded.NewHook(guarded.HookConfig{
		Name: use.Plugin, Plugin: present{h.l}, Rules: use.Rules, Deadline: use.Timeout, Told: told,
	})
	if err != nil {
		return nil, err
	}
	h.g = g
	return h, nil
}

// Wants says whether the hook is to be told of a kind of event.
func (h *Hook) Wants(k pluginapi.HookKind) bool {
	return len(h.use.Events) == 0 || slices.Contains(h.use.Events, k)
}

// Handle implements [pluginapi.Hook], by the rules of the use.
func (h *Hook) Handle(ctx context.Context, e pluginapi.HookEvent) error {
	if !h.Wants(e.Kind) {
		return nil
	}
	return h.g.Handle(ctx, e)
}

// Close ends the use.
func (h *Hook) Close(ctx context.Context) error { return h.l.close(ctx) }

// present is the version of a hook that is active at the moment. It is asked
// what it wants each time: the next version may want something else.
type present struct{ l *late }

func (p present) Handle(ctx context.Context, e pluginapi.HookEvent) error {
	inst, err := p.l.instance()
	if err != nil {
		return err
	}
	h, err := adapt.NewHook(ctx, inst)
	if err != nil {
		return err
	}
	return h.Handle(ctx, e)
}

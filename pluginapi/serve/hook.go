package serve

import (
	"context"
	"fmt"
	"slices"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Hook serves a hook. The factory is called once, with the configuration; its
// error is what the host's start of the plugin ends with. kinds are the events
// that the hook wants; none means all.
func Hook(about About, factory func(wire.Configure) (pluginapi.Hook, error), kinds ...pluginapi.HookKind) {
	Operations(HookHandler(about, factory, kinds...))
}

// HookHandler is the handler that [Hook] serves.
func HookHandler(about About, factory func(wire.Configure) (pluginapi.Hook, error), kinds ...pluginapi.HookKind) Handler {
	m := &made[pluginapi.Hook]{factory: factory}
	var events []string
	for _, k := range kinds {
		events = append(events, string(k))
	}
	return dispatch(map[string]Handler{
		wire.OpDescribe:  describe(about, wire.ContractHook, events...),
		wire.OpConfigure: m.configure,
		wire.OpEvent: func(ctx context.Context, _ string, in []byte) ([]byte, error) {
			var e wire.Event
			h, err := m.get(e.Decode(in))
			if err != nil {
				return nil, err
			}
			if len(kinds) > 0 && !slices.Contains(kinds, e.Kind) {
				return nil, nil // not one that it asked for
			}
			return nil, h.Handle(ctx, e.HookEvent)
		},
	})
}

// describe answers what a plugin is. With events it wants those alone.
func describe(about About, contract wire.Contract, events ...string) Handler {
	return func(context.Context, string, []byte) ([]byte, error) {
		d := wire.Description{Contract: contract, Name: about.Name, Version: about.Version, Events: events, Deltas: contract == wire.ContractPlacement}
		return d.Append(nil), nil
	}
}

// dispatch calls the handler of an operation.
func dispatch(ops map[string]Handler) Handler {
	return func(ctx context.Context, op string, in []byte) ([]byte, error) {
		h, ok := ops[op]
		if !ok {
			return nil, fmt.Errorf("%w: %.100q", pluginapi.ErrNoMethod, op)
		}
		return h(ctx, op, in)
	}
}

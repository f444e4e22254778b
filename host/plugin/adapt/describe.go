package adapt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// maxEvents is the most kinds of events that a hook may name: more than there
// are, for those of later versions.
const maxEvents = 64

// Describe asks a plugin what it is. One that has no such operation is taken for
// what it is wanted as.
//
// # Errors
//
// That of the call; one that wraps ErrPluginProtocol when the plugin is for
// another contract or its answer is none.
func Describe(ctx context.Context, i plugin.Instance, want wire.Contract) (wire.Description, error) {
	b, err := i.Call(ctx, wire.OpDescribe, nil)
	if errors.Is(err, pluginapi.ErrNoMethod) {
		return wire.Description{Contract: want}, nil
	}
	if err != nil {
		return wire.Description{}, fmt.Errorf("describe plugin: %w", err)
	}
	var d wire.Description
	if err := d.Decode(b); err != nil {
		return wire.Description{}, fmt.Errorf("describe plugin: %w", err)
	}
	if d.Contract != want && d.Contract != "" {
		return wire.Description{}, fmt.Errorf("%w: the plugin says that it is a %.40q, wanted is a %s",
			pluginapi.ErrPluginProtocol, d.Contract, want)
	}
	if len(d.Events) > maxEvents {
		return wire.Description{}, fmt.Errorf("%w: the plugin names %d kinds of events, allowed are %d",
			pluginapi.ErrPluginProtocol, len(d.Events), maxEvents)
	}
	d.Contract = want
	return d, nil
}

// Hook is a hook that a plugin does.
type Hook struct {
	i     plugin.Instance
	kinds []pluginapi.HookKind // that it wants; nil: all
}

// NewHook asks the plugin which events it wants. A kind that this version does
// not know is no error: a plugin may be newer.
func NewHook(ctx context.Context, i plugin.Instance) (*Hook, error) {
	d, err := Describe(ctx, i, wire.ContractHook)
	if err != nil {
		return nil, err
	}
	h := &Hook{i: i}
	for _, k := range d.Events {
		h.kinds = append(h.kinds, pluginapi.HookKind(strings.Clone(k)))
	}
	return h, nil
}

// Wants says whether the plugin is to be told of events of a kind.
func (h *Hook) Wants(k pluginapi.HookKind) bool { return h.kinds == nil || slices.Contains(h.kinds, k) }

// Handle tells the plugin of an event. One that it does not want is done at once.
func (h *Hook) Handle(ctx context.Context, e pluginapi.HookEvent) error {
	if !h.Wants(e.Kind) {
		return nil
	}
	_, err := h.i.Call(ctx, wire.OpEvent, (&wire.Event{HookEvent: e}).Append(nil))
	return err
}

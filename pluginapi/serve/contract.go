package serve

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/answer"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// About is what a plugin says of itself.
type About struct {
	Name    string
	Version string // as in its manifest: 1.2.3
}

// Backend serves a backend until the host ends the plugin. The factory is called
// once, with the configuration; with its error the host's start of the plugin
// ends. What the plugin has to know of its host: a Start whose context has a
// lease gets the epoch of it, and a lease that holds until the next Stop or
// Start; the host sees to it that there is one in time.
func Backend(about About, factory func(wire.Configure) (pluginapi.Backend, error)) {
	Operations(BackendHandler(about, factory))
}

// BackendHandler is the handler that [Backend] serves.
func BackendHandler(about About, factory func(wire.Configure) (pluginapi.Backend, error)) Handler {
	d := wire.Description{Contract: wire.ContractBackend, Name: about.Name, Version: about.Version}
	return contract(d, factory, func(p *answer.Plugin, b pluginapi.Backend) { p.Backend = b })
}

// Hook serves a hook until the host ends the plugin. The factory is called once,
// with the configuration; with its error the host's start of the plugin ends.
// kinds are the events that the hook wants; none means all.
func Hook(about About, factory func(wire.Configure) (pluginapi.Hook, error), kinds ...pluginapi.HookKind) {
	Operations(HookHandler(about, factory, kinds...))
}

// HookHandler is the handler that [Hook] serves.
func HookHandler(about About, factory func(wire.Configure) (pluginapi.Hook, error), kinds ...pluginapi.HookKind) Handler {
	d := wire.Description{Contract: wire.ContractHook, Name: about.Name, Version: about.Version}
	for _, k := range kinds {
		d.Events = append(d.Events, string(k))
	}
	return contract(d, factory, func(p *answer.Plugin, h pluginapi.Hook) { p.Hook = h })
}

// Policy serves a placement policy until the host ends the plugin. The factory
// is called once, with the configuration; with its error the host's start of the
// plugin ends. The table of candidates is kept between the calls; the host sends
// what changes.
func Policy(about About, factory func(wire.Configure) (pluginapi.Policy, error)) {
	Operations(PolicyHandler(about, factory))
}

// PolicyHandler is the handler that [Policy] serves.
func PolicyHandler(about About, factory func(wire.Configure) (pluginapi.Policy, error)) Handler {
	d := wire.Description{Contract: wire.ContractPlacement, Name: about.Name, Version: about.Version, Deltas: true}
	return contract(d, factory, func(p *answer.Plugin, it pluginapi.Policy) { p.Policy = it })
}

// contract answers for a plugin that is made when its configuration comes: until
// then it has no operations but describe and configure.
func contract[C any](d wire.Description, factory func(wire.Configure) (C, error), set func(*answer.Plugin, C)) Handler {
	var current atomic.Pointer[answer.Plugin]
	var turn sync.Mutex // one configuration at a time
	done := false
	configure := func(_ context.Context, c wire.Configure) error {
		turn.Lock()
		defer turn.Unlock()
		if done {
			return fmt.Errorf("configure %s: %w: it is configured already", d.Name, pluginapi.ErrInvalid)
		}
		it, err := factory(c)
		if err != nil {
			return fmt.Errorf("configure %s: %w", d.Name, err)
		}
		made := &answer.Plugin{About: d, Configure: current.Load().Configure}
		set(made, it)
		current.Store(made)
		done = true
		return nil
	}
	current.Store(&answer.Plugin{About: d, Configure: configure})
	return func(ctx context.Context, op string, in []byte) ([]byte, error) {
		return current.Load().Do(ctx, op, in)
	}
}

package host

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ozanturksever/go-cluster/host/extend"
	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/catalog"
	"github.com/ozanturksever/go-cluster/host/plugin/grant/command"
	rules "github.com/ozanturksever/go-cluster/host/plugin/guarded"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Uses says for what an app uses plugins.
type Uses struct {
	Hooks   []extend.HookUse
	Backend *extend.PluginUse // in place of a Backend
	Policy  *extend.PluginUse
}

// names lists the plugins; each may be there once.
func (u Uses) names() (names []string) {
	for _, h := range u.Hooks {
		names = append(names, h.Plugin)
	}
	for _, p := range []*extend.PluginUse{u.Backend, u.Policy} {
		if p != nil {
			names = append(names, p.Plugin)
		}
	}
	return names
}

// checkUses refuses what cannot be meant.
func (c Config) checkUses() (faults []error) {
	for _, a := range c.Apps {
		seen := map[string]bool{}
		fault := func(err error) { faults = append(faults, fmt.Errorf("app %s: %w", a.Name, err)) }
		for _, name := range a.Uses.names() {
			if err := pluginapi.CheckName("plugin", name); err != nil {
				fault(err)
			}
			if seen[name] {
				fault(fmt.Errorf("%w: plugin %s is used twice: give its uses one config, or install it under another name", pluginapi.ErrInvalid, name))
			}
			seen[name] = true
		}
		for _, h := range a.Uses.Hooks {
			if err := h.Check(); err != nil {
				fault(err)
			}
		}
		if len(seen) > 0 && c.Plugins == nil {
			fault(fmt.Errorf("%w: it uses plugins, and the node runs none: configure plugins", pluginapi.ErrInvalid))
		}
		if a.Uses.Backend != nil && a.Backend != nil {
			fault(fmt.Errorf("%w: it has a backend and a plugin as a backend: leave one out", pluginapi.ErrInvalid))
		}
	}
	return faults
}

// opener opens a plugin for an app.
func (n *Node) opener(app, name string, config []byte) extend.Open {
	return func() (plugin.Instance, error) {
		c, err := n.Catalog()
		if err != nil {
			return nil, err
		}
		return c.Open(name, catalog.Use{App: app, Config: config})
	}
}

// useful is something that is closed when the node ends.
type useful interface{ Close(context.Context) error }

// usePlugins puts the plugins of an app where its functions are: behind them, so
// that a program's own hooks come first.
func (n *Node) usePlugins(a *App) error {
	for _, use := range a.Uses.Hooks {
		h, err := extend.NewHook(use, n.opener(a.Name, use.Plugin, use.Config), n.toldOf(a.Name))
		if err != nil {
			return err
		}
		n.uses = append(n.uses, h)
		n.hook(a, h)
	}
	if use := a.Uses.Backend; use != nil {
		me := pluginapi.Instance{Platform: n.cfg.Platform, Node: n.cfg.Node, App: a.Name, Dir: n.cfg.DataDir}
		b, err := extend.NewBackend(*use, me, n.opener(a.Name, use.Plugin, use.Config))
		if err != nil {
			return err
		}
		n.uses = append(n.uses, b)
		a.Backend = b
	}
	return nil
}

// hook appends to the functions of an app what tells a plugin of the same.
func (n *Node) hook(a *App, h *extend.Hook) {
	app := a.Name
	tell := func(ctx context.Context, kind pluginapi.HookKind, fill func(*pluginapi.HookEvent)) error {
		e := pluginapi.HookEvent{Kind: kind, Platform: n.cfg.Platform, Node: n.cfg.Node, App: app, Attempt: 1, Time: time.Now().UnixMilli()}
		if l, ok := pluginapi.LeaseFrom(ctx); ok {
			e.Epoch = uint64(l.Epoch)
		}
		if fill != nil {
			fill(&e)
		}
		e.ID = n.eventID(e)
		return h.Handle(ctx, e)
	}
	simple := func(to *[]func(context.Context) error, kind pluginapi.HookKind) {
		if h.Wants(kind) {
			*to = append(*to, func(ctx context.Context) error { return tell(ctx, kind, nil) })
		}
	}
	member := func(to *[]func(context.Context, pluginapi.Member) error, kind pluginapi.HookKind) {
		if h.Wants(kind) {
			*to = append(*to, func(ctx context.Context, m pluginapi.Member) error {
				return tell(ctx, kind, func(e *pluginapi.HookEvent) { e.Member = &m })
			})
		}
	}
	if a.Singleton {
		simple(&a.Hooks.Active, pluginapi.HookActive)
		simple(&a.Hooks.Passive, pluginapi.HookPassive)
	} else {
		simple(&a.Hooks.Start, pluginapi.HookStart)
	}
	simple(&a.Hooks.Stop, pluginapi.HookStop)
	member(&a.Hooks.MemberJoin, pluginapi.HookMemberJoin)
	member(&a.Hooks.MemberLeave, pluginapi.HookMemberLeave)
	if h.Wants(pluginapi.HookLeaderChange) {
		a.Hooks.LeaderChange = append(a.Hooks.LeaderChange, func(ctx context.Context, leader string) error {
			return tell(ctx, pluginapi.HookLeaderChange, func(e *pluginapi.HookEvent) { e.Leader = leader })
		})
	}
	if h.Wants(pluginapi.HookHealthChange) {
		a.Hooks.HealthChange = append(a.Hooks.HealthChange, func(ctx context.Context, s pluginapi.HealthStatus) error {
			return tell(ctx, pluginapi.HookHealthChange, func(e *pluginapi.HookEvent) { e.Status = s.Status })
		})
	}
}

// eventID names an event; it is told again under the same name. A change of
// leadership has the same one on this node whatever happens meanwhile, others
// are counted.
func (n *Node) eventID(e pluginapi.HookEvent) string {
	id := n.cfg.Node + "." + e.App + "." + string(e.Kind) + "."
	if e.Epoch != 0 && (e.Kind == pluginapi.HookActive || e.Kind == pluginapi.HookPassive) {
		return id + strconv.FormatUint(e.Epoch, 10)
	}
	return id + strconv.FormatInt(n.born.UnixMilli(), 36) + "." + strconv.FormatUint(n.told.Add(1), 10)
}

// toldOf logs what a rule has let pass.
func (n *Node) toldOf(app string) func(rules.Report) {
	return func(r rules.Report) {
		n.log.Warn("plugin", "plugin", r.Plugin, "app", app, "event", string(r.Kind), "calls", r.Calls, "then", string(r.Then), "err", r.Err)
	}
}

// closeUses ends what uses plugins.
func (n *Node) closeUses() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	var faults []error
	for _, u := range n.uses {
		faults = append(faults, u.Close(ctx))
	}
	return errors.Join(append(faults, n.runtimes.wasm.end(), n.runtimes.binary.end())...)
}

// makePlugins makes what plugins are used with; it starts nothing.
func (n *Node) makePlugins() error {
	n.born, n.fenced.apps = time.Now(), map[string][]pluginapi.Fence{}
	n.makeRuntimes()
	if p := n.cfg.Plugins; p != nil && len(p.Commands) > 0 {
		var err error
		if n.commands, err = command.New(p.Commands); err != nil {
			return err
		}
	}
	for i := range n.cfg.Apps {
		if err := n.usePlugins(&n.cfg.Apps[i]); err != nil {
			return fmt.Errorf("app %s: %w", n.cfg.Apps[i].Name, err)
		}
	}
	return nil
}

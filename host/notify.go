package host

import (
	"context"
	"maps"
	"time"

	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// notify passes an event on to the apps that want it.
func (n *Node) notify(e core.Effect) {
	if l, ok := e.(core.LabelsChanged); ok {
		if n.cfg.OnLabels != nil {
			n.cfg.OnLabels(l.Node, l.Labels)
		}
		return
	}
	if l, ok := e.(core.LeaderChanged); ok {
		n.seen.add(l.App, l.Epoch)
	}
	for _, a := range n.apps {
		if l, ok := e.(core.LeaderChanged); ok && l.App != a.Name {
			continue
		}
		a.mail.put(e)
	}
}

// tell calls the hooks of one app for each of its events, in order, one at a
// time, each within the app's hook timeout.
func (n *Node) tell(ctx context.Context, a *instance) {
	for {
		e, ok := a.mail.next(ctx)
		if !ok {
			return
		}
		for _, fn := range a.listeners(e) {
			n.callListener(ctx, a, fn)
		}
	}
}

func (n *Node) callListener(ctx context.Context, a *instance, fn func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, a.HookTimeout)
	defer cancel()
	begun := time.Now()
	if err := hooked(ctx, func() error { return fn(ctx) }); err != nil {
		n.log.Warn("hook of app", "app", a.Name, "took", time.Since(begun), "err", err)
	}
}

// listeners returns what is to be called for an event.
func (a *instance) listeners(e any) (out []func(context.Context) error) {
	members := func(fns []func(context.Context, pluginapi.Member) error, m pluginapi.Member) {
		for _, fn := range fns {
			out = append(out, func(ctx context.Context) error { return fn(ctx, m) })
		}
	}
	switch e := e.(type) {
	case core.MemberJoined:
		members(a.Hooks.MemberJoin, e.Member)
	case core.MemberLeft:
		members(a.Hooks.MemberLeave, e.Member)
	case core.LeaderChanged:
		for _, fn := range a.Hooks.LeaderChange {
			out = append(out, func(ctx context.Context) error { return fn(ctx, e.Leader) })
		}
	case healthChanged:
		for _, fn := range a.Hooks.HealthChange {
			s := e.status
			s.Checks = maps.Clone(s.Checks) // each may do with it what it likes
			out = append(out, func(ctx context.Context) error { return fn(ctx, s) })
		}
	}
	return out
}

package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Listed is a plugin and where it is.
type Listed struct {
	Plugin plan.Plugin
	Nodes  []OnNode // by name
}

// OnNode is what a living node has of a plugin, by its last report.
type OnNode struct {
	Node  string
	State plan.State // Held is empty when it has nothing
}

// List returns what is installed on the platform, and what the living nodes that
// take part say of it. Plugins of a node's own folder are there too, under the
// nodes that have them.
//
// # Errors
//
// As of [bus.Records.List].
func (c *Catalog) List(ctx context.Context) ([]Listed, error) {
	if err := c.running(ctx); err != nil {
		return nil, err
	}
	recs, err := c.records.List(ctx, keyPlugin+"*")
	if err != nil {
		return nil, fmt.Errorf("list plugins: %w", err)
	}
	reports, err := c.records.List(ctx, keyReport+"*")
	if err != nil {
		return nil, fmt.Errorf("list plugins: %w", err)
	}
	for _, rec := range reports {
		if err := c.view.takeReport(rec); err != nil {
			c.log.Error("read report of a node", "key", rec.Key, "err", err)
		}
	}
	nodes := c.view.nodes(c.cfg.Members().Live)
	var out []Listed
	for _, rec := range recs {
		p, err := plan.DecodePlugin(rec.Key[len(keyPlugin):], rec.Value)
		if err != nil {
			return nil, fmt.Errorf("list plugins: %w", err)
		}
		if p.Installed() || p.Last != nil {
			out = append(out, Listed{Plugin: p})
		}
	}
	out = withLocal(out, nodes)
	for i := range out {
		for _, n := range nodes {
			out[i].Nodes = append(out[i].Nodes, OnNode{n.Node, stateOf(n, out[i].Plugin.Name)})
		}
	}
	slices.SortFunc(out, func(a, b Listed) int {
		if a.Plugin.Name < b.Plugin.Name {
			return -1
		}
		return 1
	})
	return out, nil
}

// withLocal adds the plugins that only a node's own folder has.
func withLocal(out []Listed, nodes []plan.Report) []Listed {
	for _, n := range nodes {
		for _, s := range n.Plugins {
			known := slices.ContainsFunc(out, func(l Listed) bool { return l.Plugin.Name == s.Name })
			if s.Local && !known {
				out = append(out, Listed{Plugin: plan.Plugin{Name: s.Name}})
			}
		}
	}
	return out
}

func stateOf(r plan.Report, name string) plan.State {
	for _, s := range r.Plugins {
		if s.Name == name {
			return s
		}
	}
	return plan.State{Name: name}
}

// Verified is what came of verifying one version on this node.
type Verified struct {
	Version, Digest, Signer string
	Err                     error // nil: package and file are as they were signed
}

// Verify reads every version of a plugin that this node keeps from its disk, and
// compares digests, signature, grants and platform, now.
//
// # Errors
//
// ErrPluginNotFound when the node keeps nothing of it.
func (c *Catalog) Verify(ctx context.Context, name string) ([]Verified, error) {
	if err := c.running(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	w := c.workers[name]
	c.mu.Unlock()
	var versions []plan.Version
	if w != nil {
		w.mu.Lock()
		for _, h := range w.held {
			versions = append(versions, h.v)
		}
		w.mu.Unlock()
	}
	if len(versions) == 0 {
		return nil, fmt.Errorf("%w: node %s has nothing of plugin %.80s", pluginapi.ErrPluginNotFound, c.cfg.Node, name)
	}
	var out []Verified
	for _, v := range versions {
		p, err := c.store.check(v.Digest, c.open)
		if err == nil {
			err = c.vet(name, v, p)
		}
		out = append(out, Verified{v.Version, v.Digest, p.signer, err})
	}
	return out, nil
}

// Logs returns the last lines that a plugin has logged on this node, oldest
// first.
func (c *Catalog) Logs(name string) []Line {
	lines := c.logs.last(name)
	for i := range lines {
		lines[i].Node = c.cfg.Node
	}
	return lines
}

// Stats are the figures of the plugins that are active on this node, all uses
// together.
func (c *Catalog) Stats() map[string]plugin.Stats {
	c.mu.Lock()
	var handles []*Handle
	for _, uses := range c.handles {
		for _, h := range uses {
			handles = append(handles, h)
		}
	}
	c.mu.Unlock()
	out := map[string]plugin.Stats{}
	for _, h := range handles {
		s := h.Stats()
		sum := added(out[h.name], s)
		sum.Guests += s.Guests
		sum.Memory += s.Memory
		sum.Mode = s.Mode
		out[h.name] = sum
	}
	return out
}

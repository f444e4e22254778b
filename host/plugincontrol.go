package host

import (
	"context"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/host/plugin/catalog"
	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
)

// verbs are the requests that this node answers.
func (n *Node) verbs() []string {
	if n.catalog == nil { // another node, which has plugins, answers for any
		return control.Verbs()
	}
	return append(control.Verbs(), control.PluginVerbs()...)
}

// Plugins lists all plugins of the platform.
func (h handler) Plugins(ctx context.Context) ([]control.Plugin, error) {
	c, err := h.n.Catalog()
	if err != nil {
		return nil, err
	}
	list, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	out := []control.Plugin{}
	for _, l := range list {
		p := shownPlugin(l.Plugin)
		for _, n := range l.Nodes {
			p.Nodes = append(p.Nodes, shownOnNode(n))
		}
		out = append(out, p)
	}
	return out, nil
}

func shownPlugin(p plan.Plugin) control.Plugin {
	v, _ := p.Find(p.Current)
	out := control.Plugin{Name: p.Name, Current: v.Version, Contract: string(v.Contract), Digest: v.Digest, Signer: v.Signer, Enabled: p.Enabled}
	if previous, ok := p.Find(p.Previous); ok {
		out.Previous = previous.Version
	}
	if r := p.Rollout; r != nil {
		to, _ := p.Find(r.To)
		out.Rollout = &control.PluginRollout{To: to.Version, Phase: string(r.Phase), Node: r.Node}
		out.Contract = string(to.Contract)
	}
	if l := p.Last; l != nil {
		out.Last = &control.PluginOutcome{From: l.From, To: l.To, Done: l.Done, Reason: l.Reason}
	}
	return out
}

func shownOnNode(n catalog.OnNode) control.PluginNode {
	out := control.PluginNode{Node: n.Node, Local: n.State.Local}
	for _, h := range n.State.Held {
		out.Versions = append(out.Versions, control.PluginVersion{
			Version: h.Version, Stage: string(h.Stage), Reason: h.Reason, Calls: h.Tally.Calls, Faults: h.Tally.Faults, SlowUS: h.Tally.SlowUS,
		})
	}
	return out
}

// BeginPlugin makes room for a package on this node.
func (h handler) BeginPlugin(ctx context.Context, size int64) (control.PluginUpload, error) {
	c, err := h.n.Catalog()
	if err != nil {
		return control.PluginUpload{}, err
	}
	id, err := c.Begin(ctx, size)
	return control.PluginUpload{Node: h.n.cfg.Node, ID: id}, err
}

// PluginPiece takes a piece of it.
func (h handler) PluginPiece(ctx context.Context, id string, offset int64, data []byte) error {
	c, err := h.n.Catalog()
	if err != nil {
		return err
	}
	return c.Piece(ctx, id, offset, data)
}

// InstallPlugin verifies and installs it, or upgrades what is there.
func (h handler) InstallPlugin(ctx context.Context, id string, upgrade bool) (control.Plugin, error) {
	c, err := h.n.Catalog()
	if err != nil {
		return control.Plugin{}, err
	}
	p, err := c.Install(ctx, id, upgrade)
	return shownPlugin(p), err
}

// ChangePlugin rolls back, removes, enables or disables.
func (h handler) ChangePlugin(ctx context.Context, name, change string) (control.Plugin, error) {
	c, err := h.n.Catalog()
	if err != nil {
		return control.Plugin{}, err
	}
	var p plan.Plugin
	switch change {
	case control.PluginRollback:
		p, err = c.Rollback(ctx, name)
	case control.PluginRemove:
		p, err = c.Remove(ctx, name)
	default:
		p, err = c.SetEnabled(ctx, name, change == control.PluginEnable)
	}
	return shownPlugin(p), err
}

// VerifyPlugin verifies what this node has of a plugin.
func (h handler) VerifyPlugin(ctx context.Context, name string) ([]control.PluginCheck, error) {
	c, err := h.n.Catalog()
	if err != nil {
		return nil, err
	}
	found, err := c.Verify(ctx, name)
	if err != nil {
		return nil, err
	}
	out := []control.PluginCheck{}
	for _, v := range found {
		check := control.PluginCheck{Node: h.n.cfg.Node, Version: v.Version, Digest: v.Digest, Signer: v.Signer, OK: v.Err == nil}
		if v.Err != nil {
			check.Reason = v.Err.Error()
		}
		out = append(out, check)
	}
	return out, nil
}

// PluginLogs are the last lines of a plugin on this node.
func (h handler) PluginLogs(_ context.Context, name string) ([]control.PluginLine, error) {
	c, err := h.n.Catalog()
	if err != nil {
		return nil, err
	}
	out := []control.PluginLine{}
	for _, l := range c.Logs(name) {
		out = append(out, control.PluginLine{Time: l.Time, Node: l.Node, Version: l.Version, Level: l.Level.String(), Text: l.Text})
	}
	return out, nil
}

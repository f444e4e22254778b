package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

func fakePlugin(kind string) control.Plugin {
	p := control.Plugin{
		Name: "greet", Contract: "hook", Current: "1.0.0", Enabled: true, Digest: "d1", Signer: "AKEY",
		Last: &control.PluginOutcome{To: "1.0.0", Done: true},
		Nodes: []control.PluginNode{
			{Node: "n1", Versions: []control.PluginVersion{{Version: "1.0.0", Stage: "active", Calls: 120, Faults: 2, SlowUS: 1500}}},
			{Node: "n2", Versions: []control.PluginVersion{{Version: "1.0.0", Stage: "active"}}},
		},
	}
	switch kind {
	case "rolling":
		p.Previous, p.Rollout = "0.9.0", &control.PluginRollout{To: "1.1.0", Phase: "trial", Node: "n2"}
		p.Nodes[1].Versions = append(p.Nodes[1].Versions, control.PluginVersion{Version: "1.1.0", Stage: "prepared"})
	case "bad upgrade":
		p.Last = &control.PluginOutcome{From: "1.0.0", To: "1.1.0", Reason: "node n2 cannot have it: \x1b[2Jit traps"}
		p.Nodes[1].Versions = []control.PluginVersion{{Version: "1.0.0", Stage: "failed", Reason: "the disk is full"}}
	}
	return p
}

func (n *fakeNode) Plugins(context.Context) ([]control.Plugin, error) {
	if n.kind == "empty" {
		return nil, nil
	}
	return []control.Plugin{fakePlugin(n.kind)}, nil
}

func (n *fakeNode) BeginPlugin(context.Context, int64) (control.PluginUpload, error) {
	return control.PluginUpload{Node: n.id, ID: "up1"}, nil
}

func (n *fakeNode) PluginPiece(_ context.Context, id string, _ int64, _ []byte) error {
	if id != "up1" {
		return fmt.Errorf("%w: no upload %q", pluginapi.ErrInvalid, id)
	}
	return nil
}

func (n *fakeNode) InstallPlugin(context.Context, string, bool) (control.Plugin, error) {
	if n.kind == "rolling" {
		return control.Plugin{}, fmt.Errorf("%w: plugin greet is on its way", pluginapi.ErrConflict)
	}
	p := fakePlugin("")
	p.Rollout = &control.PluginRollout{To: "1.0.0", Phase: "canary"}
	if n.kind == "bad upgrade" {
		p.Rollout.To = "1.1.0"
	}
	return p, nil
}

func (n *fakeNode) ChangePlugin(_ context.Context, name, change string) (control.Plugin, error) {
	switch {
	case name != "greet":
		return control.Plugin{}, fmt.Errorf("%w: %s", pluginapi.ErrPluginNotFound, name)
	case n.kind == "rolling" && change == control.PluginDisable:
		return control.Plugin{}, pluginapi.ErrPluginDisabled
	}
	return fakePlugin(n.kind), nil
}

func (n *fakeNode) VerifyPlugin(context.Context, string) ([]control.PluginCheck, error) {
	if n.kind == "sick" && n.id == "n2" {
		return nil, pluginapi.ErrShuttingDown
	}
	return []control.PluginCheck{{Node: n.id, Version: "1.0.0", Digest: "d1", Signer: "AKEY", OK: true}}, nil
}

func (n *fakeNode) PluginLogs(context.Context, string) ([]control.PluginLine, error) {
	if n.kind == "sick" && n.id == "n2" {
		return nil, pluginapi.ErrShuttingDown
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return []control.PluginLine{{Time: at, Node: n.id, Version: "1.0.0", Level: "INFO", Text: "hello\x1b[2J"}}, nil
}

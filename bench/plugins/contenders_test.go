package plugins

import (
	"context"
	"os/exec"
	"testing"
	"time"

	extism "github.com/extism/go-sdk"
	hclog "github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"

	"github.com/ozanturksever/go-cluster/bench/plugins/testdata/grpcshare"
	"github.com/ozanturksever/go-cluster/bench/plugins/testdata/kn"
	"github.com/ozanturksever/go-cluster/bench/plugins/testdata/pb"
	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/host/plugin/wasm"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// ranking ranks the candidates of a table for an app. Two calls in a row with the
// same table send it once.
type ranking func(app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error)

// loaded is a module or a binary of this platform in its runtime. The limit of time
// is wide: on a busy machine a call may be due long before it is done.
func loaded(b *testing.B, r plugin.Runtime, path string) ranking {
	b.Helper()
	i, err := r.Load(b.Context(), artifact(b, path, wire.ContractPlacement), plugin.Options{Limits: plugin.Limits{Call: time.Minute}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := i.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	p, err := adapt.NewPolicy(b.Context(), i)
	if err != nil {
		b.Fatal(err)
	}
	return func(app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
		return p.Rank(b.Context(), app, table)
	}
}

func newRuntime(b *testing.B, cache string) *wasm.Runtime {
	b.Helper()
	r, err := wasm.New(wasm.Config{CacheDir: cache})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return r
}

// goPlugin is a binary of hashicorp/go-plugin, over gRPC with TLS in both directions.
func goPlugin(b *testing.B) ranking {
	b.Helper()
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: grpcshare.Handshake, Plugins: goplugin.PluginSet{"policy": &grpcshare.Plugin{}},
		Cmd: exec.Command(buildBinary(b, "grpc")), AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS: true, Logger: hclog.NewNullLogger(),
	})
	b.Cleanup(client.Kill)
	conn, err := client.Client()
	if err != nil {
		b.Fatal(err)
	}
	raw, err := conn.Dispense("policy")
	if err != nil {
		b.Fatal(err)
	}
	policy := raw.(pb.PolicyClient)
	label := func(l pluginapi.Label) *pb.Label { return &pb.Label{Key: l.Key, Value: l.Value} }
	var held *pluginapi.Table
	return func(app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
		q := &pb.Question{App: app.Name, Mode: app.Mode, Requires: each(app.Requires, label), Prefers: each(app.Prefers, label)}
		if held != table {
			q.Candidates = each(table.Candidates, func(c pluginapi.Candidate) *pb.Candidate {
				return &pb.Candidate{Node: c.Node, Labels: each(c.Labels, label), Apps: c.Apps, Leads: c.Leads, Cores: c.Cores, Memory: c.Memory,
					Load: c.Load, MemFree: c.MemFree, Joined: c.Joined, Cordoned: c.Cordoned, Healthy: c.Healthy}
			})
			held = table
		}
		scores, err := policy.Rank(b.Context(), q)
		return scores.GetScores(), err
	}
}

// knqyf is a guest of knqyf263/go-plugin.
func knqyf(b *testing.B, module string) ranking {
	b.Helper()
	loader, err := kn.NewPolicyPlugin(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	policy, err := loader.Load(b.Context(), module)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = policy.Close(context.Background()) })
	label := func(l pluginapi.Label) *kn.Label { return &kn.Label{Key: l.Key, Value: l.Value} }
	var held *pluginapi.Table
	return func(app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
		q := &kn.Question{App: app.Name, Mode: app.Mode, Requires: each(app.Requires, label), Prefers: each(app.Prefers, label)}
		if held != table {
			q.Candidates = each(table.Candidates, func(c pluginapi.Candidate) *kn.Candidate {
				return &kn.Candidate{Node: c.Node, Labels: each(c.Labels, label), Apps: c.Apps, Leads: c.Leads, Cores: c.Cores, Memory: c.Memory,
					Load: c.Load, MemFree: c.MemFree, Joined: c.Joined, Cordoned: c.Cordoned, Healthy: c.Healthy}
			})
			held = table
		}
		scores, err := policy.Rank(b.Context(), q)
		if err != nil {
			return nil, err
		}
		return scores.Scores, nil
	}
}

// extismGuest is a guest of the Extism Go SDK.
func extismGuest(b *testing.B, module string) ranking {
	b.Helper()
	p, err := extism.NewPlugin(b.Context(), extism.Manifest{Wasm: []extism.Wasm{extism.WasmFile{Path: module}}},
		extism.PluginConfig{EnableWasi: true}, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close(context.Background()) })
	var held *pluginapi.Table
	return func(app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
		if held != table {
			if _, _, err := p.Call("candidates", (&wire.Candidates{Epoch: table.Epoch, Upserts: table.Candidates}).Append(nil)); err != nil {
				return nil, err
			}
			held = table
		}
		_, out, err := p.Call("rank", (&wire.Rank{Epoch: table.Epoch, Apps: []pluginapi.AppSpec{app}}).Append(nil))
		if err != nil {
			return nil, err
		}
		var r wire.Ranking
		err = r.Decode(out)
		return r.Scores, err
	}
}

func each[T, U any](all []T, f func(T) U) []U {
	out := make([]U, len(all))
	for i, v := range all {
		out[i] = f(v)
	}
	return out
}

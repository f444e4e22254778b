package plugintest_test

import (
	"context"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/builtin/policy"
	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/host/plugin/inproc"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/answer"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest/reference"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// load runs a plugin in this process, with guests of its own.
func load(t plugintest.T, guests int, fresh func() *answer.Plugin) *inproc.Instance {
	t.Helper()
	limits := plugin.Limits{Call: time.Minute, Guests: guests}
	i := inproc.New(func() inproc.Handler { return fresh().Do }, fresh().About.Contract, plugin.Options{Limits: limits})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := i.Close(ctx); err != nil {
			t.Errorf("%v", err)
		}
	})
	return i
}

func must[V any](v V, err error) func(plugintest.T) V {
	return func(t plugintest.T) V {
		t.Helper()
		if err != nil {
			t.Fatalf("%v", err)
		}
		return v
	}
}

func policyGuest(deltas bool) func() *answer.Plugin {
	return func() *answer.Plugin {
		about := reference.AboutPolicy()
		about.Deltas = deltas
		return &answer.Plugin{About: about, Policy: reference.Policy{}}
	}
}

func hookGuest() *answer.Plugin {
	return &answer.Plugin{About: reference.AboutHook(), Hook: reference.Hook{}}
}

func backendGuest() *answer.Plugin {
	return &answer.Plugin{About: reference.AboutBackend(), Backend: reference.NewBackend()}
}

// TestReferencePolicy: natively, and over the wire with whole tables and with
// differences.
func TestReferencePolicy(t *testing.T) {
	over := func(deltas bool) func(t plugintest.T) pluginapi.Policy {
		return func(t plugintest.T) pluginapi.Policy {
			return must(adapt.NewPolicy(t.Context(), load(t, 3, policyGuest(deltas))))(t)
		}
	}
	for name, fresh := range map[string]func(plugintest.T) pluginapi.Policy{
		"native":      func(plugintest.T) pluginapi.Policy { return reference.Policy{} },
		"whole":       over(false),
		"differences": over(true),
	} {
		t.Run(name, plugintest.Policy{New: fresh, Reference: true}.Run)
	}
}

// TestBuiltinPolicy: the built-in policy keeps the laws, natively and over the
// wire.
func TestBuiltinPolicy(t *testing.T) {
	t.Run("native", plugintest.Policy{New: func(plugintest.T) pluginapi.Policy { return policy.Spread{} }}.Run)
	t.Run("wire", plugintest.Policy{New: func(t plugintest.T) pluginapi.Policy {
		fresh := func() *answer.Plugin {
			return &answer.Plugin{About: wire.Description{Contract: wire.ContractPlacement, Deltas: true}, Policy: policy.Spread{}}
		}
		return must(adapt.NewPolicy(t.Context(), load(t, 2, fresh)))(t)
	}}.Run)
}

// picky tells a hook of what it wants, as an adapter does.
type picky struct{ reference.Hook }

func (p picky) Handle(ctx context.Context, e pluginapi.HookEvent) error {
	if e.Kind == pluginapi.HookStop {
		return nil
	}
	return p.Hook.Handle(ctx, e)
}

func TestReferenceHook(t *testing.T) {
	t.Run("native", plugintest.Hook{New: func(plugintest.T) pluginapi.Hook { return picky{} }, Reference: true}.Run)
	t.Run("wire", plugintest.Hook{New: func(t plugintest.T) pluginapi.Hook {
		return must(adapt.NewHook(t.Context(), load(t, 3, hookGuest)))(t)
	}, Reference: true}.Run)
}

func TestReferenceBackend(t *testing.T) {
	t.Run("native", plugintest.Backend{New: func(plugintest.T) pluginapi.Backend { return reference.NewBackend() }, Reference: true}.Run)
	t.Run("wire", plugintest.Backend{New: func(t plugintest.T) pluginapi.Backend {
		return must(adapt.NewBackend(t.Context(), load(t, 1, backendGuest)))(t)
	}, Reference: true}.Run)
}

func TestReferenceOperations(t *testing.T) {
	for contract, fresh := range map[wire.Contract]func() *answer.Plugin{
		wire.ContractPlacement: policyGuest(true),
		wire.ContractHook:      hookGuest,
		wire.ContractBackend:   backendGuest,
	} {
		t.Run(string(contract), plugintest.Operations{
			New: func(t plugintest.T) plugintest.Caller { return load(t, 1, fresh) }, Contract: contract,
		}.Run)
	}
}

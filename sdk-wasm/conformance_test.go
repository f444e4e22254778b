package sdk_test

import (
	"context"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/host/plugin/inproc"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
	"github.com/ozanturksever/go-cluster/sdk-wasm/sdktest"
	"github.com/ozanturksever/go-cluster/sdk-wasm/testdata/sample"
)

// native is an instance whose guests are made by fresh and run here.
func native(t plugintest.T, contract wire.Contract, fresh func() *sdk.Guest) plugin.Instance {
	i := inproc.New(func() inproc.Handler {
		h := sdktest.New(t, fresh())
		return func(_ context.Context, op string, in []byte) ([]byte, error) { return h.Do(op, in) }
	}, contract, plugin.Options{})
	t.Cleanup(func() {
		if err := i.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return i
}

func must[V any](t plugintest.T, v V, err error) V {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return v
}

// TestConformance: the reference plugins, written with the SDK, pass the suites
// of their contracts.
func TestConformance(t *testing.T) {
	t.Run("placement", func(t *testing.T) {
		plugintest.Policy{New: func(t plugintest.T) pluginapi.Policy {
			p, err := adapt.NewPolicy(t.Context(), native(t, wire.ContractPlacement, sample.Policy))
			return must(t, p, err)
		}, Reference: true}.Run(t)
		plugintest.Operations{Contract: wire.ContractPlacement, New: func(t plugintest.T) plugintest.Caller {
			return native(t, wire.ContractPlacement, sample.Policy)
		}}.Run(t)
	})
	t.Run("hook", func(t *testing.T) {
		plugintest.Hook{New: func(t plugintest.T) pluginapi.Hook {
			h, err := adapt.NewHook(t.Context(), native(t, wire.ContractHook, sample.Hook))
			return must(t, h, err)
		}, Reference: true}.Run(t)
		plugintest.Operations{Contract: wire.ContractHook, New: func(t plugintest.T) plugintest.Caller {
			return native(t, wire.ContractHook, sample.Hook)
		}}.Run(t)
	})
	t.Run("backend", func(t *testing.T) {
		plugintest.Backend{New: func(t plugintest.T) pluginapi.Backend {
			b, err := adapt.NewBackend(t.Context(), native(t, wire.ContractBackend, sample.Backend))
			return must(t, b, err)
		}, Reference: true}.Run(t)
		plugintest.Operations{Contract: wire.ContractBackend, New: func(t plugintest.T) plugintest.Caller {
			return native(t, wire.ContractBackend, sample.Backend)
		}}.Run(t)
	})
}

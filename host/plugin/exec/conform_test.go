//go:build unix

package exec

import (
	"context"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// A plugin binary passes the same suites as all other plugins. Each check has a
// backend of its own, whose state nobody else has touched; the others share one
// process.
func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("policy", func(t *testing.T) {
		t.Parallel()
		i := loadReference(t, t, "reference policy", wire.ContractPlacement)
		plugintest.Policy{Reference: true, New: func(t plugintest.T) pluginapi.Policy {
			p, err := adapt.NewPolicy(t.Context(), i)
			if err != nil {
				t.Fatalf("%v", err)
			}
			return p
		}}.Run(t)
	})
	t.Run("hook", func(t *testing.T) {
		t.Parallel()
		i := loadReference(t, t, "reference hook", wire.ContractHook)
		plugintest.Hook{Reference: true, New: func(t plugintest.T) pluginapi.Hook {
			h, err := adapt.NewHook(t.Context(), i)
			if err != nil {
				t.Fatalf("%v", err)
			}
			return h
		}}.Run(t)
	})
	t.Run("backend", func(t *testing.T) {
		t.Parallel()
		plugintest.Backend{Reference: true, New: func(pt plugintest.T) pluginapi.Backend {
			b, err := adapt.NewBackend(pt.Context(), loadReference(pt, t, "reference backend", wire.ContractBackend))
			if err != nil {
				pt.Fatalf("%v", err)
			}
			pt.Cleanup(func() {
				if err := b.Close(context.WithoutCancel(pt.Context())); err != nil {
					pt.Errorf("%v", err)
				}
			})
			return b
		}}.Run(t)
	})
	t.Run("operations", func(t *testing.T) {
		t.Parallel()
		i := loadReference(t, t, "reference hook", wire.ContractHook)
		plugintest.Operations{Contract: wire.ContractHook, New: func(plugintest.T) plugintest.Caller { return i }}.Run(t)
	})
}

// loadReference loads a reference plugin for a check, which ends it.
func loadReference(pt plugintest.T, t *testing.T, part string, c wire.Contract) *Instance {
	a := binary(t)
	a.Contract = c
	o := plugin.Options{Limits: options(t).Limits}
	in, err := New(config(t, part)).Load(pt.Context(), a, o)
	if err != nil {
		pt.Fatalf("%v", err)
	}
	pt.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(pt.Context()), longTime)
		defer cancel()
		if err := in.Close(ctx); err != nil {
			pt.Errorf("%v", err)
		}
	})
	return in.(*Instance)
}

package trial

import (
	"context"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// closeTime is how long a plugin may take to end.
const closeTime = 30 * time.Second

// Suite says which checks are wanted beside those that hold for every plugin.
type Suite struct {
	// Reference: the plugin claims to be the reference one of its contract (package
	// plugintest/reference), as the first plugin in a new language would.
	Reference bool
	// Service: a backend's service is started and stopped, for real.
	Service bool
}

// Checks lists what a plugin has to keep: that it is what its manifest says, how
// it takes operations and bytes that are wrong, and the laws of its contract.
func (p *Plugin) Checks(s Suite) []plugintest.Check {
	checks := []plugintest.Check{{Name: "it is what its manifest says", Run: p.isItself}}
	add := func(prefix string, more []plugintest.Check) {
		for _, c := range more {
			checks = append(checks, plugintest.Check{Name: prefix + c.Name, Run: c.Run})
		}
	}
	add("call: ", plugintest.Operations{Contract: p.Manifest.Contract, New: func(t plugintest.T) plugintest.Caller { return p.fresh(t) }}.Checks())
	switch p.Manifest.Contract {
	case wire.ContractPlacement:
		add("policy: ", plugintest.Policy{New: p.policy, Reference: s.Reference}.Checks())
	case wire.ContractHook:
		add("hook: ", plugintest.Hook{New: p.hook, Reference: s.Reference}.Checks())
	case wire.ContractBackend:
		if s.Service || s.Reference {
			add("backend: ", plugintest.Backend{New: p.backend, Reference: s.Reference}.Checks())
		}
	}
	return checks
}

// isItself holds what the plugin says of itself against its manifest.
func (p *Plugin) isItself(t plugintest.T) {
	d, err := adapt.Describe(t.Context(), p.fresh(t), p.Manifest.Contract)
	if err != nil {
		t.Fatalf("%v", err)
	}
	m := p.Manifest
	if d.Name != "" && d.Name != m.Name || d.Version != "" && d.Version != m.Version {
		t.Errorf("it says that it is %s %s, and its manifest that it is %s: change one of them", d.Name, d.Version, m)
	}
	for _, k := range m.Events {
		if len(d.Events) > 0 && !slices.Contains(d.Events, string(k)) {
			t.Errorf("its manifest has the event %s, and the plugin does not want it", k)
		}
	}
}

// fresh loads an instance for one check.
func (p *Plugin) fresh(t plugintest.T) plugin.Instance {
	t.Helper()
	i, err := p.Load(t.Context())
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), closeTime)
		defer cancel()
		if err := i.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return i
}

func (p *Plugin) policy(t plugintest.T) pluginapi.Policy {
	t.Helper()
	policy, err := adapt.NewPolicy(t.Context(), p.fresh(t))
	if err != nil {
		t.Fatalf("%v", err)
	}
	return policy
}

func (p *Plugin) hook(t plugintest.T) pluginapi.Hook {
	t.Helper()
	h, err := adapt.NewHook(t.Context(), p.fresh(t))
	if err != nil {
		t.Fatalf("%v", err)
	}
	return h
}

func (p *Plugin) backend(t plugintest.T) pluginapi.Backend {
	t.Helper()
	b, err := adapt.NewBackend(t.Context(), p.fresh(t))
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), closeTime)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

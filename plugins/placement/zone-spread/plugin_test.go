package main

import (
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin/trial"
	"github.com/ozanturksever/go-cluster/host/plugin/trial/trialtest"
	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
	"github.com/ozanturksever/go-cluster/sdk-wasm/sdktest"
)

// in is a healthy node in a zone; "" is none.
func in(name, zone string, edit ...func(*sdk.Candidate)) sdk.Candidate {
	c := sdk.Candidate{Node: name, Healthy: true, Cores: 4000, Memory: 8 << 30, MemFree: 4 << 30, Load: 1000}
	if zone != "" {
		c.Labels = []sdk.Label{{Key: "zone", Value: zone}}
	}
	for _, e := range edit {
		e(&c)
	}
	return c
}

func leads(n int64) func(*sdk.Candidate)       { return func(c *sdk.Candidate) { c.Leads = n } }
func runs(apps ...string) func(*sdk.Candidate) { return func(c *sdk.Candidate) { c.Apps = apps } }

func cases() []trialtest.Ranking {
	return []trialtest.Ranking{
		{Name: "a zone without an instance, those that have one keep it", App: sdk.App{Name: "shop"}, Want: "a1 b1 c1 a2 b2", Nodes: []sdk.Candidate{
			in("a1", "a", runs("shop")), in("a2", "a"), in("b1", "b", runs("shop")), in("b2", "b"), in("c1", "c", leads(5)),
		}},
		{Name: "a zone that leads little", App: sdk.App{Name: "shop"}, Want: "b1 b2 a2 a1", Nodes: []sdk.Candidate{
			in("a1", "a", leads(4)), in("a2", "a"), in("b1", "b", leads(1)), in("b2", "b", leads(1)),
		}},
		{Name: "the leader stays beside one more led", App: sdk.App{Name: "shop", Leader: "a1"}, Want: "a1 b1", Nodes: []sdk.Candidate{
			in("a1", "a", leads(2)), in("b1", "b"),
		}},
		{Name: "the leader goes when three fewer are led elsewhere", App: sdk.App{Name: "shop", Leader: "a1"}, Want: "b1 a1", Nodes: []sdk.Candidate{
			in("a1", "a", leads(4)), in("b1", "b"),
		}},
		{Name: "an unhealthy instance counts in its zone", App: sdk.App{Name: "shop"}, Want: "b1 a2", Nodes: []sdk.Candidate{
			in("a1", "a", runs("shop"), func(c *sdk.Candidate) { c.Healthy = false }), in("a2", "a"), in("b1", "b", leads(12)),
		}},
		{Name: "without the label last", App: sdk.App{Name: "shop"}, Want: "a1 n1", Nodes: []sdk.Candidate{
			in("a1", "a", runs("x"), leads(1000)), in("n1", ""),
		}},
		{Name: "without the label unfit", Config: `{"missing": "unfit"}`, App: sdk.App{Name: "shop"}, Want: "a1", Nodes: []sdk.Candidate{
			in("a1", "a"), in("n1", ""),
		}},
		{Name: "another label", Config: `{"label": "rack"}`, App: sdk.App{Name: "shop"}, Want: "r1 a1", Nodes: []sdk.Candidate{
			in("a1", "a"), in("r1", "", func(c *sdk.Candidate) { c.Labels = []sdk.Label{{Key: "rack", Value: "1"}}; c.Leads = 5 }),
		}},
		{Name: "a preferred label outweighs zones", App: sdk.App{Name: "shop", Prefers: []sdk.Label{{Key: "zone", Value: "a"}}}, Want: "a1 b1", Nodes: []sdk.Candidate{
			in("a1", "a", runs("shop"), leads(50)), in("a2", "a", runs("shop"), func(c *sdk.Candidate) { c.Cordoned = true }), in("b1", "b"),
		}},
	}
}

func TestOrder(t *testing.T) { trialtest.RankNative(t, newPlugin, cases()) }

// Whatever numbers nodes report, a fit node's score is not negative, and what one
// label more gives is never outweighed.
func TestBounds(t *testing.T) {
	trialtest.Bounded(t, newPlugin, "", 1_000_000, 10_000, []string{"zone", "x", "y"})
}

func TestBadConfig(t *testing.T) {
	for _, config := range []string{`{"label": ""}`, `{"missing": "first"}`, `{"label": 5}`} {
		if err := sdktest.New(t, newPlugin()).Configure(config); err == nil {
			t.Errorf("%s is taken", config)
		}
	}
}

// TestModule: as WebAssembly, in the runtime of a node, it passes the suites and
// gives the same order.
func TestModule(t *testing.T) {
	p := trialtest.Open(t, trialtest.Build(t, "."), "", nil)
	trialtest.Conform(t, p, trial.Suite{})
	trialtest.RankModule(t, p, cases())
}

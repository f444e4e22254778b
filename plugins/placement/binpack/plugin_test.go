package main

import (
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin/trial"
	"github.com/ozanturksever/go-cluster/host/plugin/trial/trialtest"
	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
	"github.com/ozanturksever/go-cluster/sdk-wasm/sdktest"
)

const gib = 1 << 30

// node has 100 GiB and 10 cores; so much of them is in use.
func node(name string, memory, millis int64, apps ...string) sdk.Candidate {
	return sdk.Candidate{Node: name, Healthy: true, Memory: 100 * gib, MemFree: (100 - memory) * gib, Cores: 10_000, Load: millis, Apps: apps}
}

func cases() []trialtest.Ranking {
	app := func(memory, millis int64) sdk.App { return sdk.App{Name: "shop", Memory: memory * gib, CPU: millis} }
	led := app(20, 0)
	led.Leader = "a"
	onB := led
	onB.Leader = "b"
	blind := node("b", 0, 0)
	blind.Memory, blind.MemFree, blind.Cores = 0, 0, 0
	return []trialtest.Ranking{
		{Name: "the fullest that fits", App: app(20, 0), Want: "c b a", Nodes: []sdk.Candidate{
			node("a", 0, 0), node("b", 30, 0), node("c", 60, 0), node("d", 75, 0), // 75+20 leaves no headroom of 10
		}},
		{Name: "the very last GiB", App: app(20, 0), Want: "a", Nodes: []sdk.Candidate{node("a", 70, 0), node("b", 71, 0)}},
		{Name: "without headroom", Config: `{"headroom_percent": 0}`, App: app(20, 0), Want: "b a", Nodes: []sdk.Candidate{node("a", 70, 0), node("b", 80, 0), node("c", 81, 0)}},
		{Name: "by cores", App: app(0, 2000), Want: "b a", Nodes: []sdk.Candidate{node("a", 0, 1000), node("b", 0, 6000), node("c", 0, 7500)}},
		{Name: "the fuller of the two counts", App: app(1, 100), Want: "b a", Nodes: []sdk.Candidate{node("a", 50, 1000), node("b", 10, 7000)}},
		{Name: "equally full within a step", App: app(1, 0), Want: "a b", Nodes: []sdk.Candidate{node("a", 41, 0), node("b", 43, 0)}},
		{Name: "a smaller step", Config: `{"step_percent": 1}`, App: app(1, 0), Want: "b a", Nodes: []sdk.Candidate{node("a", 41, 0), node("b", 43, 0)}},
		{Name: "its needs are counted once", App: led, Want: "a b", Nodes: []sdk.Candidate{node("a", 45, 0, "shop"), node("b", 26, 0)}}, // 45 of 90 here, 46 there
		{Name: "it stays beside one step", App: onB, Want: "b a", Nodes: []sdk.Candidate{node("a", 31, 0), node("b", 45, 0, "shop")}},
		{Name: "it goes to what is two steps fuller", App: led, Want: "b a", Nodes: []sdk.Candidate{node("a", 45, 0, "shop"), node("b", 35, 0)}},
		{Name: "where it runs it fits", App: led, Want: "a", Nodes: []sdk.Candidate{node("a", 99, 0, "shop"), node("b", 90, 0)}},
		{Name: "nothing declared: no room comes last", App: app(0, 0), Want: "b a c", Nodes: []sdk.Candidate{node("a", 10, 0), node("b", 50, 0), node("c", 95, 0)}},
		{Name: "not known comes last", App: app(20, 100), Want: "a b", Nodes: []sdk.Candidate{node("a", 10, 0), blind}},
		{Name: "a preferred label outweighs fullness", App: sdk.App{Name: "shop", Prefers: []sdk.Label{{Key: "disk", Value: "ssd"}}}, Want: "a b", Nodes: []sdk.Candidate{
			func() sdk.Candidate {
				c := node("a", 0, 0)
				c.Labels = []sdk.Label{{Key: "disk", Value: "ssd"}}
				return c
			}(), node("b", 88, 0, "shop"),
		}},
	}
}

func TestOrder(t *testing.T) { trialtest.RankNative(t, newPlugin, cases()) }

// Whatever numbers nodes report, a fit node's score is not negative, and what one
// label more gives is never outweighed.
func TestBounds(t *testing.T) {
	trialtest.Bounded(t, newPlugin, `{"step_percent": 20, "headroom_percent": 0}`, 1_000_000, 10_000, nil)
	trialtest.Bounded(t, newPlugin, `{"headroom_percent": 90}`, 1_000_000, 10_000, nil)
}

func TestBadConfig(t *testing.T) {
	for _, config := range []string{`{"headroom_percent": -1}`, `{"headroom_percent": 91}`, `{"step_percent": 0}`, `{"step_percent": 21}`, `{"step_percent": "5"}`} {
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

package main

import (
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin/trial"
	"github.com/ozanturksever/go-cluster/host/plugin/trial/trialtest"
	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
	"github.com/ozanturksever/go-cluster/sdk-wasm/sdktest"
)

// node costs so much, "" for nothing known, and is so busy, in percent.
func node(name, price string, busy int64) sdk.Candidate {
	c := sdk.Candidate{Node: name, Healthy: true, Cores: 10_000, Load: busy * 100}
	if price != "" {
		c.Labels = []sdk.Label{{Key: "price", Value: price}}
	}
	return c
}

func cases() []trialtest.Ranking {
	app, led := sdk.App{Name: "shop"}, sdk.App{Name: "shop", Leader: "a"}
	const table = `{"prices": {"large": 0.1, "xlarge": 0.2, "own": 0}}`
	sick := node("a", "0.1", 0)
	sick.Healthy = false
	full := node("a", "1", 0)
	full.Memory, full.MemFree = 100, 0
	return []trialtest.Ranking{
		{Name: "the cheapest", App: app, Want: "b c a", Nodes: []sdk.Candidate{node("a", "0.3", 0), node("b", "0.1", 0), node("c", "0.2", 0)}},
		{Name: "the least busy of equals", App: app, Want: "b a", Nodes: []sdk.Candidate{node("a", "0.1", 60), node("b", "0.1", 40)}},
		{Name: "a little cheaper and much busier", App: app, Want: "b a", Nodes: []sdk.Candidate{node("a", "0.10", 95), node("b", "0.11", 5)}},
		{Name: "much cheaper and busier", App: app, Want: "a b", Nodes: []sdk.Candidate{node("a", "0.1", 95), node("b", "0.3", 5)}},
		{Name: "price alone", Config: `{"load_weight": 0}`, App: app, Want: "a b", Nodes: []sdk.Candidate{node("a", "0.10", 95), node("b", "0.11", 5)}},
		{Name: "load alone", Config: `{"price_weight": 0}`, App: app, Want: "b a", Nodes: []sdk.Candidate{node("a", "0.1", 95), node("b", "9", 5)}},
		{Name: "by name", Config: table, App: app, Want: "c a b", Nodes: []sdk.Candidate{node("a", "large", 0), node("b", "xlarge", 0), node("c", "own", 0)}},
		{Name: "no price comes last", App: app, Want: "c a b d", Nodes: []sdk.Candidate{node("a", "", 0), node("b", "cheap", 0), node("c", "1e9", 100), node("d", "-1", 0)}},
		{Name: "no price is unfit", Config: `{"unknown": "unfit"}`, App: app, Want: "c", Nodes: []sdk.Candidate{node("a", "", 0), node("b", "NaN", 0), node("c", "1", 100)}},
		{Name: "a node that cannot be used sets no price", App: app, Want: "c b", Nodes: []sdk.Candidate{sick, node("b", "1000", 0), node("c", "500", 0)}},
		{Name: "memory is load too", App: app, Want: "b a", Nodes: []sdk.Candidate{full, node("b", "1", 50)}},
		{Name: "it stays where little would be won", App: led, Want: "a b", Nodes: []sdk.Candidate{node("a", "0.11", 0), node("b", "0.10", 0)}},
		{Name: "it goes where much is won", App: led, Want: "b a", Nodes: []sdk.Candidate{node("a", "0.2", 0), node("b", "0.1", 0)}},
		{Name: "it never stays", Config: `{"stay_percent": 0}`, App: led, Want: "b a", Nodes: []sdk.Candidate{node("a", "0.11", 0), node("b", "0.10", 0)}},
	}
}

func TestOrder(t *testing.T) { trialtest.RankNative(t, newPlugin, cases()) }

// Whatever numbers nodes report, a fit node's score is not negative, and what one
// label more gives is never outweighed.
func TestBounds(t *testing.T) {
	trialtest.Bounded(t, newPlugin, `{"stay_percent": 20}`, 1_000_000, 10_000,
		[]string{"price", "0", "1", "1e12", "0.000001", "1e13", "-1", "x", "inf", "NaN"})
}

func TestBadConfig(t *testing.T) {
	for _, config := range []string{
		`{"price_weight": 0, "load_weight": 0}`, `{"price_weight": 101}`, `{"load_weight": -1}`, `{"stay_percent": 21}`, `{"label": ""}`,
		`{"unknown": "first"}`, `{"prices": {"a": -1}}`, `{"prices": {"a": 1e13}}`, `{"prices": {"a": "1"}}`, `{"prices": []}`,
	} {
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

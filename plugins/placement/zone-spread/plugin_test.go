package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
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

// cases say in which order the fit nodes come; of equals the first by name.
func cases() map[string]struct {
	config string
	app    sdk.App
	nodes  []sdk.Candidate
	want   string
} {
	type c = struct {
		config string
		app    sdk.App
		nodes  []sdk.Candidate
		want   string
	}
	return map[string]c{
		"a zone without an instance, those that have one keep it": {app: sdk.App{Name: "shop"}, want: "a1 b1 c1 a2 b2", nodes: []sdk.Candidate{
			in("a1", "a", runs("shop")), in("a2", "a"), in("b1", "b", runs("shop")), in("b2", "b"), in("c1", "c", leads(5)),
		}},
		"a zone that leads little": {app: sdk.App{Name: "shop"}, want: "b1 b2 a2 a1", nodes: []sdk.Candidate{
			in("a1", "a", leads(4)), in("a2", "a"), in("b1", "b", leads(1)), in("b2", "b", leads(1)),
		}},
		"the leader stays beside one more led": {app: sdk.App{Name: "shop", Leader: "a1"}, want: "a1 b1", nodes: []sdk.Candidate{
			in("a1", "a", leads(2)), in("b1", "b"),
		}},
		"the leader goes when three fewer are led elsewhere": {app: sdk.App{Name: "shop", Leader: "a1"}, want: "b1 a1", nodes: []sdk.Candidate{
			in("a1", "a", leads(4)), in("b1", "b"),
		}},
		"an unhealthy instance counts in its zone": {app: sdk.App{Name: "shop"}, want: "b1 a2", nodes: []sdk.Candidate{
			in("a1", "a", runs("shop"), func(c *sdk.Candidate) { c.Healthy = false }), in("a2", "a"), in("b1", "b", leads(12)),
		}},
		"without the label last": {app: sdk.App{Name: "shop"}, want: "a1 n1", nodes: []sdk.Candidate{
			in("a1", "a", runs("x"), leads(1000)), in("n1", ""),
		}},
		"without the label unfit": {config: `{"missing": "unfit"}`, app: sdk.App{Name: "shop"}, want: "a1", nodes: []sdk.Candidate{
			in("a1", "a"), in("n1", ""),
		}},
		"another label": {config: `{"label": "rack"}`, app: sdk.App{Name: "shop"}, want: "r1 a1", nodes: []sdk.Candidate{
			in("a1", "a"), in("r1", "", func(c *sdk.Candidate) { c.Labels = []sdk.Label{{Key: "rack", Value: "1"}}; c.Leads = 5 }),
		}},
		"a preferred label outweighs zones": {
			app: sdk.App{Name: "shop", Prefers: []sdk.Label{{Key: "zone", Value: "a"}}}, want: "a1 b1", nodes: []sdk.Candidate{
				in("a1", "a", runs("shop"), leads(50)), in("a2", "a", runs("shop"), func(c *sdk.Candidate) { c.Cordoned = true }), in("b1", "b"),
			}},
	}
}

// order is the names of the fit nodes, the best first.
func order(nodes []sdk.Candidate, scores []int64) string {
	best := make([]int, 0, len(nodes))
	for i := range nodes {
		if scores[i] >= 0 {
			best = append(best, i)
		}
	}
	slices.SortStableFunc(best, func(a, b int) int { return int(scores[b] - scores[a]) })
	var names []string
	for _, i := range best {
		names = append(names, nodes[i].Node)
	}
	return strings.Join(names, " ")
}

func TestOrder(t *testing.T) {
	for name, c := range cases() {
		h := sdktest.New(t, newPlugin())
		if err := h.Configure(c.config); err != nil {
			t.Fatal(err)
		}
		scores, err := h.Rank(c.app, c.nodes...)
		if err != nil {
			t.Fatal(err)
		}
		if got := order(c.nodes, scores); got != c.want {
			t.Errorf("%s: %s (%v), want %s", name, got, scores, c.want)
		}
	}
}

// Whatever numbers nodes report, a fit node's score is not negative and what one
// label more gives is never outweighed.
func TestBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	number := func() int64 { return []int64{math.MinInt64, -1, 0, 1, 1 << 40, math.MaxInt64}[r.IntN(6)] }
	h := sdktest.New(t, newPlugin())
	for range 500 {
		var nodes []sdk.Candidate
		for i := range 6 {
			nodes = append(nodes, in(string(rune('a'+i)), []string{"", "x", "y"}[r.IntN(3)], func(c *sdk.Candidate) {
				c.Leads, c.Cores, c.Load, c.Memory, c.MemFree = number(), number(), number(), number(), number()
				c.Apps = [][]string{nil, {"shop"}}[r.IntN(2)]
				c.Labels = append([]sdk.Label{{Key: "best", Value: "yes"}}[:r.IntN(2)], c.Labels...)
			}))
		}
		scores, err := h.Rank(sdk.App{Name: "shop", Leader: "a", Prefers: []sdk.Label{{Key: "best", Value: "yes"}}}, nodes...)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range nodes {
			_, best := c.Label("best")
			if least := map[bool]int64{true: 1_010_000, false: 1_000_000}[best]; scores[i] < least || scores[i] >= least+10_000 {
				t.Fatalf("%+v: score %d, want %d to %d", c, scores[i], least, least+9_999)
			}
		}
	}
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
	for name, c := range cases() {
		t.Run(name, func(t *testing.T) {
			i, err := p.LoadWith(t.Context(), []byte(c.config))
			if err != nil {
				t.Fatal(err)
			}
			policy, err := adapt.NewPolicy(t.Context(), i)
			if err != nil {
				t.Fatal(err)
			}
			scores, err := policy.Rank(t.Context(), c.app, &sdk.Table{Epoch: 1, Candidates: c.nodes})
			if err != nil {
				t.Fatal(err)
			}
			if got := order(c.nodes, scores); got != c.want {
				t.Errorf("%s (%v), want %s", got, scores, c.want)
			}
		})
	}
}

package policy_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ozanturksever/go-cluster/builtin/policy"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

func label(k, v string) pluginapi.Label { return pluginapi.Label{Key: k, Value: v} }

// TestSpreadPrefers names the better of two nodes, by what decides between them.
func TestSpreadPrefers(t *testing.T) {
	ssd := []pluginapi.Label{label("disk", "ssd")}
	node := func(edit func(*pluginapi.Candidate)) pluginapi.Candidate {
		c := pluginapi.Candidate{Node: "n", Healthy: true, Cores: 4000, Memory: 8 << 30, MemFree: 4 << 30, Load: 2000}
		edit(&c)
		return c
	}
	same := func(*pluginapi.Candidate) {}
	for _, c := range []struct {
		name          string
		app           pluginapi.AppSpec
		better, worse func(*pluginapi.Candidate)
	}{
		{"fewer apps led", pluginapi.AppSpec{}, func(c *pluginapi.Candidate) { c.Leads, c.Load = 1, 4000 }, func(c *pluginapi.Candidate) { c.Leads, c.Load = 2, 0 }},
		{"less load", pluginapi.AppSpec{}, func(c *pluginapi.Candidate) { c.Load = 1000 }, same},
		{"less load for each core", pluginapi.AppSpec{}, func(c *pluginapi.Candidate) { c.Cores, c.Load = 16000, 4000 }, same},
		{"more memory free", pluginapi.AppSpec{}, func(c *pluginapi.Candidate) { c.MemFree = 6 << 30 }, same},
		{"a preferred label before fewer apps led", pluginapi.AppSpec{Prefers: ssd}, func(c *pluginapi.Candidate) { c.Labels, c.Leads, c.Load = ssd, 40, 4000 }, func(c *pluginapi.Candidate) { c.Load, c.MemFree = 0, c.Memory }},
		{"no avoided label before fewer apps led", pluginapi.AppSpec{Avoids: ssd}, func(c *pluginapi.Candidate) { c.Leads, c.Load = 40, 4000 }, func(c *pluginapi.Candidate) { c.Labels, c.Load = ssd, 0 }},
		{"to stay, all else equal", pluginapi.AppSpec{Leader: "n"}, func(c *pluginapi.Candidate) { c.Leads = 1 }, func(c *pluginapi.Candidate) { c.Node = "m" }},
		{"to stay, one more led", pluginapi.AppSpec{Leader: "n"}, func(c *pluginapi.Candidate) { c.Leads = 2 }, func(c *pluginapi.Candidate) { c.Node = "m" }},
		{"to go, three more led", pluginapi.AppSpec{Leader: "n"}, func(c *pluginapi.Candidate) { c.Node = "m" }, func(c *pluginapi.Candidate) { c.Leads = 4 }},
		{"not known is not worse than full", pluginapi.AppSpec{}, func(c *pluginapi.Candidate) { c.Memory, c.MemFree = 0, 0 }, func(c *pluginapi.Candidate) { c.Cordoned = true }},
	} {
		table := &pluginapi.Table{Candidates: []pluginapi.Candidate{node(c.worse), node(c.better)}}
		s, err := policy.Spread{}.Rank(t.Context(), c.app, table)
		if err != nil || s[1] <= s[0] || s[1] < 0 {
			t.Errorf("%s: scores %v, %v", c.name, s, err)
		}
	}
}

func TestSpreadUnfit(t *testing.T) {
	ok := pluginapi.Candidate{Node: "n", Healthy: true, Labels: []pluginapi.Label{label("disk", "ssd")}, Memory: 8 << 30, MemFree: 1 << 30}
	for name, c := range map[string]struct {
		app   pluginapi.AppSpec
		edit  func(*pluginapi.Candidate)
		unfit bool
	}{
		"fit":                             {unfit: false},
		"cordoned":                        {edit: func(c *pluginapi.Candidate) { c.Cordoned = true }, unfit: true},
		"not healthy":                     {edit: func(c *pluginapi.Candidate) { c.Healthy = false }, unfit: true},
		"has the required label":          {app: pluginapi.AppSpec{Requires: []pluginapi.Label{label("disk", "ssd")}}},
		"another value":                   {app: pluginapi.AppSpec{Requires: []pluginapi.Label{label("disk", "hdd")}}, unfit: true},
		"one of two":                      {app: pluginapi.AppSpec{Requires: []pluginapi.Label{label("disk", "ssd"), label("gpu", "")}}, unfit: true},
		"too little memory free":          {app: pluginapi.AppSpec{Memory: 2 << 30}, unfit: true},
		"memory not known":                {app: pluginapi.AppSpec{Memory: 2 << 30}, edit: func(c *pluginapi.Candidate) { c.Memory, c.MemFree = 0, 0 }},
		"the leader has its memory":       {app: pluginapi.AppSpec{Memory: 2 << 30, Leader: "n"}},
		"a leader that is to be emptied":  {app: pluginapi.AppSpec{Leader: "n"}, edit: func(c *pluginapi.Candidate) { c.Cordoned = true }, unfit: true},
		"an empty leader is not the node": {app: pluginapi.AppSpec{Memory: 2 << 30}, edit: func(c *pluginapi.Candidate) { c.Node = "" }, unfit: true},
	} {
		node := ok
		if c.edit != nil {
			c.edit(&node)
		}
		s, err := policy.Spread{}.Rank(t.Context(), c.app, &pluginapi.Table{Candidates: []pluginapi.Candidate{node}})
		if err != nil || (s[0] < 0) != c.unfit {
			t.Errorf("%s: score %v, %v", name, s, err)
		}
	}
}

// TestSpreadIsNeverNegative: whatever numbers a node reports, a fit node's score
// is not below 0, and does not run over.
func TestSpreadIsNeverNegative(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	number := func() int64 {
		return []int64{math.MinInt64, -1, 0, 1, math.MaxInt64, r.Int64()}[r.IntN(6)]
	}
	many := make([]pluginapi.Label, 1000)
	for range 2000 {
		c := pluginapi.Candidate{Node: "n", Healthy: true, Labels: many[:1], Leads: number(), Cores: number(), Memory: number(), Load: number(), MemFree: number()}
		app := pluginapi.AppSpec{Avoids: many[:r.IntN(1001)], Prefers: many[:r.IntN(1001)]}
		s, err := policy.Spread{}.Rank(t.Context(), app, &pluginapi.Table{Candidates: []pluginapi.Candidate{c}})
		if err != nil || s[0] < 0 || s[0] > 2_000_000 {
			t.Fatalf("%+v: score %v, %v", c, s, err)
		}
	}
}

package plugintest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// table makes the same table each time for the same numbers.
func table(epoch uint64, nodes int, seed uint64) *pluginapi.Table {
	r := rand.New(rand.NewPCG(seed, 1))
	t := &pluginapi.Table{Epoch: epoch}
	for i := range nodes {
		t.Candidates = append(t.Candidates, candidate(r, fmt.Sprintf("node-%04d", i)))
	}
	return t
}

func candidate(r *rand.Rand, node string) pluginapi.Candidate {
	memory := int64(1+r.IntN(64)) << 30
	c := pluginapi.Candidate{
		Node: node, Leads: int64(r.IntN(5)), Cores: int64(1+r.IntN(32)) * 1000, Memory: memory, MemFree: r.Int64N(memory),
		Load: int64(r.IntN(8000)), Joined: 1_700_000_000_000 + r.Int64N(1e10),
		Cordoned: r.IntN(10) == 0, Healthy: r.IntN(10) > 0,
	}
	for _, key := range []string{"disk", "rack", "zone"} {
		if r.IntN(4) > 0 {
			c.Labels = append(c.Labels, pluginapi.Label{Key: key, Value: []string{"a", "b", "c"}[r.IntN(3)]})
		}
	}
	for _, app := range []string{"api", "db", "web"} {
		if r.IntN(2) > 0 {
			c.Apps = append(c.Apps, app)
		}
	}
	return c
}

// changed is a later table: some nodes have left, some have come, some differ.
func changed(old *pluginapi.Table, epoch, seed uint64) *pluginapi.Table {
	r := rand.New(rand.NewPCG(seed, 2))
	t := &pluginapi.Table{Epoch: epoch}
	for _, c := range old.Candidates {
		switch {
		case r.IntN(12) == 0:
			continue
		case r.IntN(6) == 0:
			c = candidate(r, c.Node)
		case r.IntN(12) == 0:
			t.Candidates = append(t.Candidates, candidate(r, fmt.Sprintf("%s-at-%d", c.Node, epoch)))
		}
		t.Candidates = append(t.Candidates, c)
	}
	slices.SortFunc(t.Candidates, func(a, b pluginapi.Candidate) int { return cmp.Compare(a.Node, b.Node) })
	return t
}

// apps are some to be placed.
func apps() []pluginapi.AppSpec {
	label := func(k, v string) []pluginapi.Label { return []pluginapi.Label{{Key: k, Value: v}} }
	return []pluginapi.AppSpec{
		{Name: "plain", Mode: "singleton"},
		{Name: "picky", Mode: "singleton", Requires: label("disk", "a"), Prefers: append(label("zone", "b"), label("rack", "c")...)},
		{Name: "shy", Mode: "spread", Avoids: label("zone", "a"), Memory: 4 << 30, CPU: 500, Weight: 3},
		{Name: "led", Mode: "pool", Leader: "node-0001", Prefers: label("zone", "c")},
	}
}

// dup is a copy that shares nothing with the table.
func dup(t *pluginapi.Table) *pluginapi.Table {
	out := &pluginapi.Table{Epoch: t.Epoch, Candidates: slices.Clone(t.Candidates)}
	for i := range out.Candidates {
		out.Candidates[i].Labels = slices.Clone(out.Candidates[i].Labels)
		out.Candidates[i].Apps = slices.Clone(out.Candidates[i].Apps)
	}
	return out
}

package trialtest

import (
	"math"
	"math/rand/v2"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// wildNumber is one that a sick node could report.
func wildNumber(seed uint64) int64 {
	r := rand.New(rand.NewPCG(seed, 7))
	return []int64{math.MinInt64, -1, 0, 1, 99, 1 << 40, math.MaxInt64 - 1, math.MaxInt64, r.Int64N(1 << 40)}[r.IntN(9)]
}

// wild are six healthy nodes, some with the label, that report anything. zone is
// the name of a further label and its values.
func wild(seed uint64, best pluginapi.Label, zone []string) (nodes []pluginapi.Candidate) {
	r := rand.New(rand.NewPCG(seed, 8))
	for i := range 6 {
		n := func() int64 { return wildNumber(r.Uint64()) }
		c := pluginapi.Candidate{
			Node: string(rune('a' + i)), Healthy: true, Leads: n(), Cores: n(), Load: n(), Memory: n(), MemFree: n(),
			Apps: [][]string{nil, {"shop"}}[r.IntN(2)],
		}
		if r.IntN(2) == 0 {
			c.Labels = append(c.Labels, best)
		}
		if len(zone) > 1 && r.IntN(4) > 0 {
			c.Labels = append(c.Labels, pluginapi.Label{Key: zone[0], Value: zone[1+r.IntN(len(zone)-1)]})
		}
		nodes = append(nodes, c)
	}
	return nodes
}

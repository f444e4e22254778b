package adapt_test

import (
	"fmt"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/host/plugin/inproc"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/answer"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest/reference"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// BenchmarkRank is what the wire adds to a ranking, without a runtime: native;
// with the table held; with one node changed each time; with the whole table
// each time. Every candidate is scored.
func BenchmarkRank(b *testing.B) {
	app := pluginapi.AppSpec{Name: "db", Prefers: []pluginapi.Label{{Key: "zone", Value: "b"}}}
	for _, n := range []int{100, 1000} {
		var tables [2]*pluginapi.Table
		for k := range tables {
			tables[k] = benchTable(n, uint64(k+1))
			tables[k].Candidates[n/2].Leads = int64(k)
		}
		run := func(name string, p pluginapi.Policy, tables ...*pluginapi.Table) {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					scores, err := p.Rank(b.Context(), app, tables[i%len(tables)])
					if err != nil || len(scores) != n || scores[n-1] < 0 {
						b.Fatal(scores, err)
					}
				}
			})
		}
		run("native", reference.Policy{}, tables[0])
		run("held", wired(b, true), tables[0])
		run("one changed", wired(b, true), tables[:]...)
		run("whole", wired(b, false), tables[:]...)
	}
}

func benchTable(n int, epoch uint64) *pluginapi.Table {
	t := &pluginapi.Table{Epoch: epoch}
	for i := range n {
		t.Candidates = append(t.Candidates, pluginapi.Candidate{
			Node:    fmt.Sprintf("node-%04d", i),
			Labels:  []pluginapi.Label{{Key: "arch", Value: "amd64"}, {Key: "disk", Value: "nvme"}, {Key: "rack", Value: "r7"}, {Key: "zone", Value: "b"}},
			Apps:    []string{"api", "db", "web"},
			Healthy: true, Cores: 8000, Memory: 32 << 30, MemFree: 9 << 30, Load: 1500, Joined: 1_750_000_000_000,
		})
	}
	return t
}

func wired(b *testing.B, deltas bool) *adapt.Policy {
	b.Helper()
	about := reference.AboutPolicy()
	about.Deltas = deltas
	i := inproc.New(func() inproc.Handler { return (&answer.Plugin{About: about, Policy: reference.Policy{}}).Do },
		wire.ContractPlacement, plugin.Options{Limits: plugin.Limits{Guests: 1}})
	p, err := adapt.NewPolicy(b.Context(), i)
	if err != nil {
		b.Fatal(err)
	}
	return p
}

package plugins

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/bench/plugins/testdata/score"
	pluginexec "github.com/ozanturksever/go-cluster/host/plugin/exec"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

const (
	rounds = 10
	turn   = 15 * time.Millisecond // at least, of each contender in each round
)

// contender ranks by one plugin, either with a table that is held from the call
// before or with another table in each call.
type contender struct {
	name string
	rank ranking
	held bool
	took []time.Duration // the quickest call of each round
}

// contenders are all that can take part on this machine; who cannot is logged.
func contenders(b *testing.B) (all []*contender) {
	b.Helper()
	dir := b.TempDir()
	add := func(name string, r ranking) {
		all = append(all, &contender{name: name + "-held", rank: r, held: true}, &contender{name: name + "-whole", rank: r})
	}
	add("native", native)
	runtime := newRuntime(b, filepath.Join(dir, "cache"))
	for _, g := range guests {
		module, err := g.build(dir)
		if missing := errMissing(""); errors.As(err, &missing) {
			b.Logf("without %s: %v", g.name, err)
			continue
		}
		if err != nil {
			b.Fatal(err)
		}
		add(g.name, loaded(b, runtime, module))
	}
	add("binary", loaded(b, pluginexec.New(pluginexec.Config{Dir: filepath.Join(dir, "run"), Platform: "bench", Node: "n1"}), buildBinary(b, "binary")))
	add("go-plugin", goPlugin(b))
	for name, load := range map[string]func(*testing.B, string) ranking{"extism": extismGuest, "knqyf": knqyf} {
		module, err := buildGo(dir, name)
		if err != nil {
			b.Fatal(err)
		}
		add(name, load(b, module))
	}
	return all
}

var guests = []struct {
	name  string
	build func(dir string) (string, error)
}{
	{"go", func(dir string) (string, error) { return buildGo(dir, "policy") }},
	{"tinygo", buildTinyGo}, {"c", buildC}, {"rust", buildRust},
}

var peers = []string{"go-plugin", "extism", "knqyf"}

func native(app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
	scores := make([]int64, len(table.Candidates))
	for i := range table.Candidates {
		scores[i] = score.Score(&app, &table.Candidates[i])
	}
	return scores, nil
}

// BenchmarkRank is the time of one ranking. "held": the plugin has the table from
// the call before. That is this platform's way; a peer has no words for it, but
// its plugin can be made to keep what came last. "whole": the table is another one
// in each call, which is the way of the peers as they come. Each time is the
// median over the rounds of the quickest call within one, which a busy machine
// moves little; a quotient is the median of those within a round.
func BenchmarkRank(b *testing.B) {
	all := contenders(b)
	for _, n := range []int{100, 1000} {
		tables := []*pluginapi.Table{table(n, 1), table(n, 2)}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				for _, c := range all {
					c.took = nil
				}
				for range rounds {
					for _, c := range all {
						if c.held {
							c.turn(b, tables[:1])
						} else {
							c.turn(b, tables)
						}
					}
				}
			}
			report(b, all)
		})
	}
}

// turn lets a contender rank for a while. The app is another one in each call, and
// each answer must be the right one.
func (c *contender) turn(b *testing.B, tables []*pluginapi.Table) {
	// It has the last table before the first call that counts: the one of all, or
	// another one than in that call.
	if _, err := c.rank(apps[0], tables[len(tables)-1]); err != nil {
		b.Fatalf("%s: %v", c.name, err)
	}
	var busy time.Duration
	var times []time.Duration
	for calls := 0; busy < turn || calls < 2*len(apps); calls++ {
		app, table := apps[calls%len(apps)], tables[calls%len(tables)]
		began := time.Now()
		got, err := c.rank(app, table)
		times = append(times, time.Since(began))
		busy += times[calls]
		if err != nil {
			b.Fatalf("%s: %v", c.name, err)
		}
		if want, _ := native(app, table); !slices.Equal(got, want) {
			b.Fatalf("%s: app %s: got %v, want %v", c.name, app.Name, got, want)
		}
	}
	c.took = append(c.took, slices.Min(times))
}

func report(b *testing.B, all []*contender) {
	b.ReportMetric(0, "ns/op") // says nothing here
	byName := map[string]*contender{}
	for _, c := range all {
		b.ReportMetric(float64(median(c.took))/1e3, c.name+"-µs")
		byName[c.name] = c
	}
	for _, name := range []string{"go", "tinygo", "c", "rust", "binary"} {
		ours := byName[name+"-held"]
		if ours == nil {
			continue
		}
		for _, p := range peers {
			for _, how := range []string{"-held", "-whole"} {
				var ratios []float64
				for i, took := range byName[p+how].took {
					ratios = append(ratios, float64(ours.took[i])/float64(took))
				}
				b.ReportMetric(median(ratios), name+"-held/"+p+how)
			}
		}
	}
}

func median[T time.Duration | float64](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// apps ask for different labels, so that no answer is the right one twice.
var apps = []pluginapi.AppSpec{
	{Name: "orders", Mode: "singleton", Requires: []pluginapi.Label{{Key: "tier", Value: "gold"}},
		Prefers: []pluginapi.Label{{Key: "zone", Value: "eu-a"}, {Key: "disk", Value: "ssd"}}},
	{Name: "mail", Mode: "singleton", Requires: []pluginapi.Label{{Key: "tier", Value: "gold"}},
		Prefers: []pluginapi.Label{{Key: "zone", Value: "eu-b"}, {Key: "rack", Value: "r7"}}},
}

// table is candidates with four labels each; one in ten is unfit.
func table(n int, epoch uint64) *pluginapi.Table {
	t := &pluginapi.Table{Epoch: epoch}
	for c := range n {
		t.Candidates = append(t.Candidates, pluginapi.Candidate{
			Node: fmt.Sprintf("node-%04d", c), Healthy: c%20 > 0, Cordoned: c%20 == 10, Apps: []string{"api", "web"},
			Cores: 8000, Memory: 32 << 30, MemFree: int64((uint64(c)*7+epoch)%30) << 30, Leads: int64(c % 3), Load: 1500, Joined: 1_750_000_000_000,
			Labels: []pluginapi.Label{{Key: "disk", Value: []string{"ssd", "hdd"}[c%2]}, {Key: "rack", Value: fmt.Sprint("r", c%40)},
				{Key: "tier", Value: []string{"gold", "iron"}[c%7/6]}, {Key: "zone", Value: "eu-" + string(rune('a'+c%3))}},
		})
	}
	return t
}

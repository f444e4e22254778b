package plugins

import (
	"slices"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// BenchmarkHook is what it adds to a failover that a hook of Go is told of it, in
// the moment after the event: a call each 2 ms, as events come one at a time. A
// guest that is called without a pause has warm caches.
func BenchmarkHook(b *testing.B) {
	module, err := buildGo(b.TempDir(), "spin")
	if err != nil {
		b.Fatal(err)
	}
	i, err := newRuntime(b, "").Load(b.Context(), artifact(b, module, wire.ContractHook), plugin.Options{})
	if err != nil {
		b.Fatal(err)
	}
	h, err := adapt.NewHook(b.Context(), i)
	if err != nil {
		b.Fatal(err)
	}
	before := i.Stats().Calls
	var took []time.Duration
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for b.Loop() {
		for n := range 1000 {
			<-tick.C
			e := pluginapi.HookEvent{ID: "orders-7", Kind: pluginapi.HookActive, Platform: "prod", Node: "n1", App: "orders", Epoch: uint64(n + 1), Attempt: 1}
			began := time.Now()
			if err := h.Handle(b.Context(), e); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
	}
	if calls := i.Stats().Calls - before; calls != uint64(len(took)) {
		b.Fatalf("the guest was called %d times, want %d", calls, len(took))
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took[len(took)/2])/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100])/1e3, "p99-µs")
}

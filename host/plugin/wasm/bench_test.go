package wasm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest/reference"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// BenchmarkEmptyCall is what a call costs the host when the guest does nothing.
func BenchmarkEmptyCall(b *testing.B) {
	r := newRuntime(b, Config{})
	m := hook(c32(0), 0x0f)
	i := load(b, r, m.bytes(), plugin.Options{})
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := i.Call(ctx, "event", nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoadCached is the time from nothing to the first answer of a module of
// Go that is in the compile cache.
func BenchmarkLoadCached(b *testing.B) {
	a := artifact(b, goModule(b))
	dir := b.TempDir()
	first, err := New(Config{CacheDir: dir})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := first.Prepare(b.Context(), a); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, err := New(Config{CacheDir: dir})
		if err != nil {
			b.Fatal(err)
		}
		i, err := r.Load(b.Context(), a, plugin.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := i.Call(b.Context(), wire.OpDescribe, nil); err != nil {
			b.Fatal(err)
		}
		if err := r.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(goModule(b)))/1e6, "MB-module")
}

// benchTable is a table in which every candidate is fit.
func benchTable(n int) *pluginapi.Table {
	t := &pluginapi.Table{Epoch: 1}
	for c := range n {
		t.Candidates = append(t.Candidates, pluginapi.Candidate{
			Node: fmt.Sprintf("node-%04d", c), Healthy: true, Cores: 8000, Memory: 32 << 30, MemFree: int64(c%30) << 30, Leads: int64(c % 3),
			Labels: []pluginapi.Label{{Key: "disk", Value: []string{"ssd", "hdd"}[c%2]}, {Key: "rack", Value: fmt.Sprint("r", c%40)},
				{Key: "tier", Value: "gold"}, {Key: "zone", Value: "eu-" + string(rune('a'+c%3))}},
		})
	}
	return t
}

// BenchmarkRank ranks against a table that the guest holds: a guest of Go, and the
// same policy as it is, in the same run.
func BenchmarkRank(b *testing.B) {
	r := newRuntime(b, Config{CacheDir: goCache(b)})
	a := artifact(b, goModule(b))
	a.Contract = wire.ContractPlacement
	i, err := r.Load(b.Context(), a, plugin.Options{Configure: wire.Configure{Config: []byte(wire.ContractPlacement)}})
	if err != nil {
		b.Fatal(err)
	}
	guest, err := adapt.NewPolicy(b.Context(), i)
	if err != nil {
		b.Fatal(err)
	}
	app := pluginapi.AppSpec{Name: "orders", Mode: "singleton", Requires: []pluginapi.Label{{Key: "tier", Value: "gold"}},
		Prefers: []pluginapi.Label{{Key: "zone", Value: "eu-a"}, {Key: "disk", Value: "ssd"}}}
	for _, n := range []int{100, 1000} {
		table := benchTable(n)
		for name, policy := range map[string]pluginapi.Policy{"native": reference.Policy{}, "guest": guest} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					scores, err := policy.Rank(b.Context(), app, table)
					if err != nil {
						b.Fatal(err)
					}
					for _, s := range scores {
						if s < 0 {
							b.Fatal("a candidate was not scored")
						}
					}
				}
			})
		}
	}
}

// BenchmarkEvent is what an event costs that a hook of Go is told of.
func BenchmarkEvent(b *testing.B) {
	r := newRuntime(b, Config{CacheDir: goCache(b)})
	i, err := r.Load(b.Context(), artifact(b, goModule(b)), plugin.Options{})
	if err != nil {
		b.Fatal(err)
	}
	h, err := adapt.NewHook(b.Context(), i)
	if err != nil {
		b.Fatal(err)
	}
	event := pluginapi.HookEvent{ID: "orders-7", Kind: pluginapi.HookActive, Platform: "prod", Node: "node-1", App: "orders", Epoch: 7, Attempt: 1}
	b.ReportAllocs()
	for b.Loop() {
		if err := h.Handle(b.Context(), event); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHeartbeat is the longest time that a goroutine which wants to run every
// 5 ms does not, while a guest spins for a second and the garbage collector runs
// every 20 ms; and the same without a guest.
func BenchmarkHeartbeat(b *testing.B) {
	for _, name := range []string{"idle", "spinning"} {
		b.Run(name, func(b *testing.B) {
			i := load(b, newRuntime(b, Config{}), hook(forever()).bytes(), plugin.Options{Limits: plugin.Limits{Call: time.Second, Guests: 2}})
			var longest time.Duration
			for b.Loop() {
				ctx, cancel := context.WithTimeout(b.Context(), time.Second)
				var wg sync.WaitGroup
				wg.Go(func() {
					if name == "idle" {
						<-ctx.Done()
					} else if _, err := i.Call(b.Context(), "event", nil); !errors.Is(err, pluginapi.ErrPluginLimit) {
						b.Error(err)
					}
					cancel()
				})
				wg.Go(func() {
					for tick := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; <-tick.C {
						runtime.GC()
					}
				})
				last := time.Now()
				for tick := time.NewTicker(5 * time.Millisecond); ctx.Err() == nil; <-tick.C {
					longest = max(longest, time.Since(last))
					last = time.Now()
				}
				wg.Wait()
			}
			b.ReportMetric(float64(longest.Microseconds())/1000, "ms-gap")
		})
	}
}

// BenchmarkResident is what 50 loaded hooks cost in memory: 50 modules, and one
// module 50 times; each has one guest that has answered.
func BenchmarkResident(b *testing.B) {
	const hooks = 50
	for name, m := range map[string]func(n int) []byte{
		"go/one module": func(int) []byte { return goModule(b) },
		"go/50 modules": func(n int) []byte {
			return append(goModule(b)[:len(goModule(b)):len(goModule(b))], 0, 3, 1, 'n', byte(n))
		},
		"small/50 modules": func(n int) []byte { m := hook(); m.extra = []byte{byte(n)}; return m.bytes() },
	} {
		b.Run(name, func(b *testing.B) {
			r := newRuntime(b, Config{CacheDir: goCache(b)})
			before := resident(b)
			for n := range hooks {
				i := load(b, r, m(n), plugin.Options{})
				event := wire.Event{HookEvent: pluginapi.HookEvent{ID: "1", Kind: pluginapi.HookActive, App: "a"}}
				if _, err := i.Call(b.Context(), wire.OpEvent, event.Append(nil)); err != nil {
					b.Fatal(err)
				}
			}
			used := resident(b) - before
			if err := r.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
			for b.Loop() { // nothing is timed here
			}
			b.ReportMetric(float64(used)/(1<<20), "MiB")
		})
	}
}

// resident is the resident memory of this process, after a collection.
func resident(b *testing.B) int64 {
	runtime.GC() // finalizers unmap code
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("needs /proc:", err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		b.Fatal(err)
	}
	return kib << 10
}

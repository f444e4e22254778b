package plugins

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// burn is how long a guest works at a time.
const burn = time.Second

// BenchmarkHeartbeat is the longest time that a goroutine which wants to run every
// 5 ms does not, while the garbage collector runs every 20 ms and a guest works:
// none (idle), one in an endless loop that ends by its limit of time, one that
// works for a second, one that makes garbage meanwhile, and the second one in
// wazero as it comes. The
// gap is the longest of all rounds; "more" is the median over the rounds of what
// it is longer than the idle one of that round.
func BenchmarkHeartbeat(b *testing.B) {
	module, err := buildGo(b.TempDir(), "spin")
	if err != nil {
		b.Fatal(err)
	}
	i, err := newRuntime(b, "").Load(b.Context(), artifact(b, module, wire.ContractHook), plugin.Options{Limits: plugin.Limits{Call: time.Minute}})
	if err != nil {
		b.Fatal(err)
	}
	plain := plainWazero(b, module)
	work := func(app string, steps uint64) []byte {
		return (&wire.Event{HookEvent: pluginapi.HookEvent{ID: "1", Kind: pluginapi.HookActive, App: app, Epoch: steps}}).Append(nil)
	}
	ours := func(app string, steps uint64) {
		if _, err := i.Call(b.Context(), wire.OpEvent, work(app, steps)); err != nil {
			b.Fatal(err)
		}
	}
	spinSteps := calibrate(func(steps uint64) { ours("spin", steps) })
	garbageSteps := calibrate(func(steps uint64) { ours("garbage", steps) })
	plainSteps := calibrate(func(steps uint64) { plain(work("spin", steps)) })
	cases := []struct {
		name string
		do   func()
	}{
		{"idle", func() {
			select {
			case <-time.After(burn):
			case <-b.Context().Done():
			}
		}},
		{"loop", func() {
			ctx, cancel := context.WithTimeout(b.Context(), burn)
			defer cancel()
			if _, err := i.Call(ctx, wire.OpEvent, work("spin", 0)); !errors.Is(err, pluginapi.ErrPluginLimit) && !errors.Is(err, context.DeadlineExceeded) {
				b.Errorf("an endless loop ended with %v", err)
			}
		}},
		{"burn", func() { ours("spin", spinSteps) }},
		{"garbage", func() { ours("garbage", garbageSteps) }},
		{"wazero-burn", func() { plain(work("spin", plainSteps)) }},
	}
	gaps := map[string][]time.Duration{}
	for b.Loop() {
		for range 3 {
			for _, c := range cases {
				gaps[c.name] = append(gaps[c.name], gapDuring(c.do))
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	for _, c := range cases {
		longest := time.Duration(0)
		var more []time.Duration
		for n, gap := range gaps[c.name] {
			longest = max(longest, gap)
			more = append(more, gap-gaps["idle"][n])
		}
		b.ReportMetric(longest.Seconds()*1e3, c.name+"-gap-ms")
		if c.name != "idle" {
			b.ReportMetric(median(more).Seconds()*1e3, c.name+"-more-ms")
		}
	}
}

// calibrate is how many steps take about as long as burn.
func calibrate(do func(steps uint64)) uint64 {
	const steps = 5_000_000
	do(steps) // to warm up
	began := time.Now()
	do(steps)
	return uint64(steps * burn.Seconds() / time.Since(began).Seconds())
}

// gapDuring is the longest pause of the heartbeat while do works.
func gapDuring(do func()) (longest time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	beating := make(chan struct{})
	wg.Go(func() {
		last := time.Now()
		close(beating)
		for tick := time.NewTicker(5 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			longest = max(longest, time.Since(last))
			last = time.Now()
		}
		longest = max(longest, time.Since(last))
	})
	wg.Go(func() {
		for tick := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			runtime.GC()
		}
	})
	<-beating
	do()
	cancel()
	wg.Wait()
	return longest
}

// plainWazero is the module in wazero as it comes, with no more around it than it
// needs to be told of an event.
func plainWazero(b *testing.B, path string) func(in []byte) {
	b.Helper()
	module, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	r := wazero.NewRuntime(b.Context())
	b.Cleanup(func() { _ = r.Close(context.Background()) })
	wasi_snapshot_preview1.MustInstantiate(b.Context(), r)
	var input []byte
	_, err = r.NewHostModuleBuilder("gchost").
		NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, to, room uint32) uint32 {
		n := min(uint32(len(input)), room)
		m.Memory().Write(to, input[:n])
		input = input[n:]
		return n
	}).Export("input_read").
		NewFunctionBuilder().WithFunc(func(uint32, uint32) {}).Export("output_write").
		NewFunctionBuilder().WithFunc(func(uint32, uint32, uint32) {}).Export("log").
		NewFunctionBuilder().WithFunc(func(uint32, uint32, uint32, uint32) uint64 { return 0 }).Export("host_call").
		NewFunctionBuilder().WithFunc(func(uint32, uint32) uint32 { return 0 }).Export("reply_read").
		Instantiate(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	m, err := r.InstantiateWithConfig(b.Context(), module, wazero.NewModuleConfig().WithStartFunctions("_initialize").WithSysNanotime())
	if err != nil {
		b.Fatal(err)
	}
	return func(in []byte) {
		input = in
		if code, err := m.ExportedFunction("gc_event").Call(b.Context(), uint64(len(in))); err != nil || code[0] != 0 {
			b.Fatal(code, err)
		}
	}
}

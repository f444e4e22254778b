package fuel

import (
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// tight is what a C compiler makes of a loop that sums up squares in memory.
func tight() []byte {
	const set, get = 0x21, opLocalGet
	return wasm(
		section(1, vec(funcType(i32, i32))),
		section(3, vec([]byte{0})),
		section(5, vec([]byte{0, 1})),
		section(7, vec(export("run", 0, 0))),
		section(10, vec(sized([]byte{1, 1, 0x7f, opLoop, typeVoid,
			get, 0, 0x41, 0xfc, 0xff, 0, 0x71, 0x28, 2, 0, // memory[n & 0x3ffc]
			get, 0, get, 0, 0x6c, 0x6a, set, 1, // + n * n
			get, 0, 0x41, 0xfc, 0xff, 0, 0x71, get, 1, 0x36, 2, 0,
			get, 0, 0x41, 1, 0x6b, 0x22, 0, opBrIf, 0, opEnd, get, 1, opEnd}))),
	)
}

// goGuest builds the Go guest of testdata.
func goGuest(b *testing.B) []byte {
	b.Helper()
	out := filepath.Join(b.TempDir(), "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, "./testdata/guest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if text, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("build guest: %v\n%s", err, text)
	}
	mod, err := os.ReadFile(out)
	if err != nil {
		b.Fatal(err)
	}
	return mod
}

// variants are the ways to run a guest: as it is, metered, and with wazero's own
// watch on the context.
func variants(b *testing.B, mod []byte) map[string]api.Module {
	load := func(mod []byte, c wazero.RuntimeConfig) api.Module {
		rt := newRuntime(b, &meter{slice: Slice, budget: -1}, c)
		wasi_snapshot_preview1.MustInstantiate(context.Background(), rt)
		g, err := rt.InstantiateWithConfig(context.Background(), mod,
			wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
		if err != nil {
			b.Fatal(err)
		}
		return g
	}
	return map[string]api.Module{
		"plain":   load(mod, wazero.NewRuntimeConfig()),
		"fuel":    load(instrument(b, mod, Options{}), wazero.NewRuntimeConfig()),
		"context": load(mod, wazero.NewRuntimeConfig().WithCloseOnContextDone(true)),
	}
}

func call(b *testing.B, g api.Module, fn string, n uint64) time.Duration {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	from := time.Now()
	if _, err := g.ExportedFunction(fn).Call(ctx, n); err != nil {
		b.Fatal(err)
	}
	return time.Since(from)
}

// BenchmarkCost is what metering costs: the quickest of the rounds of each
// variant, in turns, as a multiple of the plain one.
func BenchmarkCost(b *testing.B) {
	goMod := goGuest(b)
	for _, work := range []struct {
		name, fn string
		mod      []byte
		n        uint64
	}{
		{"C-loop", "run", tight(), 5_000_000},
		{"Go-loop", "sum", goMod, 5_000_000},
		{"Go-rank", "rank", goMod, 100},
	} {
		b.Run(work.name, func(b *testing.B) {
			guests := variants(b, work.mod)
			best := make(map[string]time.Duration)
			rounds := 0
			for b.Loop() {
				rounds++
				for name, g := range guests {
					if d := call(b, g, work.fn, work.n); best[name] == 0 || d < best[name] {
						best[name] = d
					}
				}
			}
			plain := float64(best["plain"])
			b.ReportMetric(plain/float64(work.n), "ns/round-plain")
			b.ReportMetric(float64(best["fuel"])/plain, "x-fuel")
			b.ReportMetric(float64(best["context"])/plain, "x-context")
		})
	}
}

// BenchmarkHeartbeat is the longest gap of a goroutine that beats every 5 ms,
// while a guest runs for about a second and garbage is collected every 20 ms.
func BenchmarkHeartbeat(b *testing.B) {
	guests := variants(b, goGuest(b))
	guests["idle"] = nil
	const probe = 20_000_000
	for _, name := range []string{"idle", "plain", "fuel", "context"} {
		b.Run(name, func(b *testing.B) {
			g := guests[name]
			var n uint64
			if g != nil {
				n = uint64(probe * float64(time.Second) / float64(call(b, g, "sum", probe)))
			}
			var worst, longest time.Duration
			for b.Loop() {
				stop, gap := beat()
				from := time.Now()
				if g != nil {
					call(b, g, "sum", min(n, math.MaxInt32))
				} else {
					<-time.After(time.Second)
				}
				longest = max(longest, time.Since(from))
				close(stop)
				worst = max(worst, <-gap)
			}
			b.ReportMetric(float64(worst.Microseconds())/1000, "ms-gap")
			b.ReportMetric(float64(longest.Milliseconds()), "ms-call")
		})
	}
}

// beat runs a heart and a collector until stop is closed; then it says what the
// longest gap was.
func beat() (stop chan struct{}, gap chan time.Duration) {
	stop, gap = make(chan struct{}), make(chan time.Duration, 1)
	collector := make(chan struct{})
	go func() {
		defer close(collector)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				runtime.GC()
			case <-stop:
				return
			}
		}
	}()
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		last, worst := time.Now(), time.Duration(0)
		for {
			select {
			case <-tick.C:
				worst = max(worst, time.Since(last))
				last = time.Now()
			case <-stop:
				worst = max(worst, time.Since(last))
				<-collector
				gap <- worst
				return
			}
		}
	}()
	return stop, gap
}

// BenchmarkCall is an empty call: of a guest in this process, and to a child
// process and back through pipes, which is the other way to keep a guest from
// holding up its host.
func BenchmarkCall(b *testing.B) {
	empty := guest(opLocalGet, 0)
	for name, mod := range map[string][]byte{"plain": empty, "fuel": instrument(b, empty, Options{})} {
		b.Run(name, func(b *testing.B) {
			g := start(b, newRuntime(b, &meter{slice: Slice, budget: -1}, wazero.NewRuntimeConfig()), mod)
			fn := g.ExportedFunction("run")
			stack := []uint64{1}
			for b.Loop() {
				if err := fn.CallWithStack(context.Background(), stack); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("process", func(b *testing.B) {
		cmd := exec.Command("cat")
		in, err := cmd.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			b.Skip("there is no cat:", err)
		}
		defer cmd.Wait()
		defer in.Close()
		msg := make([]byte, 64)
		for b.Loop() {
			if _, err := in.Write(msg); err != nil {
				b.Fatal(err)
			}
			if _, err := out.Read(msg); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkInstrument is the rewriting itself, of a Go guest.
func BenchmarkInstrument(b *testing.B) {
	mod := goGuest(b)
	b.SetBytes(int64(len(mod)))
	var out []byte
	for b.Loop() {
		out = instrument(b, mod, Options{})
	}
	b.ReportMetric(float64(len(out))/float64(len(mod)), "x-size")
}

// BenchmarkSlice is how long a slice lasts, and the longest time between two
// refills, for guests that make as much of it as can be, on 64 MiB of memory.
func BenchmarkSlice(b *testing.B) {
	const mask = 64<<20 - 4
	loop := func(code ...byte) []byte {
		return cat([]byte{opLoop, typeVoid}, code, []byte{0x0c, 0, opEnd, opLocalGet, 0})
	}
	c := func(n int64) []byte { return appendS([]byte{0x41}, n) }
	divisions := []byte{}
	for range 500 { // n = 0x7fffffff / (n | 1), each waits for the one before
		divisions = append(divisions, cat(c(math.MaxInt32), []byte{opLocalGet, 0, 0x41, 1, 0x72, 0x6d, 0x21, 0})...)
	}
	loads := []byte{}
	for range 500 { // n = memory[n]
		loads = append(loads, opLocalGet, 0, 0x28, 2, 0, 0x21, 0)
	}
	for _, work := range []struct {
		name string
		code []byte
	}{
		{"divisions", loop(divisions...)},
		{"loads", loop(loads...)},
		{"fill", loop(cat(c(0), c(1), c(64<<20), []byte{0xfc, 0x0b, 0})...)},
		{"copy", loop(cat(c(0), c(32<<20), c(32<<20), []byte{0xfc, 10, 0, 0})...)},
	} {
		b.Run(work.name, func(b *testing.B) {
			mod := wasm(
				section(1, vec(funcType(i32, i32))),
				section(3, vec([]byte{0})),
				section(5, vec(cat([]byte{0}, appendU(nil, 1024)))),
				section(7, vec(export("run", 0, 0), export("memory", 2, 0))),
				section(10, vec(body(work.code...))),
			)
			m := &meter{slice: Slice, budget: 1 << 25}
			g := start(b, newRuntime(b, m, wazero.NewRuntimeConfig()), instrument(b, mod, Options{}))
			for at, next := uint32(0), uint32(0); ; at = next { // a walk over all words, far from each other
				next = (at + 4*1_234_567) & mask
				g.Memory().WriteUint32Le(at, next)
				if next == 0 {
					break
				}
			}
			longest, rounds := time.Duration(math.MaxInt64), 0
			for b.Loop() {
				rounds++
				m.given, m.longest, m.last = 0, 0, time.Time{}
				if _, err := g.ExportedFunction("run").Call(context.Background(), 0); !errors.Is(err, errEmpty) {
					b.Fatal(err)
				}
				longest = min(longest, m.longest) // the rest is the machine's
			}
			slices := float64(rounds) * float64(m.budget/m.slice)
			b.ReportMetric(b.Elapsed().Seconds()*1000/slices, "ms/slice")
			b.ReportMetric(float64(longest.Microseconds())/1000, "ms-longest")
		})
	}
}

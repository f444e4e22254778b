package wasm

import (
	"errors"
	"runtime"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// TestNothingStays: plugins that were loaded and unloaded, and guests that
// crashed, leave no memory and no goroutine behind, also while another instance
// keeps the code of the module.
func TestNothingStays(t *testing.T) {
	r := newRuntime(t, Config{CacheDir: t.TempDir()})
	a := artifact(t, hook(code(opUnreachable)).bytes())
	if _, err := r.Load(testContext(t), a, plugin.Options{}); err != nil {
		t.Fatal(err)
	}
	round := func() {
		i, err := r.Load(testContext(t), a, plugin.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if _, err := i.Call(testContext(t), "event", nil); !errors.Is(err, pluginapi.ErrPluginCrashed) {
				t.Fatal(err)
			}
		}
		answers(t, i)
		if err := i.Close(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	used := func() (bytes uint64, goroutines int) {
		runtime.GC()
		runtime.GC() // finalizers have run
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, runtime.NumGoroutine()
	}
	for range 10 {
		round()
	}
	before, goroutines := used()
	const rounds = 60
	for range rounds {
		round()
	}
	// One guest is a page of 64 KiB: had one of each round stayed, it were 4 MB.
	after, now := used()
	if after > before+rounds*pageSize/2 || now > goroutines {
		t.Fatalf("%d KiB more, %d goroutines more", (int64(after)-int64(before))>>10, now-goroutines)
	}
	if len(r.entries) != 1 || len(r.instances) != 1 {
		t.Fatal(r.entries, r.instances)
	}
}

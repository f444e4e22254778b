package wasm

import (
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin"
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

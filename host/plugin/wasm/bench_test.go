package wasm

import (
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin"
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

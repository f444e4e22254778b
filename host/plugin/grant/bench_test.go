package grant

import (
	"context"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// nothing is a KV that holds nothing, so that only the way to it is measured.
type nothing struct{}

func (nothing) Get(context.Context, string) ([]byte, error)    { return nil, nil }
func (nothing) Put(context.Context, string, []byte) error      { return nil }
func (nothing) Delete(context.Context, string) error           { return nil }
func (nothing) Keys(context.Context, string) ([]string, error) { return nil, nil }

// BenchmarkCall is what a request of a plugin costs on its way to the service:
// decoding, both sets, deadline, counting.
func BenchmarkCall(b *testing.B) {
	granted, err := capability.ParseSet([]string{"log", "clock", "http:POST hooks.example.com/alerts/", "publish:alerts.*", "kv.read:config.", "kv.read:prices."})
	if err != nil {
		b.Fatal(err)
	}
	h := New(granted, granted, Services{KV: nothing{}, Web: &world{}})
	for name, r := range map[string]struct {
		op string
		in []byte
	}{
		"kv allowed": {wire.HostKVGet, encode(&wire.Key{Key: "prices.eur"})},
		"kv refused": {wire.HostKVGet, encode(&wire.Key{Key: "other.eur"})},
		"http":       {wire.HostHTTP, encode(&wire.HTTPRequest{Method: "GET", URL: "https://hooks.example.com/alerts/x?y=1"})},
	} {
		b.Run(name, func(b *testing.B) {
			ctx, cancel := context.WithTimeout(b.Context(), defaultTimeout)
			defer cancel()
			b.ReportAllocs()
			for b.Loop() {
				_, _ = h.Call(ctx, r.op, r.in)
			}
		})
	}
}

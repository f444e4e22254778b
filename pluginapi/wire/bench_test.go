package wire_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// BenchmarkCandidates is the table of candidates through our codec and, beside
// it in the same run, encoding/json and google protobuf (its dynamic messages,
// which are slower than generated ones).
func BenchmarkCandidates(b *testing.B) {
	for _, n := range []int{100, 1000} {
		m := table(n)
		bytes := m.Append(nil)
		text, err := json.Marshal(m)
		if err != nil {
			b.Fatal(err)
		}
		d := compiled(b).Messages().ByName("Candidates")
		dynamic := toGoogle(b, d, reflect.ValueOf(m).Elem())
		var into wire.Candidates
		var buf []byte
		run := func(name string, size int, f func() error) {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("decode", len(bytes), func() error { return into.Decode(bytes) })
		run("encode", len(bytes), func() error { buf = m.Append(buf[:0]); return nil })
		run("json decode", len(text), func() error { return json.Unmarshal(text, new(wire.Candidates)) })
		run("json encode", len(text), func() error { _, err := json.Marshal(m); return err })
		run("google decode", len(bytes), func() error { return proto.Unmarshal(bytes, dynamicpb.NewMessage(d)) })
		run("google encode", len(bytes), func() error { _, err := proto.Marshal(dynamic); return err })
	}
}

// BenchmarkRanking is the answer for 10 apps and 1000 candidates.
func BenchmarkRanking(b *testing.B) {
	m := wire.Ranking{Scores: make([]int64, 10_000)}
	for i := range m.Scores {
		m.Scores[i] = int64(i % 300)
	}
	bytes := m.Append(nil)
	var into wire.Ranking
	b.SetBytes(int64(len(bytes)))
	b.ReportAllocs()
	for b.Loop() {
		if err := into.Decode(bytes); err != nil {
			b.Fatal(err)
		}
	}
}

package segment

import (
	"math/rand/v2"
	"testing"

	"github.com/ozanturksever/go-cluster/replication/page"
)

// BenchmarkEncode encodes a transaction that changes 100 bytes in each of three
// pages of 4 KiB, and reads it again.
func BenchmarkEncode(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	prev := map[uint32][]byte{}
	var pages []page.Page
	for n := uint32(1); n <= 3; n++ {
		before := make([]byte, 4096)
		for i := range before {
			before[i] = byte(r.Uint32())
		}
		after := append([]byte(nil), before...)
		for i := range 100 {
			after[500+i] = byte(r.Uint32())
		}
		prev[n] = before
		pages = append(pages, page.Page{Number: n, Data: after})
	}
	h := Header{Epoch: 1, First: 1, Last: 1, PageSize: 4096, Commit: 3}
	var size int
	for b.Loop() {
		messages, err := Encode(h, pages, func(n uint32) []byte { return prev[n] }, MaxBody)
		if err != nil {
			b.Fatal(err)
		}
		size = len(messages[0])
		s, err := Decode(messages[0])
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Each(func(n uint32) []byte { return prev[n] }, func(page.Page) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size), "bytes/message")
}

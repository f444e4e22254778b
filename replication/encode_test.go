package replication

import (
	"bytes"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/replication/page"
	"github.com/ozanturksever/go-cluster/replication/segment"
	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// TestBrokenOff: a change that the capture breaks off and begins anew is sent for
// what the feed has, and later ones are no differences to pages that nobody got.
func TestBrokenOff(t *testing.T) {
	e := &encoder{epoch: 1, tx: 7, whole: 99, cache: newCache(), large: DefaultLarge, now: time.Now}
	data := func(b byte) []byte { return bytes.Repeat([]byte{b}, 4096) }
	part := func(n int, more bool, b byte) sqlite.Change {
		return sqlite.Change{Part: n, More: more, PageSize: 4096, Commit: 9, TX: 1, Post: 5, Pages: []page.Page{{Number: uint32(n + 1), Data: data(b)}}}
	}
	if _, m, err := e.add(t.Context(), part(0, true, 1)); err != nil || m != nil {
		t.Fatal(err)
	}
	for i, whole := range []bool{true, false} {
		c := part(0, true, 2)
		c.Pre = 5
		if i == 1 { // a page that differs little from what was broken off
			c = part(1, true, 3)
			c.Part, c.Pre = 0, 5
			if _, m, err := e.add(t.Context(), c); err != nil || m != nil {
				t.Fatal(err)
			}
			c.More, c.Pages[0].Data = false, data(3)
			c.Pages[0].Data[100]++
		}
		if i == 0 {
			c.More = false
		}
		ch, m, err := e.add(t.Context(), c)
		if err != nil || len(m) != 1 {
			t.Fatal(err, len(m))
		}
		want := page.Sum(5)
		if whole {
			want = 99
		}
		if ch.Pre != want || ch.First != uint64(8+i) {
			t.Errorf("change %d: %+v", i, ch)
		}
		s, err := segment.Decode(m[0])
		if err != nil {
			t.Fatal(err)
		}
		none := func(uint32) []byte { return nil }
		if err := s.Each(none, func(page.Page) error { return nil }); err != nil {
			t.Errorf("change %d needs pages of the change that was broken off: %v", i, err)
		}
	}
}

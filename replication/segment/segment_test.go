package segment

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ozanturksever/go-cluster/replication/page"
)

// db is a database in memory with its checksum.
type db struct {
	size   int
	pages  map[uint32][]byte
	commit uint32
	sum    page.Sum
}

func newDB(size int) *db { return &db{size: size, pages: map[uint32][]byte{}} }

func (d *db) hash(n uint32) uint64 {
	if p := d.pages[n]; p != nil {
		return page.Hash(page.Page{Number: n, Data: p})
	}
	return 0
}

func (d *db) set(n uint32, data []byte) {
	old := d.hash(n)
	d.pages[n] = bytes.Clone(data)
	d.sum = d.sum.Replace(old, d.hash(n))
}

func (d *db) truncate(commit uint32) {
	for n := commit + 1; n <= d.commit; n++ {
		d.sum = d.sum.Replace(d.hash(n), 0)
		delete(d.pages, n)
	}
	d.commit = commit
}

func (d *db) clone() *db {
	c := *d
	c.pages = map[uint32][]byte{}
	for n, p := range d.pages {
		c.pages[n] = bytes.Clone(p)
	}
	return &c
}

// change makes a random transaction and returns its pages and the state before.
func (d *db) change(r *rand.Rand, most int) (before *db, pages []page.Page) {
	before = d.clone()
	commit := max(1, int(d.commit)+r.IntN(2*most+1)-most/2)
	touched := map[uint32]bool{}
	for n := d.commit + 1; n <= uint32(commit); n++ {
		touched[n] = true
	}
	d.truncate(min(d.commit, uint32(commit)))
	for range 1 + r.IntN(most) {
		touched[1+r.Uint32N(uint32(commit))] = true
	}
	for n := range touched {
		p := bytes.Clone(d.pages[n])
		if p == nil || r.IntN(4) == 0 {
			p = make([]byte, d.size)
			for i := range p {
				p[i] = byte(r.Uint32())
			}
		}
		for range r.IntN(20) {
			at := r.IntN(d.size)
			for i := at; i < min(d.size, at+r.IntN(30)); i++ {
				p[i] = byte(r.Uint32())
			}
		}
		d.set(n, p)
		pages = append(pages, page.Page{Number: n, Data: bytes.Clone(p)})
	}
	d.commit = uint32(commit)
	slices.SortFunc(pages, func(a, b page.Page) int { return int(a.Number) - int(b.Number) })
	return before, pages
}

// apply does what a standby does.
func (d *db) apply(parts []Segment) error {
	h := parts[0].Header
	if d.sum != h.Pre {
		return fmt.Errorf("stands at %x, the change begins at %x", d.sum, h.Pre)
	}
	old := d.clone()
	d.truncate(min(d.commit, h.Commit))
	for _, s := range parts {
		err := s.Each(func(n uint32) []byte { return old.pages[n] }, func(p page.Page) error { d.set(p.Number, p.Data); return nil })
		if err != nil {
			return err
		}
	}
	d.commit = h.Commit
	if d.sum != h.Post {
		return fmt.Errorf("ends at %x, the change ends at %x", d.sum, h.Post)
	}
	return nil
}

// TestCopy: a standby that is sent random changes, in parts, whole or as
// differences, has the same pages after each.
func TestCopy(t *testing.T) {
	for _, size := range []int{page.MinSize, 4096, page.MaxSize} {
		r := rand.New(rand.NewPCG(1, uint64(size)))
		primary := newDB(size)
		var standby *db
		var a Assembler
		for tx := uint64(1); tx <= 60; tx++ {
			before, pages := primary.change(r, 12)
			if standby == nil {
				standby = before
			}
			h := Header{Epoch: 7, First: tx, Last: tx, Time: 1, PageSize: size, Commit: primary.commit, Pre: before.sum, Post: primary.sum}
			prev := func(n uint32) []byte { return before.pages[n] }
			if tx%5 == 0 {
				prev = nil
			}
			messages, err := Encode(h, pages, prev, []int{0, 3 * size, MaxBody}[tx%3])
			if err != nil {
				t.Fatal(err)
			}
			for i, m := range messages {
				s, err := Decode(m)
				if err != nil {
					t.Fatal(err)
				}
				done, err := a.Add(s)
				if err != nil || (done != nil) != (i == len(messages)-1) {
					t.Fatalf("part %d of %d: %d %v", i+1, len(messages), len(done), err)
				}
				if done != nil {
					if err := standby.apply(done); err != nil {
						t.Fatalf("page size %d, %v: %v", size, s.Header, err)
					}
				}
			}
			for n, p := range primary.pages {
				if !bytes.Equal(p, standby.pages[n]) {
					t.Fatalf("page %d differs", n)
				}
			}
			if len(primary.pages) != len(standby.pages) {
				t.Fatalf("%d pages, want %d", len(standby.pages), len(primary.pages))
			}
		}
	}
}

// sample is a message of three pages and what it was made from.
func sample(t testing.TB, limit int) (messages [][]byte, before *db) {
	r := rand.New(rand.NewPCG(3, 3))
	d := newDB(1024)
	d.change(r, 12)
	before, pages := d.change(r, 12)
	messages, err := Encode(Header{Epoch: 3, First: 9, Last: 11, PageSize: 1024, Commit: d.commit, Pre: before.sum, Post: d.sum},
		pages, func(n uint32) []byte { return before.pages[n] }, limit)
	if err != nil {
		t.Fatal(err)
	}
	return messages, before
}

// TestOneBit: each bit of a message that is turned, and each cut, is noticed.
func TestOneBit(t *testing.T) {
	messages, _ := sample(t, MaxBody)
	m := messages[0]
	for i := range len(m) * 8 {
		b := bytes.Clone(m)
		b[i/8] ^= 1 << (i % 8)
		if _, err := Decode(b); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit %d: %v", i, err)
		}
	}
	for i := range m {
		if _, err := Decode(m[:i]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

// TestAssemble: parts out of order, twice, or of another change are refused,
// and a first part begins anew.
func TestAssemble(t *testing.T) {
	messages, _ := sample(t, 0)
	if len(messages) < 3 {
		t.Fatalf("%d parts", len(messages))
	}
	var parts []Segment
	for _, m := range messages {
		s, err := Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, s)
	}
	refused := func(what string, feed ...Segment) {
		t.Helper()
		var a Assembler
		for i, s := range feed {
			done, err := a.Add(s)
			if last := i == len(feed)-1; last != errors.Is(err, ErrCorrupt) || done != nil {
				t.Errorf("%s: part %d: %d parts, %v", what, i, len(done), err)
			}
		}
		if a.Pending() {
			t.Errorf("%s: something is left", what)
		}
	}
	refused("without the first", parts[1])
	refused("twice", parts[0], parts[1], parts[1])
	refused("a gap", parts[0], parts[2])
	other := parts[1]
	other.Last++
	refused("of another change", parts[0], other)
	other = parts[1]
	other.Epoch++
	refused("of another epoch", parts[0], other)

	var a Assembler
	for _, s := range append([]Segment{parts[0], parts[1]}, parts...) {
		done, err := a.Add(s)
		if err != nil || (done != nil) != (s.Part == s.Parts) {
			t.Fatalf("part %d: %d %v", s.Part, len(done), err)
		}
	}
}

// TestChunked: a list of chunks survives; no other can be made of it.
func TestChunked(t *testing.T) {
	h := Header{Epoch: 1, First: 1, Last: 1, PageSize: 4096, Commit: 5}
	want := []Chunk{{sha256.Sum256([]byte("a")), 1000}, {sha256.Sum256([]byte("b")), MaxBody}}
	m, err := Chunked(h, want)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Decode(m)
	if err != nil || !slices.Equal(s.Chunks, want) || s.Pages() != 0 {
		t.Errorf("%+v %v", s, err)
	}
	if err := s.Each(nil, func(page.Page) error { return errors.New("a page") }); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]Chunk{nil, make([]Chunk, MaxChunks+1)} {
		if _, err := Chunked(h, bad); err == nil {
			t.Errorf("%d chunks", len(bad))
		}
	}
	small, _ := Chunked(h, []Chunk{{Size: 3}})
	if _, err := Decode(small); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

// TestTakeChunks: the chunks of a change hold all of its pages, and what waits in
// the encoder stays small.
func TestTakeChunks(t *testing.T) {
	h := Header{Epoch: 1, First: 1, Last: 1, PageSize: 512, Commit: 100}
	e, err := NewEncoder(h, nil, 4096)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	var chunks [][]byte
	want := map[uint32][]byte{}
	for n := uint32(1); n <= 100; n++ {
		data := make([]byte, 512)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		want[n] = data
		if err := e.Add(page.Page{Number: n, Data: data}); err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, e.TakeChunks(n == 100)...)
		if e.Size() > 4096 {
			t.Fatalf("%d bytes wait", e.Size())
		}
	}
	if _, err := e.Messages(); err == nil {
		t.Error("messages of what was taken as chunks")
	}
	last := uint32(0)
	for _, c := range chunks {
		s, err := Decode(c)
		if err != nil || s.Part != 1 || s.Parts != 1 {
			t.Fatal(s.Header, err)
		}
		_ = s.Each(nil, func(p page.Page) error {
			if p.Number != last+1 || !bytes.Equal(p.Data, want[p.Number]) {
				t.Errorf("page %d behind %d", p.Number, last)
			}
			last = p.Number
			return nil
		})
	}
	if last != 100 || e.Size() != 0 {
		t.Errorf("%d pages in %d chunks, %d bytes are left", last, len(chunks), e.Size())
	}
}

// TestArguments: what cannot be is not encoded.
func TestArguments(t *testing.T) {
	good := Header{Epoch: 1, First: 1, Last: 1, PageSize: 512, Commit: 5}
	data := make([]byte, 512)
	for what, c := range map[string]struct {
		change func(*Header)
		pages  []page.Page
	}{
		"page size":      {func(h *Header) { h.PageSize = 1000 }, nil},
		"epoch":          {func(h *Header) { h.Epoch = 0 }, nil},
		"transactions":   {func(h *Header) { h.First = 2 }, nil},
		"empty":          {func(h *Header) { h.Commit = 0 }, nil},
		"page 0":         {nil, []page.Page{{Number: 0, Data: data}}},
		"page too large": {nil, []page.Page{{Number: 6, Data: data}}},
		"short page":     {nil, []page.Page{{Number: 1, Data: data[:511]}}},
		"order":          {nil, []page.Page{{Number: 2, Data: data}, {Number: 1, Data: data}}},
		"twice":          {nil, []page.Page{{Number: 2, Data: data}, {Number: 2, Data: data}}},
	} {
		h := good
		if c.change != nil {
			c.change(&h)
		}
		if _, err := Encode(h, c.pages, nil, MaxBody); err == nil {
			t.Errorf("%s: encoded", what)
		}
	}
	many := good
	many.Commit = MaxParts + 1
	var pages []page.Page
	for n := range many.Commit {
		pages = append(pages, page.Page{Number: n + 1, Data: data})
	}
	if _, err := Encode(many, pages, nil, 0); err == nil {
		t.Error("too many parts: encoded")
	}
	if _, err := Encode(good, nil, nil, 0); err != nil {
		t.Errorf("a transaction that changes no page: %v", err)
	}
}

// FuzzDecode: whatever comes, nothing but a page of the right size is handed
// on. The checksum is made right, or nothing would get past it.
func FuzzDecode(f *testing.F) {
	for _, limit := range []int{0, MaxBody} {
		messages, _ := sample(f, limit)
		for _, m := range messages {
			f.Add(m)
		}
	}
	m, _ := Chunked(Header{Epoch: 1, First: 1, Last: 1, PageSize: 4096, Commit: 5}, []Chunk{{Size: 5000}})
	f.Add(m)
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		if len(b) >= headerSize {
			sum := checksum(b)
			b[crcAt], b[crcAt+1], b[crcAt+2], b[crcAt+3] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
		}
		s, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		zero := make([]byte, s.PageSize)
		last := uint32(0)
		err = s.Each(func(uint32) []byte { return zero }, func(p page.Page) error {
			if p.Number <= last || p.Number > s.Commit || len(p.Data) != s.PageSize {
				t.Fatalf("page %d behind %d, %d bytes", p.Number, last, len(p.Data))
			}
			last = p.Number
			return nil
		})
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	})
}

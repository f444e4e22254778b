package segment

import (
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/s2"

	"github.com/ozanturksever/go-cluster/replication/page"
)

// pageOverhead bounds what a page costs in a body beside its bytes.
const pageOverhead = 2 * binary.MaxVarintLen32

// Encoder makes the messages of one change, whose pages come bit by bit.
type Encoder struct {
	h      Header
	flags  byte
	prev   func(number uint32) []byte
	limit  int
	last   uint32
	full   []body // complete, not sealed
	open   body
	size   int
	chunks int
}

// body is that of one message.
type body struct {
	pages int
	bytes []byte
}

// NewEncoder begins a change. prev returns the version of a page on which the
// receivers stand, or nil to send it whole: a page that is new, or that the
// caller does not keep; with a nil prev all are sent whole. limit bounds the
// body of one message before compression, in bytes; it holds one page at least.
// Part and Parts of the header are set here.
//
// # Errors
//
// For a header that no database can have.
func NewEncoder(h Header, prev func(number uint32) []byte, limit int) (*Encoder, error) {
	h.Part, h.Parts = 1, 1
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("encode segment: %w", err)
	}
	e := &Encoder{h: h, prev: prev, limit: min(max(limit, h.PageSize+pageOverhead), MaxBody)}
	if prev == nil {
		e.flags = flagWhole
		e.prev = func(uint32) []byte { return nil }
	}
	return e, nil
}

// Add adds pages, sorted by number over all calls, each once, none above the
// size of the database. They are not kept.
func (e *Encoder) Add(pages ...page.Page) error {
	for _, p := range pages {
		if p.Number <= e.last || p.Number > e.h.Commit || len(p.Data) != e.h.PageSize {
			return fmt.Errorf("encode segment: page %d with %d bytes behind page %d, in a database of %d pages of %d bytes", p.Number, len(p.Data), e.last, e.h.Commit, e.h.PageSize)
		}
		if e.open.pages > 0 && len(e.open.bytes)+e.h.PageSize+pageOverhead > e.limit {
			e.full, e.open = append(e.full, e.open), body{}
		}
		before := len(e.open.bytes)
		e.open.bytes = appendPage(e.open.bytes, p, e.prev(p.Number))
		e.open.pages++
		e.size += len(e.open.bytes) - before
		e.last = p.Number
	}
	return nil
}

// Size is how many bytes the bodies have that wait in the encoder.
func (e *Encoder) Size() int { return e.size }

// Messages makes the messages of the change.
//
// # Errors
//
// For more than [MaxParts] parts, and when chunks have been taken.
func (e *Encoder) Messages() ([][]byte, error) {
	all := append(e.full, e.open)
	if len(all) > MaxParts || e.chunks > 0 {
		return nil, fmt.Errorf("encode segment: %d parts, the most is %d; %d chunks were taken", len(all), MaxParts, e.chunks)
	}
	h := e.h
	h.Parts = len(all)
	messages := make([][]byte, len(all))
	for i, b := range all {
		h.Part = i + 1
		messages[i] = compressed(h, e.flags, b)
	}
	return messages, nil
}

// TakeChunks makes a message of its own of each body that is complete, or of all
// if the change is at its end, and forgets them: they are to be stored, and to be
// named to [Chunked].
func (e *Encoder) TakeChunks(end bool) (chunks [][]byte) {
	if end && e.open.pages > 0 {
		e.full, e.open = append(e.full, e.open), body{}
	}
	for _, b := range e.full {
		chunks = append(chunks, compressed(e.h, e.flags, b))
	}
	e.full, e.size, e.chunks = nil, len(e.open.bytes), e.chunks+len(chunks)
	return chunks
}

// Encode makes the messages of a change whose pages are all here; see
// [Encoder].
func Encode(h Header, pages []page.Page, prev func(number uint32) []byte, limit int) ([][]byte, error) {
	e, err := NewEncoder(h, prev, limit)
	if err == nil {
		err = e.Add(pages...)
	}
	if err != nil {
		return nil, err
	}
	return e.Messages()
}

// appendPage appends one page: its number, its kind, and its bytes or ranges.
func appendPage(body []byte, p page.Page, prev []byte) []byte {
	body = binary.AppendUvarint(body, uint64(p.Number))
	if len(prev) == len(p.Data) {
		start := len(body)
		body = append(body, kindRanges, 0, 0, 0) // the length of the ranges, 3 bytes
		if out, ok := appendRanges(body, prev, p.Data); ok {
			n := len(out) - start - 4
			out[start+1], out[start+2], out[start+3] = byte(n), byte(n>>8), byte(n>>16)
			return out
		}
		body = body[:start]
	}
	return append(append(body, kindWhole), p.Data...)
}

// compressed makes the message, with the body compressed if that saves a tenth.
func compressed(h Header, flags byte, b body) []byte {
	if len(b.bytes) > 256 {
		if c := s2.Encode(nil, b.bytes); len(c) < len(b.bytes)*9/10 {
			return seal(h, flags|flagS2, b.pages, len(b.bytes), c)
		}
	}
	return seal(h, flags, b.pages, len(b.bytes), b.bytes)
}

package segment

import (
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/s2"

	"github.com/ozanturksever/go-cluster/replication/page"
)

// pageOverhead bounds what a page costs in a body beside its bytes.
const pageOverhead = 2 * binary.MaxVarintLen32

// Encode makes the messages of one change. The pages are sorted by number, each
// once, none above h.Commit; prev returns the version of a page on which the
// receivers stand, or nil to send it whole: a page that is new, or that the
// caller does not keep; with a nil prev all are sent whole. limit bounds the
// body of one message before compression, in bytes; it holds one page at least.
// Part and Parts of the header are set here.
//
// # Errors
//
// For arguments that no database can have, and for a change of more than
// [MaxParts] parts: store it in chunks.
func Encode(h Header, pages []page.Page, prev func(number uint32) []byte, limit int) ([][]byte, error) {
	limit = min(max(limit, h.PageSize+pageOverhead), MaxBody)
	h.Part, h.Parts = 1, 1
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("encode segment: %w", err)
	}
	var flags byte
	if prev == nil {
		flags = flagWhole
		prev = func(uint32) []byte { return nil }
	}
	bodies, counts, err := bodies(h, pages, prev, limit)
	if err != nil {
		return nil, fmt.Errorf("encode segment: %w", err)
	}
	h.Parts = len(bodies)
	messages := make([][]byte, len(bodies))
	for i, body := range bodies {
		h.Part = i + 1
		messages[i] = compressed(h, flags, counts[i], body)
	}
	return messages, nil
}

// bodies lays the pages out, in as many bodies as it takes.
func bodies(h Header, pages []page.Page, prev func(uint32) []byte, limit int) (bodies [][]byte, counts []int, err error) {
	var body []byte
	var count int
	last := uint32(0)
	for _, p := range pages {
		if p.Number <= last && last > 0 || p.Number == 0 || p.Number > h.Commit || len(p.Data) != h.PageSize {
			return nil, nil, fmt.Errorf("page %d with %d bytes behind page %d, in a database of %d pages of %d bytes", p.Number, len(p.Data), last, h.Commit, h.PageSize)
		}
		if len(body)+h.PageSize+pageOverhead > limit && count > 0 {
			bodies, counts = append(bodies, body), append(counts, count)
			body, count = nil, 0
		}
		body = appendPage(body, p, prev(p.Number))
		count++
		last = p.Number
	}
	bodies, counts = append(bodies, body), append(counts, count)
	if len(bodies) > MaxParts {
		return nil, nil, fmt.Errorf("%d parts, the most is %d", len(bodies), MaxParts)
	}
	return bodies, counts, nil
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
func compressed(h Header, flags byte, pages int, body []byte) []byte {
	if len(body) > 256 {
		if c := s2.Encode(nil, body); len(c) < len(body)*9/10 {
			return seal(h, flags|flagS2, pages, len(body), c)
		}
	}
	return seal(h, flags, pages, len(body), body)
}

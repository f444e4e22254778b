package wire

import (
	"unicode/utf8"

	"github.com/ozanturksever/go-cluster/pluginapi/wire/view"
)

// Protobuf's wire types.
const (
	kindVarint = 0
	kindI64    = 1
	kindLen    = 2
	kindI32    = 5
)

const maxField = 1<<29 - 1

// cursor walks over a message once, without memory of its own. A submessage is
// a narrower end, not another cursor: under TinyGo's collector a reader for each
// submessage makes the decoder tens of times slower. The first flaw is kept, and
// nothing is read after it.
//
// A method that reads a value leaves the target alone, and skips the field, when
// the wire type is not the one that the target needs: for protobuf such a field
// is an unknown one.
type cursor struct {
	b     []byte
	s     string // the same memory
	at    int
	end   int // of the message or submessage that is read
	field int
	kind  int
	flaw  Flaw
	bad   int // where the flaw is
}

func over(b []byte) cursor { return cursor{b: b, s: view.String(b), end: len(b)} }

// err is nil, or the first flaw.
func (c *cursor) err() error {
	if c.flaw == "" {
		return nil
	}
	return &DecodeError{At: c.bad, Flaw: c.flaw}
}

func (c *cursor) fail(at int, f Flaw) {
	if c.flaw == "" {
		c.flaw, c.bad = f, at
	}
	c.at = c.end
}

// next reads the next tag. It is false at the end and after a flaw.
func (c *cursor) next() bool {
	if c.at >= c.end || c.flaw != "" {
		return false
	}
	at := c.at
	tag := c.varint()
	if c.flaw != "" {
		return false
	}
	const kinds = 1<<kindVarint | 1<<kindI64 | 1<<kindLen | 1<<kindI32
	if tag-8 > maxField<<3-1 || kinds>>(tag&7)&1 == 0 { // tags below 8 are of field 0
		c.fail(at, BadTag)
		return false
	}
	c.field, c.kind = int(tag>>3), int(tag&7)
	return true
}

func (c *cursor) varint() uint64 {
	if c.at < c.end && c.b[c.at] < 0x80 {
		c.at++
		return uint64(c.b[c.at-1])
	}
	return c.longVarint()
}

func (c *cursor) longVarint() (v uint64) {
	at := c.at
	for shift := uint(0); shift < 70; shift += 7 {
		if c.at >= c.end {
			c.fail(at, Truncated)
			return 0
		}
		x := c.b[c.at]
		c.at++
		if shift == 63 && x > 1 {
			break
		}
		v |= uint64(x&0x7f) << shift
		if x < 0x80 {
			return v
		}
	}
	c.fail(at, LongVarint)
	return 0
}

// span reads a length and steps over that many bytes. After a flaw it is empty.
func (c *cursor) span() (from, to int) {
	at := c.at
	n := c.varint()
	if n > uint64(c.end-c.at) {
		c.fail(at, Truncated)
	}
	if c.flaw != "" {
		return c.end, c.end
	}
	from = c.at
	c.at += int(n)
	return from, c.at
}

// skip steps over the value of a field.
func (c *cursor) skip() {
	at := c.at
	switch c.kind {
	case kindVarint:
		c.varint()
	case kindLen:
		c.span()
	case kindI64:
		c.at += 8
	case kindI32:
		c.at += 4
	}
	if c.at > c.end {
		c.fail(at, Truncated)
	}
}

func (c *cursor) uint(p *uint64) {
	if c.kind != kindVarint {
		c.skip()
		return
	}
	*p = c.varint()
}

func (c *cursor) int(p *int64) {
	if c.kind != kindVarint {
		c.skip()
		return
	}
	*p = int64(c.varint())
}

func (c *cursor) bool(p *bool) {
	if c.kind != kindVarint {
		c.skip()
		return
	}
	*p = c.varint() != 0
}

func (c *cursor) text(p *string) {
	if c.kind != kindLen {
		c.skip()
		return
	}
	from, to := c.span()
	if s := c.s[from:to]; utf8.ValidString(s) {
		*p = s
	} else {
		c.fail(from, NotUTF8)
	}
}

// bytes gives a part of the input, nil when it is empty. Who appends to it
// writes somewhere else.
func (c *cursor) bytes(p *[]byte) {
	if c.kind != kindLen {
		c.skip()
		return
	}
	from, to := c.span()
	*p = nil
	if from < to {
		*p = c.b[from:to:to]
	}
}

func (c *cursor) texts(p *[]string) {
	if c.kind != kindLen {
		c.skip()
		return
	}
	c.text(another(p))
}

// ints reads a repeated int64, packed or one by one.
func (c *cursor) ints(p *[]int64) {
	switch c.kind {
	case kindVarint:
		*p = append(*p, int64(c.varint()))
	case kindLen:
		end := c.enter()
		c.reserve(p)
		for c.at < c.end {
			*p = append(*p, int64(c.varint()))
		}
		c.leave(end)
	default:
		c.skip()
	}
}

// sints reads a repeated sint64 (zigzag), packed or one by one.
func (c *cursor) sints(p *[]int64) {
	n := len(*p)
	c.ints(p)
	for i, v := range (*p)[n:] {
		u := uint64(v)
		(*p)[n+i] = int64(u>>1) ^ -int64(u&1)
	}
}

// reserve makes room for the varints up to the end: each has one byte below 0x80.
func (c *cursor) reserve(p *[]int64) {
	n := 0
	for _, x := range c.b[c.at:c.end] {
		if x < 0x80 {
			n++
		}
	}
	if have := len(*p); n > cap(*p)-have {
		*p = append(make([]int64, 0, have+n), *p...)
	}
}

// enter narrows the cursor to the submessage that begins here; leave, given
// enter's answer, widens it again.
func (c *cursor) enter() (end int) {
	end = c.end
	c.at, c.end = c.span()
	return end
}

func (c *cursor) leave(end int) { c.at, c.end = c.end, end }

// another makes a list longer by one and returns the new element, which still
// holds what it held when the memory was last in use.
func another[T any](p *[]T) *T {
	n := len(*p)
	switch {
	case n < cap(*p):
		*p = (*p)[:n+1]
	case n == 0:
		*p = make([]T, 1, 4) // most lists are that short: one allocation, not three
	default:
		var zero T
		*p = append(*p, zero)
	}
	return &(*p)[n]
}

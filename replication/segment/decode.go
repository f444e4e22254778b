package segment

import (
	"github.com/klauspost/compress/s2"

	"github.com/ozanturksever/go-cluster/replication/page"
)

// Segment is one message, checked.
type Segment struct {
	Header
	Whole  bool    // it holds no differences
	Chunks []Chunk // where the pages are when they are not in the message
	pages  int
	body   []byte
}

// Pages is how many pages the message itself holds.
func (s Segment) Pages() int { return s.pages }

// Decode checks a message and takes it apart. The segment may alias b.
//
// # Errors
//
// [ErrCorrupt], with what is wrong.
func Decode(b []byte) (Segment, error) {
	h, flags, pages, size, stored, err := open(b)
	if err != nil {
		return Segment{}, err
	}
	s := Segment{Header: h, Whole: flags&flagWhole != 0, pages: pages, body: stored}
	if flags&flagS2 != 0 {
		if s.body, err = decompress(stored, size); err != nil {
			return Segment{}, err
		}
	}
	if flags&flagChunked != 0 {
		return s, s.readChunks()
	}
	// Looked through once, so that nobody applies half of a damaged message.
	err = s.walk(func(uint32, byte, []byte) error { return nil })
	if err != nil {
		return Segment{}, err
	}
	return s, nil
}

// decompress trusts the compressed length only after it is that of the header.
func decompress(stored []byte, size int) ([]byte, error) {
	n, err := s2.DecodedLen(stored)
	if err != nil || n != size {
		return nil, corrupt("a compressed body of %d bytes, not of %d", n, size)
	}
	body, err := s2.Decode(make([]byte, size), stored)
	if err != nil {
		return nil, corrupt("its body cannot be decompressed: %v", err)
	}
	return body, nil
}

// Each calls fn for each page, by number. prev returns the version before of a
// page, or nil when there is none; the data given to fn is its own and
// overwritten by the next call.
//
// # Errors
//
// [ErrCorrupt] when a difference does not fit; what fn returns.
func (s Segment) Each(prev func(number uint32) []byte, fn func(page.Page) error) error {
	data := make([]byte, s.PageSize)
	return s.walk(func(number uint32, kind byte, content []byte) error {
		if kind == kindWhole {
			copy(data, content)
			return fn(page.Page{Number: number, Data: data})
		}
		before := prev(number)
		if len(before) != s.PageSize {
			return corrupt("page %d is a difference to a version that is not here", number)
		}
		copy(data, before)
		if err := applyRanges(data, content); err != nil {
			return err
		}
		return fn(page.Page{Number: number, Data: data})
	})
}

// Numbers calls fn with the number of each page, rising. A segment of chunks has
// none.
func (s Segment) Numbers(fn func(number uint32)) error {
	return s.walk(func(number uint32, _ byte, _ []byte) error {
		fn(number)
		return nil
	})
}

// walk takes the body apart.
func (s Segment) walk(fn func(number uint32, kind byte, content []byte) error) error {
	b, last := s.body, uint64(0)
	for range s.pages {
		number, rest, err := uvarint(b)
		if err != nil {
			return err
		}
		if number <= last || number > uint64(s.Commit) || len(rest) == 0 {
			return corrupt("page %d behind page %d, in a database of %d pages", number, last, s.Commit)
		}
		kind, content, rest, err := s.content(rest)
		if err != nil {
			return err
		}
		if err := fn(uint32(number), kind, content); err != nil {
			return err
		}
		b, last = rest, number
	}
	if len(b) > 0 {
		return corrupt("%d bytes behind its last page", len(b))
	}
	return nil
}

// content cuts what belongs to one page off.
func (s Segment) content(b []byte) (kind byte, content, rest []byte, err error) {
	kind, b = b[0], b[1:]
	n := s.PageSize
	switch kind {
	case kindWhole:
	case kindRanges:
		if s.Whole {
			return 0, nil, nil, corrupt("a difference in a segment that says it has none")
		}
		if len(b) < 3 {
			return 0, nil, nil, corrupt("a page is cut off")
		}
		n, b = int(b[0])|int(b[1])<<8|int(b[2])<<16, b[3:]
	default:
		return 0, nil, nil, corrupt("a page of kind %d", kind)
	}
	if n > len(b) {
		return 0, nil, nil, corrupt("a page is cut off")
	}
	return kind, b[:n], b[n:], nil
}

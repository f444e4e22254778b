package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Position is a place in a log between two frames, with all that is needed to
// read on from there.
type Position struct {
	Salt      Salt
	Frame     uint32   // the number of the frame before it; 0: the start
	Sum       Checksum // the chain up to it
	BigEndian bool
	PageSize  int
}

// Offset is where in the file, in bytes, the frame after the position begins.
func (p Position) Offset() int64 { return offset(p.Frame, p.PageSize) }

func offset(frame uint32, pageSize int) int64 {
	return HeaderSize + int64(frame)*int64(FrameHeaderSize+pageSize)
}

// DataOffset is where in the file, in bytes, the page of a frame begins. Frames
// are numbered from 1.
func DataOffset(frame uint32, pageSize int) int64 {
	return offset(frame-1, pageSize) + FrameHeaderSize
}

// Frame is one version of one page.
type Frame struct {
	Number uint32 // from 1
	Page   uint32 // from 1
	Commit uint32 // in the last frame of a transaction the size of the database in pages, 0 in others
	Data   []byte // the page; it is overwritten by a later Next
}

// Reader reads frames one after the other. Make it with NewReader.
type Reader struct {
	src   io.ReaderAt
	at    Position
	trust bool
	buf   []byte // bytes of the file
	first uint32 // number of the frame that buf begins with
}

// readAhead is how many bytes of frames are read at once, at most.
const readAhead = 256 << 10

// NewReader reads the frames after a position.
func NewReader(src io.ReaderAt, from Position) *Reader {
	return &Reader{src: src, at: from, first: from.Frame + 1}
}

// Reset lets the reader begin again at a position, with its buffer.
func (r *Reader) Reset(from Position) {
	r.at, r.trust, r.buf, r.first = from, false, r.buf[:0], from.Frame+1
}

// Trust makes the reader take frames whatever their salts and checksums say.
// SQLite before 3.50.4 can commit frames that have neither (after a cache
// spill and ROLLBACK TO); readers of the database see them since the index
// counts them. After such frames the chain goes on from the sum that the index
// has: see Index.End.
func (r *Reader) Trust() { r.trust = true }

// Position is the place after the last frame that Next returned.
func (r *Reader) Position() Position { return r.at }

// Next reads one frame, up to and including frame limit. Its error wraps ErrEnd
// where no whole frame is left, ErrChain where the next one does not belong to
// this life of the log, and is otherwise what reading returned.
func (r *Reader) Next(limit uint32) (Frame, error) {
	if r.at.Frame >= limit {
		return Frame{}, fmt.Errorf("%w: frame %d is the last asked for", ErrEnd, limit)
	}
	b, err := r.bytes(limit)
	if err != nil {
		return Frame{}, err
	}
	word := func(i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }
	f := Frame{Number: r.at.Frame + 1, Page: word(0), Commit: word(1), Data: b[FrameHeaderSize:]}
	if f.Page == 0 {
		return Frame{}, fmt.Errorf("%w: frame %d is of page 0", ErrChain, f.Number)
	}
	if !r.trust {
		if salt := (Salt{word(2), word(3)}); salt != r.at.Salt {
			return Frame{}, fmt.Errorf("%w: frame %d has salt %08x, the log has %08x", ErrChain, f.Number, salt, r.at.Salt)
		}
		sum := r.at.Sum.add(b[:8], r.at.BigEndian).add(f.Data, r.at.BigEndian)
		if stored := (Checksum{word(4), word(5)}); sum != stored {
			return Frame{}, fmt.Errorf("%w: frame %d has checksum %08x, stored is %08x", ErrChain, f.Number, sum, stored)
		}
		r.at.Sum = sum
	}
	r.at.Frame++
	return f, nil
}

// bytes returns the next frame with its header, from what was read ahead where
// it is there.
func (r *Reader) bytes(limit uint32) ([]byte, error) {
	size := FrameHeaderSize + r.at.PageSize
	from := int(r.at.Frame+1-r.first) * size
	if from+size > len(r.buf) {
		if err := r.fill(size, limit); err != nil {
			return nil, err
		}
		from = 0
	}
	return r.buf[from : from+size : from+size], nil
}

// fill reads ahead, and never beyond frame limit: what is behind it may change
// between now and the time it counts.
func (r *Reader) fill(size int, limit uint32) error {
	n := size * int(min(int64(limit-r.at.Frame), max(1, int64(readAhead/size))))
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	got, err := r.src.ReadAt(r.buf[:n], r.at.Offset())
	r.first = r.at.Frame + 1
	r.buf = r.buf[:got-got%size]
	if len(r.buf) > 0 {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: no whole frame %d", ErrEnd, r.first)
	}
	return fmt.Errorf("read frame %d: %w", r.first, err)
}

// Tail walks a log from its start, as SQLite's recovery does, and returns the
// position after the last commit that it would keep, with the size of the
// database there in pages (0 where nothing is committed) and the number of
// transactions. A log that is shorter than a header is empty. What is not a
// log, and what lies behind the first break, counts for nothing; an error is
// one of reading.
func Tail(src io.ReaderAt) (end Position, pages uint32, transactions int, err error) {
	var b [HeaderSize]byte
	if n, err := src.ReadAt(b[:], 0); n < HeaderSize {
		if err == nil || errors.Is(err, io.EOF) {
			return Position{}, 0, 0, nil
		}
		return Position{}, 0, 0, fmt.Errorf("read header: %w", err)
	}
	h, err := ParseHeader(b[:])
	if err != nil {
		return Position{}, 0, 0, nil
	}
	end = h.Start()
	r := NewReader(src, end)
	for {
		f, err := r.Next(UnusedMark)
		switch {
		case errors.Is(err, ErrEnd), errors.Is(err, ErrChain):
			return end, pages, transactions, nil
		case err != nil:
			return end, pages, transactions, err
		}
		if f.Commit != 0 {
			end, pages = r.Position(), f.Commit
			transactions++
		}
	}
}

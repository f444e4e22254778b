package wal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ozanturksever/go-cluster/replication/page"
)

// Sizes in bytes of what stands before the pages.
const (
	HeaderSize      = 32 // of the file
	FrameHeaderSize = 24 // of each frame
)

const (
	magic   = 0x377f0682 // the lowest bit says the byte order of the checksums
	version = 3007000
)

// What can be wrong with bytes of a log or of its index.
var (
	ErrHeader = errors.New("no header of a write-ahead log") // of another format, or half written
	ErrChain  = errors.New("chain of the log broken")        // the next frame does not follow from the one before it
	ErrEnd    = errors.New("end of the log")                 // no whole frame comes after this one
	ErrIndex  = errors.New("index of the log not valid")     // torn by a writer, or not initialized
)

// Salt marks one life of a log: each restart from the first frame takes another.
type Salt [2]uint32

// Checksum is a value of the chain of checksums over header and frames.
type Checksum [2]uint32

// Header is the start of a log.
type Header struct {
	BigEndian  bool // byte order in which the checksums read their words
	PageSize   int  // bytes
	Checkpoint uint32
	Salt       Salt
	Sum        Checksum // where the chain of the frames begins
}

// ParseHeader reads the first HeaderSize bytes of a log. The error wraps
// ErrHeader.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, fmt.Errorf("%w: %d bytes, it has %d", ErrHeader, len(b), HeaderSize)
	}
	word := func(i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }
	if word(0)&^1 != magic {
		return Header{}, fmt.Errorf("%w: magic %08x", ErrHeader, word(0))
	}
	if word(1) != version {
		return Header{}, fmt.Errorf("%w: version %d, known is %d", ErrHeader, word(1), version)
	}
	if word(2) > page.MaxSize {
		return Header{}, fmt.Errorf("%w: page size %d", ErrHeader, word(2))
	}
	h := Header{
		BigEndian:  word(0)&1 == 1,
		PageSize:   int(word(2)),
		Checkpoint: word(3),
		Salt:       Salt{word(4), word(5)},
	}
	if err := page.CheckSize(h.PageSize); err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrHeader, err)
	}
	h.Sum = Checksum{}.add(b[:24], h.BigEndian)
	if stored := (Checksum{word(6), word(7)}); h.Sum != stored {
		return Header{}, fmt.Errorf("%w: checksum %08x, stored is %08x", ErrHeader, h.Sum, stored)
	}
	return h, nil
}

// Start is the position before the first frame of the log.
func (h Header) Start() Position {
	return Position{Salt: h.Salt, Sum: h.Sum, BigEndian: h.BigEndian, PageSize: h.PageSize}
}

// add follows the chain over b, a multiple of 8 bytes.
func (s Checksum) add(b []byte, bigEndian bool) Checksum {
	s0, s1 := s[0], s[1]
	if bigEndian {
		for len(b) >= 8 {
			s0 += binary.BigEndian.Uint32(b) + s1
			s1 += binary.BigEndian.Uint32(b[4:8]) + s0
			b = b[8:]
		}
		return Checksum{s0, s1}
	}
	for len(b) >= 8 {
		s0 += binary.LittleEndian.Uint32(b) + s1
		s1 += binary.LittleEndian.Uint32(b[4:8]) + s0
		b = b[8:]
	}
	return Checksum{s0, s1}
}

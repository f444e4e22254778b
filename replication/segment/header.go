package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/ozanturksever/go-cluster/replication/page"
)

// Header says what a segment does.
type Header struct {
	Epoch    uint64 // of the leadership under which it was written
	First    uint64 // number of the first transaction in it; from 1
	Last     uint64 // number of the last
	Time     int64  // milliseconds since 1970 on the primary, for people and for restores to a time
	PageSize int    // bytes
	Commit   uint32 // size of the database afterwards, in pages
	Pre      page.Sum
	Post     page.Sum
	Part     int // from 1
	Parts    int
}

// Format of a header, little endian; see FORMAT.md.
const (
	magic      = "GCS1"
	headerSize = 84
	crcAt      = headerSize - 4

	flagS2      = 1 << 0 // the body is compressed
	flagChunked = 1 << 1 // the body names chunks
	flagWhole   = 1 << 2 // it holds no differences: it can be applied to any version of its pages that sums up to Pre
)

// MaxParts bounds the parts of one change, MaxBody what the body of one part
// may have, uncompressed.
const (
	MaxParts = 1000
	MaxBody  = 4 << 20
)

// ErrCorrupt is what decoding says of anything that is not a valid segment.
var ErrCorrupt = errors.New("segment is damaged")

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// check refuses what no primary can mean.
func (h Header) check() error {
	switch {
	case page.CheckSize(h.PageSize) != nil:
		return page.CheckSize(h.PageSize)
	case h.Epoch == 0:
		return errors.New("epoch 0")
	case h.First == 0 || h.Last < h.First:
		return fmt.Errorf("transactions %d to %d", h.First, h.Last)
	case h.Commit == 0:
		return errors.New("a database without pages")
	case h.Part < 1 || h.Part > h.Parts || h.Parts > MaxParts:
		return fmt.Errorf("part %d of %d", h.Part, h.Parts)
	}
	return nil
}

// seal makes a message of a header and a body that is size bytes long before
// compression.
func seal(h Header, flags byte, pages, size int, body []byte) []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, headerSize+len(body))
	b = append(b, magic...)
	b = append(b, flags, 0, 0, 0)
	b = le.AppendUint32(b, uint32(h.PageSize))
	b = le.AppendUint32(b, h.Commit)
	b = le.AppendUint32(b, uint32(pages))
	b = le.AppendUint16(b, uint16(h.Part))
	b = le.AppendUint16(b, uint16(h.Parts))
	b = le.AppendUint64(b, h.Epoch)
	b = le.AppendUint64(b, h.First)
	b = le.AppendUint64(b, h.Last)
	b = le.AppendUint64(b, uint64(h.Time))
	b = le.AppendUint64(b, uint64(h.Pre))
	b = le.AppendUint64(b, uint64(h.Post))
	b = le.AppendUint32(b, uint32(size))
	b = le.AppendUint32(b, uint32(len(body)))
	b = le.AppendUint32(b, 0) // the checksum
	b = append(b, body...)
	le.PutUint32(b[crcAt:], checksum(b))
	return b
}

// checksum is the CRC-32C of a message without its checksum.
func checksum(b []byte) uint32 {
	castagnoli := crc32.MakeTable(crc32.Castagnoli) // made once, by hash/crc32
	return crc32.Update(crc32.Checksum(b[:crcAt], castagnoli), castagnoli, b[headerSize:])
}

// open checks a message as a whole and takes its header apart. stored is the
// body as it is in the message.
func open(b []byte) (h Header, flags byte, pages, size int, stored []byte, err error) {
	if len(b) < headerSize || string(b[:4]) != magic {
		return h, 0, 0, 0, nil, corrupt("%d bytes that do not begin as a segment", len(b))
	}
	le := binary.LittleEndian
	if got, want := checksum(b), le.Uint32(b[crcAt:]); got != want {
		return h, 0, 0, 0, nil, corrupt("its checksum is %08x, its bytes have %08x", want, got)
	}
	flags, pages, size = b[4], int(le.Uint32(b[16:])), int(le.Uint32(b[72:]))
	h = Header{
		PageSize: int(le.Uint32(b[8:])), Commit: le.Uint32(b[12:]),
		Part: int(le.Uint16(b[20:])), Parts: int(le.Uint16(b[22:])),
		Epoch: le.Uint64(b[24:]), First: le.Uint64(b[32:]), Last: le.Uint64(b[40:]), Time: int64(le.Uint64(b[48:])),
		Pre: page.Sum(le.Uint64(b[56:])), Post: page.Sum(le.Uint64(b[64:])),
	}
	stored = b[headerSize:]
	switch {
	case flags&^(flagS2|flagChunked|flagWhole) != 0 || b[5]|b[6]|b[7] != 0:
		err = corrupt("it is of a later format: flags %08b", flags)
	case int(le.Uint32(b[76:])) != len(stored):
		err = corrupt("%d bytes of a body of %d", len(stored), le.Uint32(b[76:]))
	case size > MaxBody || flags&flagS2 == 0 && size != len(stored):
		err = corrupt("a body of %d bytes, %d stored", size, len(stored))
	}
	if err == nil {
		if bad := h.check(); bad != nil {
			err = corrupt("%v", bad)
		}
	}
	return h, flags, pages, size, stored, err
}

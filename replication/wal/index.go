package wal

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/ozanturksever/go-cluster/replication/page"
)

// IndexSize is the length in bytes of the part of a wal-index that ParseIndex
// reads: two copies of its header, then what checkpoints note.
const IndexSize = 2*indexHeaderSize + 40

const indexHeaderSize = 48

// UnusedMark is a read mark that no reader uses.
const UnusedMark = 0xffffffff

// Index is what the header of a wal-index says: the committed state that a
// reader of the database would see at this moment.
type Index struct {
	Change     uint32 // rises with each commit; a recovery sets it to 0
	BigEndian  bool
	PageSize   int      // bytes
	MaxFrame   uint32   // the last frame that is committed; 0: the log is empty
	Pages      uint32   // size of the database in pages
	Sum        Checksum // the chain after frame MaxFrame
	Salt       Salt
	Backfilled uint32 // frames that are in the database file already
	Marks      [5]uint32
}

// ParseIndex reads the first IndexSize bytes of a wal-index, in the byte order
// of this machine, which is the one that it has. It takes what a reader of
// SQLite takes: both copies of the header are the same, initialized, and their
// checksum is right. Otherwise the error wraps ErrIndex: a writer is at work on
// it, or has died there.
func ParseIndex(b []byte) (Index, error) {
	if len(b) < IndexSize {
		return Index{}, fmt.Errorf("%w: %d bytes, it has %d", ErrIndex, len(b), IndexSize)
	}
	h := b[:indexHeaderSize]
	if !bytes.Equal(h, b[indexHeaderSize:2*indexHeaderSize]) {
		return Index{}, fmt.Errorf("%w: its two copies differ", ErrIndex)
	}
	word := func(i int) uint32 { return binary.NativeEndian.Uint32(b[4*i:]) }
	if h[12] == 0 {
		return Index{}, fmt.Errorf("%w: not initialized", ErrIndex)
	}
	if word(0) != version {
		return Index{}, fmt.Errorf("%w: version %d, known is %d", ErrIndex, word(0), version)
	}
	var sum Checksum
	for i := 0; i < 10; i += 2 {
		sum[0] += word(i) + sum[1]
		sum[1] += word(i+1) + sum[0]
	}
	if sum != (Checksum{word(10), word(11)}) {
		return Index{}, fmt.Errorf("%w: checksum", ErrIndex)
	}
	x := Index{
		Change:    word(2),
		BigEndian: h[13] != 0,
		PageSize:  int(binary.NativeEndian.Uint16(h[14:])),
		MaxFrame:  word(4),
		Pages:     word(5),
		Sum:       Checksum{word(6), word(7)},
		// The salts are copied from the log as bytes.
		Salt:       Salt{binary.BigEndian.Uint32(h[32:]), binary.BigEndian.Uint32(h[36:])},
		Backfilled: word(24),
	}
	if x.PageSize == 1 {
		x.PageSize = page.MaxSize
	}
	for i := range x.Marks {
		x.Marks[i] = word(25 + i)
	}
	return x, x.check()
}

// check refuses a size that no database has. An empty log may have none yet.
func (x Index) check() error {
	if x.PageSize == 0 && x.MaxFrame == 0 {
		return nil
	}
	if err := page.CheckSize(x.PageSize); err != nil {
		return fmt.Errorf("%w: %w", ErrIndex, err)
	}
	return nil
}

// End is the position after the last committed frame. It rests on the index
// alone, not on the frames before it.
func (x Index) End() Position {
	return Position{Salt: x.Salt, Frame: x.MaxFrame, Sum: x.Sum, BigEndian: x.BigEndian, PageSize: x.PageSize}
}

package wal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/ozanturksever/go-cluster/replication/wal"
)

// The tests against SQLite itself are in replication/sqlite, the room that has
// it. Here a log is written by hand.

type log struct {
	b      []byte
	big    bool
	s0, s1 uint32
}

func newLog(pageSize int, big bool) *log {
	l := &log{b: make([]byte, wal.HeaderSize), big: big}
	for i, word := range []uint32{0x377f0682, 3007000, uint32(pageSize), 7, 0x11223344, 0x55667788} {
		binary.BigEndian.PutUint32(l.b[4*i:], word)
	}
	if big {
		l.b[3]++
	}
	l.sum(l.b[:24])
	binary.BigEndian.PutUint32(l.b[24:], l.s0)
	binary.BigEndian.PutUint32(l.b[28:], l.s1)
	return l
}

func (l *log) sum(b []byte) {
	var order binary.ByteOrder = binary.LittleEndian
	if l.big {
		order = binary.BigEndian
	}
	for ; len(b) >= 8; b = b[8:] {
		l.s0 += order.Uint32(b) + l.s1
		l.s1 += order.Uint32(b[4:]) + l.s0
	}
}

func (l *log) frame(number, commit uint32, data []byte) {
	h := make([]byte, wal.FrameHeaderSize)
	binary.BigEndian.PutUint32(h, number)
	binary.BigEndian.PutUint32(h[4:], commit)
	copy(h[8:16], l.b[16:24])
	l.sum(h[:8])
	l.sum(data)
	binary.BigEndian.PutUint32(h[16:], l.s0)
	binary.BigEndian.PutUint32(h[20:], l.s1)
	l.b = append(append(l.b, h...), data...)
}

// three transactions, of 1, 2 and 1 frames, and one that is not committed.
func sample(big bool) []byte {
	l := newLog(512, big)
	for i, commit := range []uint32{1, 0, 2, 2, 0} {
		l.frame(uint32(i%2+1), commit, bytes.Repeat([]byte{byte(i + 1)}, 512))
	}
	return l.b
}

func TestReader(t *testing.T) {
	for _, big := range []bool{false, true} {
		b := sample(big)
		end, pages, n, err := wal.Tail(bytes.NewReader(b))
		if err != nil || end.Frame != 4 || pages != 2 || n != 3 {
			t.Fatalf("frame %d, %d pages, %d transactions, %v", end.Frame, pages, n, err)
		}
		h, err := wal.ParseHeader(b)
		if err != nil || h.BigEndian != big || h.PageSize != 512 || h.Checkpoint != 7 {
			t.Fatalf("%+v, %v", h, err)
		}
		r := wal.NewReader(bytes.NewReader(b), h.Start())
		for i := range uint32(4) {
			f, err := r.Next(4)
			if err != nil || f.Number != i+1 || f.Page != i%2+1 || f.Data[0] != byte(i+1) || len(f.Data) != 512 {
				t.Fatalf("frame %d: %+v, %v", i+1, f.Number, err)
			}
		}
		if _, err := r.Next(4); !errors.Is(err, wal.ErrEnd) {
			t.Errorf("beyond the limit: %v", err)
		}
		if r.Position() != end {
			t.Errorf("position %+v, the end is %+v", r.Position(), end)
		}
		r.Reset(end)
		if f, err := r.Next(5); err != nil || f.Commit != 0 || f.Number != 5 {
			t.Errorf("going on from a position: %+v, %v", f.Number, err)
		}
	}
}

func FuzzTail(f *testing.F) {
	f.Add(sample(false))
	f.Add(sample(true))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		end, pages, n, err := wal.Tail(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 && (end.Offset() > int64(len(b)) || pages == 0) || n > int(end.Frame) {
			t.Fatalf("end %+v of %d bytes, %d pages, %d transactions", end, len(b), pages, n)
		}
	})
}

func FuzzParseIndex(f *testing.F) {
	f.Add(make([]byte, wal.IndexSize))
	b := make([]byte, wal.IndexSize)
	binary.NativeEndian.PutUint32(b, 3007000)
	b[12] = 1
	binary.NativeEndian.PutUint16(b[14:], 4096)
	binary.NativeEndian.PutUint32(b[16:], 3)
	var s0, s1 uint32
	for i := 0; i < 40; i += 8 {
		s0 += binary.NativeEndian.Uint32(b[i:]) + s1
		s1 += binary.NativeEndian.Uint32(b[i+4:]) + s0
	}
	binary.NativeEndian.PutUint32(b[40:], s0)
	binary.NativeEndian.PutUint32(b[44:], s1)
	copy(b[48:], b[:48])
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := wal.ParseIndex(b)
		if err == nil && x.MaxFrame > 0 && x.End().Offset() < wal.HeaderSize+int64(x.MaxFrame)*512 {
			t.Fatalf("%+v", x)
		}
	})
}

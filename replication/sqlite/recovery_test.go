package sqlite_test

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/ozanturksever/go-cluster/replication/wal"
)

// written is a database with a log that SQLite wrote. Transaction i sets the one
// row of table n to i, and adds a row to table t.
type written struct {
	file, log, index []byte
	base             int // what n is in the file alone
	last             int // what n is with the log
}

// write lets SQLite write a log: some transactions that a checkpoint takes, then
// a second life of the log over the first one's frames.
func write(t testing.TB, pageSize int) written {
	t.Helper()
	needs(t, "")
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	do := func(q string, args ...any) {
		t.Helper()
		if _, err := db.Exec(q, args...); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	do(fmt.Sprintf("PRAGMA page_size=%d", pageSize))
	do("PRAGMA journal_mode=wal")
	do("PRAGMA wal_autocheckpoint=0")
	do("CREATE TABLE n(i INTEGER)")
	do("INSERT INTO n VALUES(0)")
	do("CREATE TABLE t(i INTEGER PRIMARY KEY, b BLOB)")
	w := written{}
	step := func() {
		w.last++
		do("BEGIN")
		do("UPDATE n SET i=?", w.last)
		do("INSERT INTO t VALUES(?, randomblob(?))", w.last, rand.IntN(3*pageSize))
		do("COMMIT")
	}
	for range 12 {
		step()
	}
	do("PRAGMA wal_checkpoint(RESTART)")
	w.base = w.last
	for range 6 {
		step()
	}
	for _, f := range []struct {
		end  string
		into *[]byte
	}{{"", &w.file}, {"-wal", &w.log}, {"-shm", &w.index}} {
		if *f.into, err = os.ReadFile(path + f.end); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// seen is what SQLite finds in n after it recovered with that log.
func (w written) seen(t *testing.T, log []byte) int {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.db")
	for name, b := range map[string][]byte{"a.db": w.file, "a.db-wal": log} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRow("SELECT i FROM n").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// bigEndian rewrites a log as a machine of the other byte order writes it.
func bigEndian(log []byte, pageSize int) []byte {
	b := bytes.Clone(log)
	var s0, s1 uint32
	add := func(p []byte) {
		for ; len(p) >= 8; p = p[8:] {
			s0 += binary.BigEndian.Uint32(p) + s1
			s1 += binary.BigEndian.Uint32(p[4:]) + s0
		}
	}
	binary.BigEndian.PutUint32(b, binary.BigEndian.Uint32(b)|1)
	add(b[:24])
	binary.BigEndian.PutUint32(b[24:], s0)
	binary.BigEndian.PutUint32(b[28:], s1)
	salt := bytes.Clone(b[16:24])
	for f := b[32:]; len(f) >= 24+pageSize; f = f[24+pageSize:] {
		if !bytes.Equal(f[8:16], salt) {
			break // of an earlier life
		}
		add(f[:8])
		add(f[24 : 24+pageSize])
		binary.BigEndian.PutUint32(f[16:], s0)
		binary.BigEndian.PutUint32(f[20:], s1)
	}
	return b
}

var pageSizes = []int{512, 1024, 2048, 4096, 8192, 16384, 32768, 65536}

// The log is right, cut or damaged at each kind of place: Tail keeps the same
// transactions as SQLite's own recovery.
func TestTailKeepsWhatSQLiteKeeps(t *testing.T) {
	t.Parallel()
	damages := 4
	if long() {
		damages = 50
	}
	for i, pageSize := range pageSizes {
		for _, big := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d,%v", pageSize, big), func(t *testing.T) {
				w := write(t, pageSize)
				if big {
					w.log = bigEndian(w.log, pageSize)
				}
				w.compare(t, "whole", w.log)
				if got := w.seen(t, w.log); got != w.last || w.base == w.last {
					t.Fatalf("SQLite sees %d of the whole log, wrote %d, %d in the file", got, w.last, w.base)
				}
				frame := 24 + pageSize
				for _, cut := range []int{0, 1, 31, 32, 33, 32 + frame - 1, 32 + frame, 32 + frame + 23, 32 + 3*frame, 32 + 7*frame + 100} {
					if cut <= len(w.log) {
						w.compare(t, fmt.Sprintf("cut at %d", cut), w.log[:cut])
					}
				}
				r := rand.New(rand.NewPCG(uint64(i), 1))
				for range damages {
					w.compareDamaged(t, r, frame)
				}
			})
		}
	}
}

// compareDamaged flips one bit, in the header, in the header of a frame or
// anywhere. The version is left alone: of another one SQLite says that it
// cannot open the database at all.
func (w written) compareDamaged(t *testing.T, r *rand.Rand, frame int) {
	t.Helper()
	at := 4 + r.IntN(28)
	switch r.IntN(4) {
	case 0:
		at = r.IntN(len(w.log))
	case 1, 2:
		at = 32 + frame*r.IntN((len(w.log)-32)/frame) + r.IntN(24)
	}
	if at >= 4 && at < 8 {
		return
	}
	b := bytes.Clone(w.log)
	b[at] ^= 1 << r.IntN(8)
	w.compare(t, fmt.Sprintf("bit of byte %d", at), b)
}

func (w written) compare(t *testing.T, what string, log []byte) {
	t.Helper()
	_, pages, n, err := wal.Tail(bytes.NewReader(log))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if (pages == 0) != (n == 0) {
		t.Errorf("%s: %d transactions, size %d pages", what, n, pages)
	}
	if want := w.seen(t, log); w.base+n != want {
		t.Errorf("%s: Tail keeps %d transactions, SQLite %d", what, n, want-w.base)
	}
}

// The index that a living connection leaves says the same as the log.
func TestIndexAgreesWithLog(t *testing.T) {
	for _, pageSize := range pageSizes {
		w := write(t, pageSize)
		end, pages, _, err := wal.Tail(bytes.NewReader(w.log))
		if err != nil {
			t.Fatal(err)
		}
		x, err := wal.ParseIndex(w.index)
		if err != nil {
			t.Fatal(err)
		}
		if x.End() != end || x.Pages != pages || x.PageSize != pageSize {
			t.Errorf("page size %d: index %+v, log ends at %+v with %d pages", pageSize, x, end, pages)
		}
	}
}

// A header that any reader of SQLite would not take is not taken.
func TestIndexDamaged(t *testing.T) {
	w := write(t, 4096)
	for at := range 96 {
		b := bytes.Clone(w.index[:wal.IndexSize])
		b[at] ^= 0x40
		if _, err := wal.ParseIndex(b); !errors.Is(err, wal.ErrIndex) {
			t.Errorf("byte %d changed in one copy: %v", at, err)
		}
		b[(at+48)%96] ^= 0x40
		if _, err := wal.ParseIndex(b); !errors.Is(err, wal.ErrIndex) {
			t.Errorf("byte %d changed in both copies: %v", at, err)
		}
	}
	for n := range wal.IndexSize {
		if _, err := wal.ParseIndex(w.index[:n]); !errors.Is(err, wal.ErrIndex) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := wal.ParseIndex(make([]byte, wal.IndexSize)); !errors.Is(err, wal.ErrIndex) {
		t.Errorf("all zero: %v", err)
	}
}

// Frames with the salts and checksums of nothing are refused, and taken on
// trust; the chain then goes on from the sum of the index.
func TestTrust(t *testing.T) {
	w := write(t, 4096)
	x, err := wal.ParseIndex(w.index)
	if err != nil {
		t.Fatal(err)
	}
	h, err := wal.ParseHeader(w.log)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(w.log)
	clear(bad[32+8 : 32+24]) // salts and checksum of frame 1
	r := wal.NewReader(bytes.NewReader(bad), h.Start())
	if _, err := r.Next(x.MaxFrame); !errors.Is(err, wal.ErrChain) {
		t.Fatalf("frame without salt: %v", err)
	}
	r.Trust()
	for n := uint32(1); n <= x.MaxFrame; n++ {
		f, err := r.Next(x.MaxFrame)
		if err != nil || f.Number != n || !bytes.Equal(f.Data, w.log[wal.DataOffset(n, 4096):][:4096]) {
			t.Fatalf("frame %d on trust: %d, %v", n, f.Number, err)
		}
	}
	if _, err := r.Next(x.MaxFrame); !errors.Is(err, wal.ErrEnd) {
		t.Fatalf("beyond the limit: %v", err)
	}
	r.Reset(x.End())
	if f, err := r.Next(wal.UnusedMark); err == nil {
		t.Errorf("frame %d of the earlier life follows from the end", f.Number)
	}
}

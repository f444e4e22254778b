package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication/page"
)

// counting is a store that counts, and can fail.
type counting struct {
	Store
	puts, fails atomic.Int64
}

func (c *counting) Put(ctx context.Context, d [sha256.Size]byte, data []byte) error {
	if c.puts.Add(1) == c.fails.Load() {
		return errors.New("no space")
	}
	return c.Store.Put(ctx, d, data)
}

// database makes the bytes of pages pages of one size.
func database(r *rand.Rand, pageSize, pages int) []byte {
	b := make([]byte, pageSize*pages)
	for i := range b {
		if i%3 == 0 {
			b[i] = byte(r.Uint32())
		}
	}
	return b
}

func blank(pageSize, pages int) Manifest {
	return Manifest{ID: "s1", Platform: "p", App: "a", PageSize: pageSize, Pages: uint32(pages), TX: 7, Seq: 9, Time: time.Unix(1, 0).UTC()}
}

func take(t *testing.T, m Manifest, db []byte, last *Manifest, store Store) Manifest {
	t.Helper()
	m, err := Take(t.Context(), m, bytes.NewReader(db), last, store)
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// TestTakeAndRestore: what was taken comes back, for every size of a page, also
// when the last chunk is not full; of a changed database only the changed
// chunks are stored.
func TestTakeAndRestore(t *testing.T) {
	for _, c := range [][2]int{{512, 1}, {512, 1000}, {4096, 16}, {4096, 333}, {65536, 1}, {65536, 5}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(c[0])))
			store := &counting{Store: Dir(t.TempDir())}
			db := database(r, c[0], c[1])
			m := take(t, blank(c[0], c[1]), db, nil, store)
			if n := int(store.puts.Load()); n != len(m.Chunks) {
				t.Errorf("%d chunks stored of %d", n, len(m.Chunks))
			}
			path := filepath.Join(t.TempDir(), "a.db")
			if err := Restore(t.Context(), m, store, path); err != nil {
				t.Fatal(err)
			}
			want := bytes.Clone(db)
			page.Normalize(page.Page{Number: 1, Data: want[:c[0]]})
			if got, _ := os.ReadFile(path); !bytes.Equal(got, want) {
				t.Error("the restored database differs")
			}
			if err := Verify(t.Context(), m, store); err != nil {
				t.Error(err)
			}
			db[len(db)-1]++
			again := take(t, blank(c[0], c[1]), db, &m, store)
			if n := int(store.puts.Load()) - len(m.Chunks); n != 1 || again.Sum == m.Sum {
				t.Errorf("%d chunks stored after a change of one", n)
			}
		})
	}
}

// TestSum: the checksum is that of the pages, as every other room makes it.
func TestSum(t *testing.T) {
	db := database(rand.New(rand.NewPCG(2, 2)), 1024, 100)
	m := take(t, blank(1024, 100), db, nil, Dir(t.TempDir()))
	var want page.Sum
	for i := range 100 {
		p := page.Page{Number: uint32(i + 1), Data: bytes.Clone(db[i*1024 : (i+1)*1024])}
		page.Normalize(p)
		want = want.Replace(0, page.Hash(p))
	}
	if m.Sum != want {
		t.Errorf("%x, want %x", m.Sum, want)
	}
}

// TestDamage: a chunk that is missing, damaged or another's is noticed, and
// nothing is left of the restore.
func TestDamage(t *testing.T) {
	db := database(rand.New(rand.NewPCG(3, 3)), 4096, 100)
	for what, damage := range map[string]func(dir Dir, m *Manifest) error{
		"missing": func(dir Dir, m *Manifest) error { return os.Remove(dir.path(m.Chunks[3])) },
		"one bit": func(dir Dir, m *Manifest) error {
			b, err := os.ReadFile(dir.path(m.Chunks[3]))
			if err == nil {
				b[len(b)/2] ^= 4
				err = os.WriteFile(dir.path(m.Chunks[3]), b, 0o600)
			}
			return err
		},
		"cut": func(dir Dir, m *Manifest) error { return os.Truncate(dir.path(m.Chunks[3]), 100) },
		"another's": func(dir Dir, m *Manifest) error {
			return errors.Join(os.Remove(dir.path(m.Chunks[3])), os.Link(dir.path(m.Chunks[4]), dir.path(m.Chunks[3])))
		},
		"swapped":     func(_ Dir, m *Manifest) error { slices.Reverse(m.Chunks[2:4]); return nil },
		"the sum":     func(_ Dir, m *Manifest) error { m.Sum++; return nil },
		"more pages":  func(_ Dir, m *Manifest) error { m.Pages++; return nil },
		"fewer pages": func(_ Dir, m *Manifest) error { m.Pages -= 16; return nil },
	} {
		dir := Dir(t.TempDir())
		m := take(t, blank(4096, 100), db, nil, dir)
		if err := damage(dir, &m); err != nil {
			t.Fatal(err)
		}
		if err := Verify(t.Context(), m, dir); err == nil {
			t.Errorf("%s: verified", what)
		}
		out := t.TempDir()
		if err := Restore(t.Context(), m, dir, filepath.Join(out, "a.db")); err == nil {
			t.Errorf("%s: restored", what)
		}
		if left, _ := os.ReadDir(out); len(left) > 0 {
			t.Errorf("%s: %v is left", what, left)
		}
	}
}

// TestRestoreOver: nothing that is there is touched.
func TestRestoreOver(t *testing.T) {
	dir := Dir(t.TempDir())
	m := take(t, blank(512, 10), database(rand.New(rand.NewPCG(4, 4)), 512, 10), nil, dir)
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		path := filepath.Join(t.TempDir(), "a.db")
		if err := os.WriteFile(path+suffix, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Restore(t.Context(), m, dir, path); !errors.Is(err, pluginapi.ErrKeyExists) || !strings.Contains(err.Error(), path+suffix) {
			t.Errorf("%q: %v", suffix, err)
		}
		if b, _ := os.ReadFile(path + suffix); string(b) != "mine" {
			t.Errorf("%q was touched", suffix)
		}
	}
}

// TestTakeFails: what the store or the database says is told, and nothing goes
// on behind it.
func TestTakeFails(t *testing.T) {
	db := database(rand.New(rand.NewPCG(5, 5)), 4096, 400)
	store := &counting{Store: Dir(t.TempDir())}
	store.fails.Store(5)
	if _, err := Take(t.Context(), blank(4096, 400), bytes.NewReader(db), nil, store); err == nil || !strings.Contains(err.Error(), "no space") {
		t.Error(err)
	}
	if _, err := Take(t.Context(), blank(4096, 401), bytes.NewReader(db), nil, store); err == nil {
		t.Error("a database that is too short")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Take(ctx, blank(4096, 400), bytes.NewReader(db), nil, store); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestRetention: which snapshots are dropped, forgotten, and found.
func TestRetention(t *testing.T) {
	at := func(hours int) Manifest {
		return Manifest{ID: fmt.Sprint(hours), Seq: uint64(hours), TX: uint64(10 * hours), Time: time.Unix(0, 0).Add(time.Duration(hours) * time.Hour),
			Chunks: []Digest{sha256.Sum256(fmt.Append(nil, hours))}}
	}
	var all []Manifest
	for _, h := range []int{3, 1, 5, 2, 4} {
		all = append(all, at(h))
	}
	now := time.Unix(0, 0).Add(5*time.Hour + time.Minute)
	ids := func(ms []Manifest) (out string) {
		for _, m := range ms {
			out += m.ID
		}
		return out
	}
	for _, c := range []struct {
		keep Retention
		want string
	}{
		{Retention{For: 2 * time.Hour, Count: 1}, "123"},
		{Retention{For: 2 * time.Hour, Count: 4}, "1"},
		{Retention{Count: 2}, "123"},
		{Retention{}, "1234"},
		{Retention{For: time.Nanosecond}, "1234"},
		{Retention{For: 100 * time.Hour}, ""},
	} {
		if got := ids(c.keep.Drop(all, now)); got != c.want {
			t.Errorf("%+v drops %q, want %q", c.keep, got, c.want)
		}
	}
	all[0].Deleted = now.Add(-Grace - 1)
	all[1].Deleted = now.Add(-Grace + time.Minute)
	forget, keep := Swept(all, now)
	if ids(forget) != "3" || len(keep) != 4 || keep[all[0].Chunks[0]] {
		t.Errorf("forgets %q, keeps %d", ids(forget), len(keep))
	}
	for tx, want := range map[uint64]string{0: "5", 50: "5", 49: "4", 35: "2", 15: ""} {
		if m, found := At(all, tx); m.ID != want || found != (want != "") {
			t.Errorf("at %d: %q", tx, m.ID)
		}
	}
}

// FuzzDecode: no manifest from anywhere makes a restore ask for more than it says.
func FuzzDecode(f *testing.F) {
	m, err := Take(context.Background(), blank(512, 3), bytes.NewReader(make([]byte, 3*512)), nil, Dir(f.TempDir()))
	if err != nil {
		f.Fatal(err)
	}
	b, _ := m.Encode()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		total := int64(0)
		for i := range m.Chunks {
			if n := m.chunkLen(i); n <= 0 || n > ChunkSize || n%m.PageSize != 0 {
				t.Fatalf("chunk %d has %d bytes", i, n)
			}
			total += int64(m.chunkLen(i))
		}
		if total != m.Size() {
			t.Fatalf("%d bytes of %d", total, m.Size())
		}
	})
}

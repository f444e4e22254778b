package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// fill writes rows of some size, each one transaction.
func (f *foreign) fill(rows, size int) {
	f.t.Helper()
	for range rows {
		f.do(fmt.Sprintf("INSERT INTO a(v) VALUES(randomblob(%d))", size))
	}
}

// A checkpoint of the program's own comes back at once, whatever the mode, and
// does not wait for our pin (litestream issue 724).
func TestForeignRestartCheckpointNeverHangs(t *testing.T) {
	r := newRig(t, 4096)
	r.start(sqlite.CaptureOptions{})
	r.sync()
	f := newForeign(t, r.source)
	for _, mode := range []string{"PASSIVE", "FULL", "RESTART", "TRUNCATE"} {
		f.fill(20, 5000)
		answer, took := f.try("PRAGMA wal_checkpoint(" + mode + ")")
		if strings.HasPrefix(answer, "ERROR") || took > 2*time.Second {
			t.Errorf("%s: %q after %s", mode, answer, took)
		}
		if !strings.HasPrefix(answer, "1,") {
			t.Errorf("%s: %q: the lock of checkpoints was free", mode, answer)
		}
	}
	r.same()
}

// The log begins anew again and again while a writer goes on, and its size
// stays near what starts a checkpoint (litestream issues 1536, 1198: a
// pin that defeats checkpoints, and full snapshots because of checkpoints).
func TestWALBoundedNoSnapshotStorm(t *testing.T) {
	r := newRig(t, 4096)
	r.start(sqlite.CaptureOptions{Checkpoint: 256 << 10})
	r.sync()
	most := int64(0)
	f := newForeign(t, r.source)
	for range 25 {
		f.fill(20, 10000)
		st, err := os.Stat(r.source + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, st.Size())
		until(t, "the log begins anew", func() bool {
			f.fill(1, 100)
			return r.capture.Stats().LogBytes < 2<<20
		})
	}
	r.same()
	s := r.capture.Stats()
	if most > 4<<20 {
		t.Errorf("log grew to %d bytes", most)
	}
	if s.Differences > 1 {
		t.Errorf("%d comparisons of all pages", s.Differences)
	}
	if s.Checkpoints < 3 {
		t.Errorf("%d checkpoints", s.Checkpoints)
	}
	t.Logf("log at most %d bytes; %+v", most, s)
}

// At rest nothing looks at anything more than once a second (litestream issues
// 955, 992): not after the start, and not after writes have woken it.
func TestIdleCostsNothing(t *testing.T) {
	r := newRig(t, 4096)
	r.start(sqlite.CaptureOptions{})
	r.sync()
	f := newForeign(t, r.source)
	for range 2 {
		last, lastAt := uint64(0), time.Now()
		until(t, "a second and a half with no more than two looks", func() bool {
			if time.Since(lastAt) < 1500*time.Millisecond {
				return false
			}
			looks := r.capture.Stats().Looks
			rests := last > 0 && looks-last <= 2
			last, lastAt = looks, time.Now()
			return rests
		})
		f.fill(3, 100)
		until(t, "the writes wake it", func() bool { return r.count(r.copy, "SELECT count(*) FROM a")%3 == 0 })
	}
	r.same()
}

// Committed frames without salts and checksums, as SQLite before 3.50.4 writes
// them: they are in the copy, and after the log has begun anew they survive a
// crash of all programs too.
func TestZeroSaltCommittedFrames(t *testing.T) {
	r := newRig(t, 4096)
	f := newForeign(t, r.source)
	f.do("CREATE TABLE z(id INTEGER PRIMARY KEY, s, b)", "CREATE INDEX zs ON z(s)")
	f.do("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000) INSERT INTO z SELECT i, i%7, randomblob(500) FROM n")
	f.do("PRAGMA wal_checkpoint(TRUNCATE)")
	r.start(sqlite.CaptureOptions{})
	r.sync()
	f.do("PRAGMA cache_size=20", "BEGIN IMMEDIATE", "SAVEPOINT a",
		"UPDATE z SET b=randomblob(500) WHERE id<500", "UPDATE z SET b=randomblob(500) WHERE id BETWEEN 500 AND 1000",
		"UPDATE z SET b=randomblob(500) WHERE id BETWEEN 500 AND 1000", "ROLLBACK TO a",
		"INSERT INTO z SELECT id+10000, s, randomblob(500) FROM z LIMIT 100", "COMMIT")
	f.fill(20, 100)
	r.same()
	if n := r.count(r.copy, "SELECT count(*) FROM z"); n != 2100 {
		t.Fatalf("%d of 2100 rows in the copy", n)
	}
	old := f.do("SELECT sqlite_version()") < "3.50.4"
	if s := r.capture.Stats(); old && s.Trusted == 0 {
		t.Fatalf("nothing was taken on trust: this does not test what it should: %+v", s)
	}
	until(t, "the log begins anew", func() bool { return !r.capture.Stats().Unsafe })
	f.fill(5, 100)
	r.sync()
	r.crash()
	r.same()
}

// crash ends the capture, and the source is what a crash of all programs leaves:
// files without what was in memory.
func (r *rig) crash() {
	r.t.Helper()
	saved := map[string][]byte{}
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(r.source + end)
		if err != nil {
			r.t.Fatal(err)
		}
		saved[end] = b
	}
	if err := r.stop(); !errors.Is(err, context.Canceled) {
		r.t.Fatal(err)
	}
	dir := filepath.Join(r.dir, "after")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	r.source = filepath.Join(dir, "source.db")
	for end, b := range saved {
		if err := os.WriteFile(r.source+end, b, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	r.changes = nil
	r.start(sqlite.CaptureOptions{})
	r.sync()
	if len(r.changes) > 0 {
		r.t.Errorf("after the crash the source is not what the copy has: %+v", r.changes)
	}
}

// While nothing captures the program writes and checkpoints, more than once
// round the log; the start finds the difference, and only that (litestream
// issues 752, 753).
func TestCheckpointWhileDown(t *testing.T) {
	r := newRig(t, 4096)
	r.start(sqlite.CaptureOptions{})
	f := newForeign(t, r.source)
	f.fill(300, 5000)
	r.same()
	_ = r.stop()
	f.do("UPDATE a SET v=randomblob(5000) WHERE i%30=0", "PRAGMA wal_checkpoint(TRUNCATE)")
	f.fill(10, 5000)
	f.do("PRAGMA wal_checkpoint(RESTART)")
	f.fill(10, 5000)
	r.changes = nil
	pages := 0
	r.before = func(c sqlite.Change) { pages += len(c.Pages) }
	r.start(sqlite.CaptureOptions{})
	r.same()
	if pages == 0 || pages > 150 || len(r.changes) != 1 {
		t.Errorf("%d pages in %d changes", pages, len(r.changes))
	}
}

// A power cut took the source back; new commits stand where others stood in
// the log, under the same salts.
func TestWALRewindAfterPowerLoss(t *testing.T) {
	r := newRig(t, 4096)
	f := newForeign(t, r.source)
	r.start(sqlite.CaptureOptions{})
	f.fill(10, 3000)
	r.sync()
	early := map[string][]byte{}
	for _, end := range []string{"", "-wal"} {
		early[end], _ = os.ReadFile(r.source + end)
	}
	f.fill(10, 3000)
	r.same()
	f.kill()
	_ = r.stop()
	for _, end := range []string{"", "-wal"} {
		if err := os.WriteFile(r.source+end, early[end], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(r.source + "-shm"); err != nil {
		t.Fatal(err)
	}
	newForeign(t, r.source).fill(10, 3000)
	r.start(sqlite.CaptureOptions{})
	r.same()
}

// The database grows by pages that no transaction writes: a table is made and
// dropped in one transaction (litestream pull requests 1323, 1199).
func TestGrowthPagesNotInWAL(t *testing.T) {
	r := newRig(t, 4096)
	r.start(sqlite.CaptureOptions{})
	r.sync()
	f := newForeign(t, r.source)
	f.do("PRAGMA secure_delete=OFF") // Debian's is on, and writes such pages
	for range 3 {
		f.do("BEGIN", "CREATE TABLE big(b)",
			"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200) INSERT INTO big SELECT randomblob(4000) FROM n",
			"DROP TABLE big", "INSERT INTO a(v) VALUES(1)", "COMMIT")
		r.same()
		f.do("PRAGMA incremental_vacuum(150)")
		r.same()
	}
}

// A writer died between the log and its index: the index is torn. Other
// programs go on soon, and the copy follows what recovery makes of it.
func TestResurrectedCommit(t *testing.T) {
	r := newRig(t, 4096)
	f := newForeign(t, r.source)
	r.start(sqlite.CaptureOptions{})
	f.fill(5, 3000)
	r.same()
	var before [48]byte
	shm, err := os.OpenFile(r.source+"-shm", os.O_RDWR, 0) // closed with the process: closing drops locks
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shm.Close() })
	if _, err := shm.ReadAt(before[:], 0); err != nil {
		t.Fatal(err)
	}
	f.do("INSERT INTO a(i, v) VALUES(1000, 'last')")
	r.sync()
	f.kill()
	if _, err := shm.WriteAt(before[:], 0); err != nil { // the first copy only
		t.Fatal(err)
	}
	began := time.Now()
	g := newForeign(t, r.source)
	if n := g.do("SELECT count(*) FROM a"); n != "6" {
		t.Errorf("%s rows", n)
	}
	g.fill(5, 3000)
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("other programs were kept from the database for %s", took)
	}
	r.same()
	if s := r.capture.Stats(); s.Recoveries == 0 {
		t.Errorf("the index was not built again by us: %+v", s)
	}
}

// The consumer stands still: memory and log stay bounded, the program's own
// checkpoints work again, and the copy catches up by a difference of pages.
func TestSlowConsumerLetsGo(t *testing.T) {
	r := newRig(t, 4096)
	gate := make(chan struct{})
	blocked := false
	r.before = func(c sqlite.Change) {
		if c.Commit > 3 && !blocked {
			blocked = true
			<-gate
		}
	}
	r.start(sqlite.CaptureOptions{Ceiling: 2 << 20, Checkpoint: 64 << 10})
	r.sync()
	f := newForeign(t, r.source)
	most := int64(0)
	for range 100 {
		f.fill(10, 20000)
		st, err := os.Stat(r.source + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		if most = max(most, st.Size()); most > 4<<20 { // the writer may be faster than we are woken
			until(t, "the log is let go of", func() bool { return r.capture.Stats().LetGo > 0 })
		}
	}
	until(t, "the log is let go of", func() bool { return r.capture.Stats().LetGo > 0 })
	f.fill(1000, 100) // past the program's own checkpoint, and round the log
	close(gate)
	r.same()
	s := r.capture.Stats()
	if s.Differences < 2 {
		t.Errorf("no difference of pages: %+v", s)
	}
	if most > 12<<20 {
		t.Errorf("the log grew to %d bytes", most)
	}
	t.Logf("log at most %d bytes of 20 MB written; %+v", most, s)
}

// A transaction that is larger than a change comes in parts, without being
// held in memory.
func TestLargeTransaction(t *testing.T) {
	r := newRig(t, 4096)
	parts, largest := 0, 0
	r.before = func(c sqlite.Change) {
		if c.Part > 0 {
			parts++
		}
		largest = max(largest, len(c.Pages)*c.PageSize)
	}
	r.start(sqlite.CaptureOptions{MaxBatch: 256 << 10})
	r.sync()
	f := newForeign(t, r.source)
	f.do("BEGIN")
	f.do("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000) INSERT INTO a(v) SELECT randomblob(4000) FROM n")
	f.do("UPDATE a SET v=randomblob(4000)")
	f.do("COMMIT")
	f.fill(3, 100)
	r.same()
	if parts < 20 || largest > 256<<10 {
		t.Errorf("%d further parts, the largest of %d bytes", parts, largest)
	}
	f.do("DELETE FROM a WHERE i%3>0", "CREATE TABLE new(i)", "VACUUM")
	r.ends()
}

// A reader of others that stays for long keeps the log from beginning anew; it
// brings no comparison of all pages, and when it ends all is as before.
func TestForeignLongReader(t *testing.T) {
	r := newRig(t, 4096)
	r.start(sqlite.CaptureOptions{Ceiling: 1 << 20, Checkpoint: 64 << 10})
	r.sync()
	reader, f := newForeign(t, r.source), newForeign(t, r.source)
	reader.do("BEGIN", "SELECT count(*) FROM a")
	f.fill(100, 20000)
	r.sync()
	before := r.capture.Stats()
	// A writer faster than the capture takes it over its ceiling: that is a difference too.
	if before.Differences > before.LetGo+1 || before.LogBytes < 1<<20 {
		t.Errorf("%+v", before)
	}
	reader.do("COMMIT")
	until(t, "the log begins anew", func() bool {
		f.fill(1, 20000)
		return r.capture.Stats().LogBytes < before.LogBytes/2
	})
	r.same()
}

// Each size of pages that SQLite has.
func TestPageSizes(t *testing.T) {
	for _, size := range []int{512, 1024, 2048, 8192, 16384, 32768, 65536} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			r := newRig(t, size)
			r.start(sqlite.CaptureOptions{Checkpoint: 256 << 10, MaxBatch: 128 << 10})
			cmd := r.stress(size, 60, "vacuum", "checkpoint", "savepoint")
			r.finish(cmd)
			r.ends()
		})
	}
}

// The files of the database are others suddenly: the capture ends and says so.
func TestDatabaseReplacedOrDeleted(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"deleted":  os.Remove,
		"replaced": func(path string) error { return errors.Join(copyFile(path, path+"2"), os.Rename(path+"2", path)) },
		"log":      func(path string) error { return os.Remove(path + "-wal") },
		"index":    func(path string) error { return os.Remove(path + "-shm") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 4096)
			needs(t, "")
			o := sqlite.CaptureOptions{}
			c, err := sqlite.OpenCapture(t.Context(), r.source, o)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err = c.Run(ctx, nil, func(context.Context, sqlite.Change) error { return spoil(r.source) })
			if !errors.Is(err, sqlite.ErrReplaced) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

func copyFile(from, to string) error {
	a, err := os.Open(from)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(b, a)
	return errors.Join(err, b.Close())
}

package sqlite_test

import (
	"database/sql"
	"fmt"
	"os"
	"testing"

	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// The program that owns the database and the capture are one process, and the
// capture comes and goes (leadership does): no close of ours takes a lock of the
// owner's connections away. A foreign program finds each of them.
func TestLibraryMode(t *testing.T) {
	r := newRig(t, 4096)
	own := r.open(r.source)
	defer own.Close()
	f := newForeign(t, r.source)
	f.do("PRAGMA busy_timeout=0")
	for i := range 3 {
		exe(t, own, "BEGIN IMMEDIATE") // holds the lock of writers
		exe(t, own, "INSERT INTO a(v) VALUES('own')")
		r.start(sqlite.CaptureOptions{})
		r.sync()
		if n := r.count(r.copy, "SELECT count(*) FROM a"); n != 2*i {
			t.Errorf("round %d: %d rows in the copy before the commit", i, n)
		}
		_ = r.stop()
		if answer, _ := f.try("INSERT INTO a(v) VALUES('foreign')"); answer != "ERROR database is locked" {
			t.Errorf("round %d: after the capture the owner's lock is gone: %q", i, answer)
		}
		exe(t, own, "COMMIT")
		f.do("INSERT INTO a(v) VALUES('foreign')")
	}
	r.start(sqlite.CaptureOptions{})
	r.same()
}

// Another engine, the newest SQLite, writes in this process with many
// connections at once.
func TestNewestSQLiteWrites(t *testing.T) {
	r := newRig(t, 4096)
	r.start(sqlite.CaptureOptions{Checkpoint: 256 << 10})
	r.sync()
	done := make(chan error, 3)
	for w := range 3 {
		db := r.open(r.source, "synchronous(normal)")
		defer db.Close()
		go func() { done <- writeMany(db, w) }()
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	r.same()
	if n := r.count(r.copy, "SELECT count(*) FROM a"); n != 600 {
		t.Errorf("%d rows", n)
	}
}

func writeMany(db *sql.DB, w int) error {
	for i := range 200 {
		if _, err := db.Exec("INSERT INTO a(v) VALUES(randomblob(?))", i*20); err != nil {
			return fmt.Errorf("writer %d: %w", w, err)
		}
	}
	return nil
}

// A database of more than 1 GiB has a page that SQLite does not use. It takes a
// minute, and 5 GB of disk: CHAOS=long.
func TestLockPage(t *testing.T) {
	if os.Getenv("CHAOS") != "long" {
		t.Skip("takes long: set CHAOS=long")
	}
	r := newRig(t, 4096)
	f := newForeign(t, r.source)
	f.do("INSERT INTO a(v) VALUES(zeroblob(536000000))")
	f.do("INSERT INTO a(v) VALUES(zeroblob(530000000))")
	r.start(sqlite.CaptureOptions{})
	r.sync()
	f.do("INSERT INTO a(v) VALUES(zeroblob(20000000))") // over it
	f.fill(20, 5000)
	r.same()
	f.do("DELETE FROM a WHERE i=3", "PRAGMA incremental_vacuum") // and back
	r.same()
	if n := r.count(r.copy, "PRAGMA page_count"); n <= 1<<18 {
		t.Logf("%d pages: below the page", n)
	}
}

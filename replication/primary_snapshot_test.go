package replication_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/replication/snapshot"
)

func (p *platform) leaderSnapshot(ctx context.Context, pr primary, id string, last *snapshot.Manifest) (snapshot.Manifest, error) {
	return pr.Snapshot(ctx, snapshot.Manifest{ID: id, Platform: "p", App: "a", Node: "n", Time: time.Now()}, last)
}

// TestLeaderSnapshot: snapshots that a leader takes while it is written, a feed
// answers badly and the log goes round, are states between two transactions; the
// feed leads on from each of them.
func TestLeaderSnapshot(t *testing.T) {
	p := newPlatform(t, 31, 20)
	db := p.create(1)
	defer db.Close()
	p.exec(db, "PRAGMA synchronous=normal")
	p.exec(db, "CREATE TABLE total(n, s)")
	p.exec(db, "INSERT INTO total VALUES(0, 0)")
	pr := p.primary(1, 1, nil)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { write(t, ctx, db) })
	var last *snapshot.Manifest
	var all []snapshot.Manifest
	until := p.within()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := range 6 {
		for last != nil && pr.Stats().Emitted <= last.TX+2 && until.Err() == nil {
			<-tick.C
		}
		m, err := p.leaderSnapshot(p.within(), pr, fmt.Sprint("s", i), last)
		if err != nil {
			t.Fatal(err)
		}
		last, all = &m, append(all, m)
	}
	cancel()
	wg.Wait()
	p.sync(pr)
	for i, m := range all {
		path := filepath.Join(p.dir, m.ID+".db")
		if err := snapshot.Restore(t.Context(), m, store{p.shelf}, path); err != nil {
			t.Fatal(err)
		}
		consistent(t, path)
		if i > 0 && m.TX <= all[i-1].TX {
			t.Errorf("snapshot %d is at %d, the one before at %d", i, m.TX, all[i-1].TX)
		}
		p.shelf.manifests = all[i : i+1]
		p.feed.trim(m.Seq + 1)
		s := p.standby(10 + i)
		p.reach(s)
		s.close()
		consistent(t, p.path(10+i))
	}
}

// write makes transactions that are whole only together, until ctx ends.
func write(t *testing.T, ctx context.Context, db *sql.DB) {
	for n := 0; ctx.Err() == nil; n++ {
		tx, err := db.Begin()
		if err != nil {
			t.Error(err)
			return
		}
		for _, q := range []string{"INSERT INTO t VALUES(NULL, randomblob(3000))", "UPDATE total SET n = n+1, s = s+(SELECT max(n) FROM t)"} {
			if _, err := tx.Exec(q); err != nil {
				t.Error(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Error(err)
			return
		}
	}
}

func consistent(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n, s, rows, sum int
	var verdict string
	err = db.QueryRow("SELECT total.n, s, (SELECT count(*) FROM t), (SELECT coalesce(sum(n),0) FROM t), (SELECT integrity_check FROM pragma_integrity_check) FROM total").
		Scan(&n, &s, &rows, &sum, &verdict)
	if err != nil || n != rows || s != sum || verdict != "ok" {
		t.Errorf("%s: %d of %d rows, sum %d of %d, %s, %v", path, rows, n, sum, s, verdict, err)
	}
}

// TestLeaderSnapshotEnds: a snapshot that is broken off, one of a primary that
// ends, and one of an empty database return at once with the reason.
func TestLeaderSnapshotEnds(t *testing.T) {
	p := newPlatform(t, 32, 0)
	db := p.create(1)
	defer db.Close()
	pr := p.primary(1, 1, nil)
	p.sync(pr)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.leaderSnapshot(ctx, pr, "s", nil); err == nil {
		t.Error("a snapshot that was broken off")
	}
	if _, err := p.leaderSnapshot(t.Context(), pr, "s", nil); err != nil {
		t.Error(err)
	}
	if _, err := p.feed.Raise(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	p.exec(db, "INSERT INTO t VALUES(1, 'x')")
	if _, err := p.leaderSnapshot(p.within(), pr, "fenced", nil); err == nil || len(p.shelf.manifests) != 1 {
		t.Errorf("%v, %d snapshots: of a leader whose time is over", err, len(p.shelf.manifests))
	}
	_ = pr.stop()
}

package replication

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/replication/snapshot"
)

// megabytes is how large the database is.
const megabytes = 118

// BenchmarkRestore is the time to restore a database of 118 MB, half of which can
// be compressed, synced to the disk: ours from a snapshot in the servers' store,
// Litestream's from a folder. Each restored database must have all rows.
func BenchmarkRestore(b *testing.B) {
	path := source(b)
	fill(b, path)
	want, size := content(b, path)
	r, stop := newPlatform(b, 1).replicate(b, path)
	r.follow(b)
	began := time.Now()
	m, err := r.standby.Snapshot(b.Context(), snapshot.Manifest{ID: "s", Platform: "p", App: "a1", Node: "n2", Time: time.Now().UTC()}, nil)
	must(b, err)
	taken := time.Since(began)
	stop()
	var theirs *litestreamPair
	if program := litestream(b); program != "" {
		var stop func()
		theirs, stop = ship(b, program, path, 0)
		theirs.restore(b, filepath.Join(b.TempDir(), "first.db"))
		stop()
	}
	var took, peer []time.Duration
	var ratios []float64
	check := func(path string) {
		if got, _ := content(b, path); got != want {
			b.Fatalf("restored %+v, want %+v", got, want)
		}
		must(b, os.Remove(path))
	}
	for b.Loop() {
		for range 4 {
			to := filepath.Join(b.TempDir(), "ours.db")
			began := time.Now()
			must(b, snapshot.Restore(context.Background(), m, r.tools.Chunks, to))
			took = append(took, time.Since(began))
			check(to)
			if theirs != nil {
				to := filepath.Join(b.TempDir(), "theirs.db")
				peer = append(peer, theirs.restore(b, to))
				check(to)
				ratios = append(ratios, peer[len(peer)-1].Seconds()/took[len(took)-1].Seconds())
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(taken.Seconds(), "snapshot-s")
	b.ReportMetric(quantile(took, 0.5)/1e3, "restore-s")
	b.ReportMetric(float64(size)/1e6, "MB")
	if theirs != nil {
		b.ReportMetric(quantile(peer, 0.5)/1e3, "litestream-restore-s")
		b.ReportMetric(median(ratios), "litestream/ours")
	}
}

// fill makes the database as large as it has to be.
func fill(b *testing.B, path string) {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(off)")
	must(b, err)
	defer db.Close()
	_, err = db.Exec(`WITH RECURSIVE c(i) AS (SELECT 2 UNION ALL SELECT i+1 FROM c WHERE i < ?)
		INSERT INTO a SELECT i, randomblob(2000) || zeroblob(2000) FROM c`, megabytes*1_000_000/4120)
	must(b, err)
}

// facts are what two copies share. Litestream adds tables of its own, so their
// sizes are not compared.
type facts struct {
	rows, lengths int64
	sample        string
}

func content(b *testing.B, path string) (f facts, size int64) {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	must(b, err)
	defer db.Close()
	must(b, db.QueryRow(`SELECT count(*), sum(length(v)), (SELECT group_concat(hex(substr(v, 1, 8))) FROM a WHERE n % 1000 = 7) FROM a`).Scan(&f.rows, &f.lengths, &f.sample))
	must(b, db.QueryRow("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").Scan(&size))
	if f.rows != megabytes*1_000_000/4120 {
		b.Fatalf("%s has %d rows", path, f.rows)
	}
	return f, size
}

package cluster_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
)

// TestSQLiteSnapshots: a snapshot is taken from any node, listed by all, and
// restored elsewhere; a node that leads alone says why it has none.
func TestSQLiteSnapshots(t *testing.T) {
	t.Parallel()
	url := startNATS(t).ClientURL()
	ledgers := map[*node]*ledgerApp{}
	var nodes []*node
	for _, id := range []string{"n1", "n2"} {
		n := newNode(t, "shots", id, url)
		ledgers[n] = newLedger(t, n)
		nodes = append(nodes, n.start())
	}
	leader := leaderOf(t, "ledger", nodes...)
	l := ledgers[leader]
	eventually(t, "it leads the database", l.active.Load)
	l.write(t, 0, 10, "x")
	must(t, l.app.WAL().Sync(within(t, patience)))
	var first cluster.Snapshot
	for n, o := range ledgers {
		eventually(t, n.NodeID()+" takes one", func() bool {
			s, err := o.app.Snapshots().Create(within(t, patience))
			if err != nil {
				t.Log(err) // its copy may not follow yet
			}
			first = s
			return err == nil
		})
		if first.NodeID == leader.NodeID() {
			t.Errorf("taken by the leader: %+v", first)
		}
	}
	for n, o := range ledgers {
		latest, err := o.app.Snapshots().Latest(within(t, patience))
		must(t, err)
		if latest.ID != first.ID || latest.Size == 0 || latest.Position.TX == 0 {
			t.Errorf("%s: %+v, want %+v", n.NodeID(), latest, first)
		}
		must(t, o.app.Snapshots().Verify(within(t, patience), first.ID))
		path := filepath.Join(t.TempDir(), "r.db")
		must(t, o.app.Snapshots().Restore(within(t, patience), first.ID, path))
		db, err := sql.Open("sqlite", "file:"+path)
		must(t, err)
		defer db.Close()
		var rows int
		must(t, db.QueryRow("SELECT count(*) FROM entries").Scan(&rows))
		if rows != 10 {
			t.Errorf("%d rows", rows)
		}
		wantErr(t, o.app.Snapshots().Restore(within(t, patience), first.ID, path), cluster.ErrKeyExists, "stop what uses it")
		wantErr(t, o.app.Snapshots().Restore(within(t, patience), first.ID, o.path), cluster.ErrInvalid, "another file")
	}
	eventually(t, "status shows it", func() bool {
		for _, n := range nodes {
			if d := n.status("ledger").Database; d != nil && d.Snapshot != nil && d.Snapshot.ID == first.ID && d.Lag != nil && d.Follows {
				return true
			}
		}
		return false
	})
	for _, n := range nodes {
		if n != leader {
			must(t, n.stop())
		}
	}
	eventually(t, "no copy is left: the leader takes it", func() bool {
		s, err := l.app.Snapshots().Create(within(t, patience))
		return err == nil && s.NodeID == leader.NodeID()
	})
}

// TestSnapshotArguments: what cannot be is refused before anything runs.
func TestSnapshotArguments(t *testing.T) {
	for want, o := range map[string]cluster.SQLiteOption{
		"snapshot interval 1s": cluster.SQLiteSnapshotInterval(time.Second), "retention of snapshots -1h": cluster.SQLiteRetention(-time.Hour),
	} {
		p, err := cluster.NewPlatform("p", "n", startNATS(t).ClientURL())
		must(t, err)
		p.Register(cluster.NewApp("a", cluster.WithSQLite("/tmp/a.db", o)))
		wantErr(t, p.Run(within(t, patience)), cluster.ErrInvalid, want)
	}
}

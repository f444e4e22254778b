package cluster_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	cluster "github.com/ozanturksever/go-cluster"
)

// ledgerApp is an app with a database that it writes while it leads.
type ledgerApp struct {
	app    *cluster.App
	path   string
	active atomic.Bool
}

func newLedger(t *testing.T, n *node) *ledgerApp {
	l := &ledgerApp{path: filepath.Join(t.TempDir(), "ledger.db")}
	l.app = cluster.NewApp("ledger", cluster.WithSQLite(l.path))
	l.app.OnActive(func(context.Context) error {
		db, err := l.open()
		if err != nil {
			return err
		}
		defer db.Close()
		_, err = db.Exec("CREATE TABLE IF NOT EXISTS entries(n INTEGER PRIMARY KEY, who TEXT)")
		l.active.Store(err == nil)
		return err
	})
	l.app.OnPassive(func(context.Context) error { l.active.Store(false); return nil })
	n.app(l.app)
	return l
}

func (l *ledgerApp) open() (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+l.path+"?_pragma=busy_timeout(30000)&_pragma=journal_mode(wal)")
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

func (l *ledgerApp) write(t *testing.T, from, n int, who string) {
	t.Helper()
	db, err := l.open()
	must(t, err)
	defer db.Close()
	for i := range n {
		_, err := db.Exec("INSERT INTO entries VALUES(?, ?)", from+i, who)
		must(t, err)
	}
}

func (l *ledgerApp) rows(t *testing.T) (n int) {
	t.Helper()
	db, err := l.open()
	must(t, err)
	defer db.Close()
	var verdict string
	must(t, db.QueryRow("PRAGMA integrity_check").Scan(&verdict))
	if verdict != "ok" {
		t.Errorf("integrity of %s: %s", l.path, verdict)
	}
	must(t, db.QueryRow("SELECT count(*) FROM entries").Scan(&n))
	return n
}

// TestSQLite: the database of an app goes where its leadership goes, by
// step-down and by loss of a node; nothing that was synced is missing.
func TestSQLite(t *testing.T) {
	t.Parallel()
	url := startNATS(t).ClientURL()
	ledgers := map[*node]*ledgerApp{}
	var nodes []*node
	for _, id := range []string{"n1", "n2", "n3"} {
		n := newNode(t, "sqlite", id, url)
		ledgers[n] = newLedger(t, n)
		nodes = append(nodes, n.start())
	}
	for _, n := range nodes {
		n.knows("n1", "n2", "n3")
	}
	want := 0
	for range 4 {
		leader := leaderOf(t, "ledger", nodes...)
		l := ledgers[leader]
		eventually(t, "it leads the database", l.active.Load)
		l.write(t, want, 25, leader.NodeID())
		want += 25
		must(t, l.app.WAL().Sync(within(t, patience)))
		if lag, err := l.app.WAL().Lag(within(t, patience)); err != nil || lag.Transactions != 0 {
			t.Errorf("lag of the leader: %+v %v", lag, err)
		}
		for n, o := range ledgers {
			if n == leader {
				continue
			}
			if err := o.app.WAL().Sync(within(t, patience)); !errors.Is(err, cluster.ErrNotLeader) {
				t.Errorf("sync on a node that does not lead: %v", err)
			}
			eventually(t, fmt.Sprint(n.NodeID(), " has it all"), func() bool {
				lag, err := o.app.WAL().Lag(within(t, patience))
				return err == nil && lag.Transactions == 0
			})
			if rows := o.rows(t); rows != want {
				t.Errorf("%s has %d rows, want %d", n.NodeID(), rows, want)
			}
		}
		must(t, leader.election("ledger").StepDown(within(t, patience)))
	}
	leader := leaderOf(t, "ledger", nodes...)
	must(t, leader.stop())
	var left []*node
	for _, n := range nodes {
		if n != leader {
			left = append(left, n)
		}
	}
	next := leaderOf(t, "ledger", left...)
	eventually(t, "the next leads the database", ledgers[next].active.Load)
	if rows := ledgers[next].rows(t); rows != want {
		t.Errorf("%d rows, want %d", rows, want)
	}
	ledgers[next].write(t, want, 5, next.NodeID())
	must(t, ledgers[next].app.WAL().Sync(within(t, patience)))
}

// TestSQLiteArguments: what cannot be is refused before anything runs.
func TestSQLiteArguments(t *testing.T) {
	for what, c := range map[string]struct {
		apps []*cluster.App
		want string
	}{
		"relative": {[]*cluster.App{cluster.NewApp("a", cluster.WithSQLite("a.db"))}, "absolute path"},
		"spread":   {[]*cluster.App{cluster.NewApp("a", cluster.Spread(), cluster.WithSQLite("/tmp/a.db"))}, "singleton"},
		"shared": {[]*cluster.App{cluster.NewApp("a", cluster.WithSQLite("/tmp/a.db")), cluster.NewApp("b", cluster.WithSQLite("/tmp/./a.db"))},
			"each app has a file of its own"},
		"nil": {[]*cluster.App{cluster.NewApp("a", cluster.WithSQLite("/tmp/a.db", nil))}, "option 1 is nil"},
	} {
		t.Run(what, func(t *testing.T) {
			p, err := cluster.NewPlatform("p", "n", startNATS(t).ClientURL())
			must(t, err)
			for _, a := range c.apps {
				p.Register(a)
			}
			wantErr(t, p.Run(within(t, patience)), cluster.ErrInvalid, c.want)
		})
	}
}

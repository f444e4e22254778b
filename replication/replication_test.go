package replication_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication"
	"github.com/ozanturksever/go-cluster/replication/page"
	"github.com/ozanturksever/go-cluster/replication/snapshot"
	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

const patience = 90 * time.Second

// platform is a few nodes, each with its file of one database.
type platform struct {
	t     *testing.T
	feed  *feed
	shelf *shelf
	dir   string
	log   *slog.Logger
	name  map[int]string // of databases that are elsewhere
}

func newPlatform(t *testing.T, seed uint64, faults int) *platform {
	if runtime.GOOS != "linux" {
		t.Skip("replication of SQLite needs Linux")
	}
	level := slog.LevelError
	if testing.Verbose() {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level}))
	return &platform{t: t, feed: newFeed(seed, faults), shelf: newShelf(), dir: t.TempDir(), log: log, name: map[int]string{}}
}

func (p *platform) path(node int) string {
	if name := p.name[node]; name != "" {
		return name
	}
	return filepath.Join(p.dir, fmt.Sprint("node", node, ".db"))
}

func (p *platform) within() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	p.t.Cleanup(cancel)
	return ctx
}

// open opens a database as an ordinary program does.
func (p *platform) open(node int) *sql.DB {
	p.t.Helper()
	db, err := sql.Open("sqlite", "file:"+p.path(node)+"?_pragma=busy_timeout(30000)&_pragma=journal_mode(wal)")
	if err != nil {
		p.t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

func (p *platform) exec(db *sql.DB, query string, args ...any) {
	p.t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		p.t.Fatalf("%s: %v", query, err)
	}
}

// part runs a primary or a standby until stop.
type part struct {
	stop func() error
}

func (p *platform) run(do func(context.Context) error) part {
	ctx, cancel := context.WithCancel(context.Background())
	var once sync.Once
	var err error
	ended := make(chan error, 1)
	go func() { ended <- do(ctx) }()
	stop := func() error {
		once.Do(func() { cancel(); err = <-ended })
		return err
	}
	p.t.Cleanup(func() { _ = stop() })
	return part{stop}
}

type primary struct {
	part
	*replication.Primary
}

func (p *platform) primary(node int, epoch uint64, table *sqlite.Table) primary {
	p.t.Helper()
	pr, err := replication.OpenPrimary(p.within(), replication.PrimaryConfig{
		Path: p.path(node), Epoch: epoch, Feed: p.feed, Chunks: store{p.shelf}, Shelf: p.shelf, Table: table, Large: 2 << 20, Logger: p.log.With("node", node),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	r := p.run(pr.Run)
	var once sync.Once
	stop := func() error { err := r.stop(); once.Do(pr.Close); return err }
	p.t.Cleanup(func() { _ = stop() })
	return primary{part{stop}, pr}
}

type standby struct {
	part
	*replication.Standby
	close func() *sqlite.Table
}

func (p *platform) standby(node int) standby {
	p.t.Helper()
	s, err := replication.OpenStandby(p.within(), replication.StandbyConfig{
		Path: p.path(node), Feed: p.feed, Chunks: store{p.shelf}, Shelf: p.shelf, Logger: p.log.With("node", node),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	r := p.run(s.Run)
	var once sync.Once
	var table *sqlite.Table
	closing := func() *sqlite.Table {
		if err := r.stop(); err != nil {
			p.t.Error(err)
		}
		once.Do(func() { table = s.Close() })
		return table
	}
	p.t.Cleanup(func() { closing() })
	return standby{r, s, closing}
}

// reach waits until a standby has all of the feed.
func (p *platform) reach(s standby) {
	p.t.Helper()
	if err := s.Reach(p.within(), p.feed.last()); err != nil {
		at, seq, follows := s.Position()
		p.t.Fatalf("%v; it is at %+v, message %d, follows: %v; %+v", err, at, seq, follows, s.Stats())
	}
}

func (p *platform) sync(pr primary) {
	p.t.Helper()
	if err := pr.Sync(p.within()); err != nil {
		p.t.Fatalf("%v; %+v", err, pr.Stats())
	}
}

// rows reads what an app reads, and lets SQLite check the file.
func (p *platform) rows(node int) (rows []int) {
	p.t.Helper()
	db := p.open(node)
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		p.t.Fatalf("node %d: integrity: %s %v", node, verdict, err)
	}
	all, err := db.Query("SELECT n FROM t ORDER BY n")
	if err != nil {
		p.t.Fatal(err)
	}
	defer all.Close()
	for all.Next() {
		var n int
		if err := all.Scan(&n); err != nil {
			p.t.Fatal(err)
		}
		rows = append(rows, n)
	}
	return rows
}

func (p *platform) create(node int) *sql.DB {
	p.t.Helper()
	db := p.open(node)
	p.exec(db, "CREATE TABLE t(n INTEGER PRIMARY KEY, v BLOB)")
	return db
}

// TestCopy: two standbys, one of them late, have what was committed, also when a
// third of the answers of the feed are lost or lies.
func TestCopy(t *testing.T) {
	for _, faults := range []int{0, 33} {
		t.Run(fmt.Sprint(faults), func(t *testing.T) {
			p := newPlatform(t, 1, faults)
			db := p.create(1)
			defer db.Close()
			pr := p.primary(1, 1, nil)
			early := p.standby(2)
			for n := range 300 {
				p.exec(db, "INSERT INTO t VALUES(?, randomblob(300))", n)
				if n%10 == 0 {
					p.exec(db, "UPDATE t SET v = randomblob(200) WHERE n = ?", n/2)
				}
			}
			p.exec(db, "DELETE FROM t WHERE n >= 200")
			p.exec(db, "VACUUM")
			p.sync(pr)
			late := p.standby(3)
			p.reach(early)
			p.reach(late)
			for _, node := range []int{2, 3} {
				if rows := p.rows(node); len(rows) != 200 {
					t.Errorf("node %d has %d rows", node, len(rows))
				}
			}
			at, _, _ := early.Position()
			if d := pr.Stats().Durable; d != at {
				t.Errorf("the standby is at %+v, the primary at %+v", at, d)
			}
		})
	}
}

// TestLargeChange: a transaction that is too large for messages goes through
// chunks.
func TestLargeChange(t *testing.T) {
	p := newPlatform(t, 1, 0)
	db := p.create(1)
	defer db.Close()
	pr := p.primary(1, 1, nil)
	s := p.standby(2)
	p.exec(db, "WITH RECURSIVE s(v) AS (SELECT 1 UNION ALL SELECT v+1 FROM s WHERE v < 60) INSERT INTO t SELECT v, randomblob(100000) FROM s")
	p.exec(db, "INSERT INTO t VALUES(1000, 'x')")
	p.sync(pr)
	p.reach(s)
	if rows := p.rows(2); len(rows) != 61 {
		t.Errorf("%d rows", len(rows))
	}
	if len(p.shelf.chunks) < 8 {
		t.Errorf("%d chunks", len(p.shelf.chunks))
	}
}

// TestPromotion: leadership goes round three nodes, with and without warning;
// nothing that a Sync has promised is lost, and what an old leader had for itself
// is not on anybody's copy.
func TestPromotion(t *testing.T) {
	const rounds, nodes = 9, 3
	p := newPlatform(t, 3, 20)
	db := p.create(0)
	n, acked := 0, map[int]bool{}
	var table *sqlite.Table
	others := map[int]standby{}
	for round := range rounds {
		leader := round % nodes
		pr := p.primary(leader, uint64(round+1), table)
		for i := range nodes {
			if _, ok := others[i]; !ok && i != leader {
				others[i] = p.standby(i)
			}
		}
		if db == nil {
			db = p.open(leader)
		}
		written := []int{}
		for range 30 {
			p.exec(db, "INSERT INTO t VALUES(?, randomblob(500))", n)
			written = append(written, n)
			n++
		}
		p.sync(pr)
		for _, w := range written {
			acked[w] = true
		}
		if round%2 == 1 { // it goes on without being heard
			_ = pr.stop()
			for range 5 {
				p.exec(db, "INSERT INTO t VALUES(?, 'alone')", n)
				n++
			}
		}
		_ = pr.stop()
		db.Close()
		db = nil
		next := (round + 1) % nodes
		p.snapshot(others[(round+2)%nodes], fmt.Sprint("s", round))
		head, err := p.feed.Raise(p.within(), uint64(round+2))
		if err != nil {
			t.Fatal(err)
		}
		if err := others[next].Reach(p.within(), head.LastSeq); err != nil {
			t.Fatal(err)
		}
		table = others[next].close()
		delete(others, next)
	}
	last := p.primary(rounds%nodes, rounds+1, table)
	others[(rounds+2)%nodes] = p.standby((rounds + 2) % nodes)
	p.sync(last)
	for _, s := range others {
		p.reach(s)
	}
	for node := range nodes {
		have := map[int]bool{}
		for _, r := range p.rows(node) {
			have[r] = true
			if !acked[r] {
				t.Errorf("node %d has row %d, which was never synced", node, r)
			}
		}
		if len(have) != len(acked) {
			t.Errorf("node %d has %d rows of %d", node, len(have), len(acked))
		}
	}
}

func (p *platform) snapshot(s standby, id string) snapshot.Manifest {
	p.t.Helper()
	p.reach(s)
	m, err := s.Snapshot(p.within(), snapshot.Manifest{ID: id, Platform: "p", App: "a", Node: "n", Time: time.Now()}, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// TestFenced: a primary whose time is over is refused, says so to whoever waits,
// and ends.
func TestFenced(t *testing.T) {
	p := newPlatform(t, 4, 0)
	db := p.create(1)
	defer db.Close()
	pr := p.primary(1, 1, nil)
	p.exec(db, "INSERT INTO t VALUES(1, 'x')")
	p.sync(pr)
	if _, err := p.feed.Raise(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	p.exec(db, "INSERT INTO t VALUES(2, 'x')")
	if err := pr.Sync(p.within()); !errors.Is(err, pluginapi.ErrFenced) && !errors.Is(err, pluginapi.ErrShuttingDown) {
		t.Errorf("sync: %v", err)
	}
	if err := pr.stop(); !errors.Is(err, pluginapi.ErrFenced) {
		t.Errorf("run: %v", err)
	}
	if _, err := replication.OpenPrimary(t.Context(), replication.PrimaryConfig{Path: p.path(1), Epoch: 1, Feed: p.feed}); !errors.Is(err, pluginapi.ErrFenced) {
		t.Errorf("open: %v", err)
	}
	for _, m := range p.feed.all[p.feed.head().EpochSeq:] {
		t.Errorf("message %d behind the newer epoch", m.Seq)
	}
}

// TestRestart: a primary that begins again on the database that it had, without
// knowing what the feed has, brings everybody to what it has.
func TestRestart(t *testing.T) {
	p := newPlatform(t, 5, 0)
	db := p.create(1)
	defer db.Close()
	s := p.standby(2)
	for epoch := range uint64(3) {
		pr := p.primary(1, epoch+1, nil)
		p.exec(db, "INSERT INTO t VALUES(?, 'x')", 2*epoch)
		p.sync(pr)
		_ = pr.stop()
		p.exec(db, "INSERT INTO t VALUES(?, 'while nobody looks')", 2*epoch+1)
	}
	pr := p.primary(1, 4, nil)
	p.sync(pr)
	p.reach(s)
	if rows := p.rows(2); len(rows) != 6 {
		t.Errorf("%v", rows)
	}
	if st := s.Stats(); len(st.Resyncs) != 0 {
		t.Errorf("%+v", st)
	}
}

// TestBehindTheFeed: a standby for which the feed no longer leads on takes a
// snapshot, only the pages that differ, and goes on.
func TestBehindTheFeed(t *testing.T) {
	p := newPlatform(t, 6, 0)
	db := p.create(1)
	defer db.Close()
	pr := p.primary(1, 1, nil)
	behind, other := p.standby(2), p.standby(3)
	p.exec(db, "WITH RECURSIVE s(v) AS (SELECT 1 UNION ALL SELECT v+1 FROM s WHERE v < 500) INSERT INTO t SELECT v, randomblob(2000) FROM s")
	p.sync(pr)
	p.reach(behind)
	behind.close()
	for n := range 20 {
		p.exec(db, "INSERT INTO t VALUES(?, 'x')", 1000+n)
	}
	p.sync(pr)
	m := p.snapshot(other, "s1")
	p.feed.trim(m.Seq + 1)
	p.exec(db, "INSERT INTO t VALUES(2000, 'x')")
	p.sync(pr)
	again, fresh := p.standby(2), p.standby(4)
	p.reach(again)
	p.reach(fresh)
	for _, node := range []int{2, 4} {
		if rows := p.rows(node); len(rows) != 521 {
			t.Errorf("node %d has %d rows", node, len(rows))
		}
	}
	if st := again.Stats(); len(st.Resyncs) != 1 || st.Changes > 2 {
		t.Errorf("%+v", st)
	}
}

// TestWrittenCopy: a copy that somebody has written to becomes what it should be.
func TestWrittenCopy(t *testing.T) {
	p := newPlatform(t, 7, 0)
	db := p.create(1)
	defer db.Close()
	pr := p.primary(1, 1, nil)
	s, other := p.standby(2), p.standby(3)
	p.exec(db, "INSERT INTO t VALUES(1, 'x')")
	p.sync(pr)
	p.reach(s)
	p.snapshot(other, "s1")
	s.close()
	mine := p.open(2)
	p.exec(mine, "INSERT INTO t VALUES(77, 'mine')")
	mine.Close()
	s = p.standby(2)
	p.exec(db, "INSERT INTO t VALUES(2, 'x')")
	p.sync(pr)
	p.reach(s)
	if rows := p.rows(2); len(rows) != 2 {
		t.Errorf("%v", rows)
	}
}

// TestDamagedFeed: messages that are no segments, and those of an old epoch, do
// nothing to a copy.
func TestDamagedFeed(t *testing.T) {
	p := newPlatform(t, 8, 0)
	db := p.create(1)
	pr := p.primary(1, 1, nil)
	s := p.standby(2)
	p.exec(db, "INSERT INTO t VALUES(1, 'x')")
	p.sync(pr)
	p.reach(s)
	_ = pr.stop()
	old := p.feed.head().Last
	p.feed.mu.Lock()
	p.feed.add(2, nil)
	p.feed.add(0, []byte("nonsense"))
	p.feed.add(0, append([]byte(nil), old[:len(old)-1]...))
	p.feed.add(0, old)
	p.feed.mu.Unlock()
	p.feed.mu.Lock()
	p.feed.all[len(p.feed.all)-1].Seq = uint64(len(p.feed.all))
	p.feed.mu.Unlock()
	db.Close()
	ctx, tick := p.within(), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for s.Stats().Stale == 0 && ctx.Err() == nil {
		<-tick.C
	}
	if st := s.Stats(); st.Damaged != 2 || st.Stale != 1 || len(st.Resyncs) != 0 {
		t.Errorf("%+v", st)
	}
	if rows := p.rows(2); len(rows) != 1 {
		t.Errorf("%v", rows)
	}
}

// TestNormalized: the copies of page 1 may differ where the engine writes.
func TestNormalized(t *testing.T) {
	p := newPlatform(t, 9, 0)
	db := p.create(1)
	defer db.Close()
	pr := p.primary(1, 1, nil)
	s := p.standby(2)
	for n := range 5 {
		p.exec(db, "INSERT INTO t VALUES(?, 'x')", n)
		p.sync(pr)
	}
	p.reach(s)
	s.close()
	_ = pr.stop()
	p.exec(db, "PRAGMA wal_checkpoint(TRUNCATE)")
	var one [2]page.Page
	for i, node := range []int{1, 2} {
		if node == 2 {
			copied := p.open(2)
			p.exec(copied, "PRAGMA wal_checkpoint(TRUNCATE)")
			copied.Close()
		}
		b, err := os.ReadFile(p.path(node))
		if err != nil {
			t.Fatal(err)
		}
		one[i] = page.Page{Number: 1, Data: b[:4096]}
		page.Normalize(one[i])
	}
	if page.Hash(one[0]) != page.Hash(one[1]) {
		t.Error("page 1 differs")
	}
}

// TestDiverged: an old leader that has what nobody else has keeps its file aside
// and is made anew, from the feed or a snapshot; as long as nobody else has led
// it waits: it may be the one to go on.
func TestDiverged(t *testing.T) {
	t.Run("feed", func(t *testing.T) { diverged(t, false) })
	t.Run("snapshot", func(t *testing.T) { diverged(t, true) })
}

func diverged(t *testing.T, shot bool) {
	p := newPlatform(t, 10, 0)
	db := p.create(1)
	pr := p.primary(1, 1, nil)
	other := p.standby(2)
	p.exec(db, "INSERT INTO t VALUES(1, 'x')")
	p.sync(pr)
	p.reach(other)
	if shot {
		p.snapshot(other, "s1")
	}
	_ = pr.stop()
	p.exec(db, "INSERT INTO t VALUES(2, 'alone')")
	db.Close()
	head := func() replication.Head { h, _ := p.feed.Head(t.Context()); return h }
	if !replication.Continues(p.path(1), head()) || replication.Continues(p.path(2), head()) {
		t.Error("the last leader continues the feed, a standby does not")
	}
	old := p.standby(1)
	ctx, tick := p.within(), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for p.shelf.listed() < 2 && ctx.Err() == nil {
		<-tick.C
	}
	if st := old.Stats(); len(st.Aside) != 0 {
		t.Fatalf("%+v", st)
	}
	table := other.close()
	db = p.open(2)
	defer db.Close()
	next := p.primary(2, 2, table)
	p.exec(db, "INSERT INTO t VALUES(3, 'x')")
	p.sync(next)
	p.reach(old)
	if replication.Continues(p.path(1), head()) || !replication.Continues(p.path(2), head()) {
		t.Error("now it is the other one that continues")
	}
	if rows := p.rows(1); fmt.Sprint(rows) != "[1 3]" {
		t.Errorf("%v", rows)
	}
	aside := old.Stats().Aside
	if len(aside) != 1 {
		t.Fatalf("%v", aside)
	}
	report := string(p.read(aside[0] + ".txt"))
	for _, line := range []string{" of epoch 1. The feed is in epoch 2 now", "It has 2 pages of 4096 bytes", "1 pages differ", `"t": 1 pages, 1 differ`} {
		if !strings.Contains(report, line) {
			t.Errorf("%q is not in the report: %s", line, report)
		}
	}
	kept, err := sql.Open("sqlite", "file:"+aside[0])
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	var alone string
	if err := kept.QueryRow("SELECT v FROM t WHERE n = 2").Scan(&alone); err != nil || alone != "alone" {
		t.Errorf("%q %v", alone, err)
	}
}

// TestOtherBoot: what was said in another boot of the machine counts for nothing.
func TestOtherBoot(t *testing.T) {
	p := newPlatform(t, 11, 0)
	db := p.create(1)
	defer db.Close()
	_ = p.primary(1, 1, nil).stop()
	h, _ := p.feed.Head(t.Context())
	if !replication.Continues(p.path(1), h) {
		t.Fatal("it does not continue")
	}
	b, err := os.ReadFile(p.path(1) + ".position")
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.Replace(b, []byte(`"boot":"`), []byte(`"boot":"x`), 1)
	if err := os.WriteFile(p.path(1)+".position", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if replication.Continues(p.path(1), h) {
		t.Error("it continues after a power cut")
	}
}

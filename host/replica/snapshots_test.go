package replica_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/replica"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication/snapshot"
)

// shots are the snapshots of a keeper, by a clock that the test moves.
type shots struct {
	*replica.Snapshots
	ahead atomic.Int64
}

func newShots(k *replica.Keeper, platform string, keep snapshot.Retention) *shots {
	s := &shots{}
	s.Snapshots = replica.NewSnapshots(k, replica.SnapshotConfig{
		Platform: platform, App: "a", Node: "n2", Interval: time.Hour, Retention: keep,
		Turn: func() (int, bool, bool) { return 0, true, true },
		Now:  func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) },
	})
	return s
}

func (s *shots) pass(d time.Duration) { s.ahead.Add(int64(d)) }

// TestSnapshots: they are taken when something has changed and the time has
// come, dropped when they are too old; the feed is trimmed behind them, manifests are
// forgotten, and a copy that comes later is made from what is
// left.
func TestSnapshots(t *testing.T) {
	url := startNATS(t, 1)[0]
	leader, follower, late := newNode(t, url, 1), newNode(t, url, 1), newNode(t, url, 1)
	l, f := leader.keeper(t), follower.keeper(t)
	db := leader.db(t, "")
	must(db.Exec("CREATE TABLE t(n INTEGER PRIMARY KEY, v BLOB)"))
	if err := l.Promote(within(t), 1); err != nil {
		t.Fatal(err)
	}
	rows := 0
	write := func() {
		t.Helper()
		for range 10 {
			must(db.Exec("INSERT INTO t VALUES(?, randomblob(20000))", rows))
			rows++
		}
		if err := l.Sync(within(t)); err != nil {
			t.Fatal(err)
		}
		last := must(leader.feed.Head(within(t))).LastSeq
		eventually(t, f, "it follows", func(s replica.State) bool { return s.Follows && s.Seq == last })
	}
	write()
	s := newShots(f, "p", snapshot.Retention{For: 3 * time.Hour, Count: 2})
	tend := func(want int) {
		t.Helper()
		if err := s.Tend(within(t)); err != nil {
			t.Fatal(err)
		}
		if all := must(s.List(within(t))); len(all) != want {
			t.Fatalf("%d snapshots, want %d", len(all), want)
		}
	}
	tend(1)
	s.pass(2 * time.Hour) // nothing has changed
	tend(1)
	write()
	tend(2)
	write() // too early
	tend(2)
	if first, _, _ := leader.feed.Bounds(within(t)); first > 2 {
		t.Errorf("the feed begins at %d", first)
	}
	for range 3 {
		must(db.Exec("UPDATE t SET v = randomblob(20000)"))
		s.pass(2 * time.Hour)
		write()
		tend(2)
	}
	oldest := must(s.List(within(t)))[0]
	s.pass(4 * time.Hour)
	tend(2)
	if begun := must(leader.feed.Begun(within(t))); begun.IsZero() {
		t.Error("the feed has no change left")
	}
	if all := must(leader.shelf.List(within(t))); len(all) > 3 {
		t.Errorf("%d manifests, also deleted ones that nobody needs", len(all))
	}
	if st := s.State(); st.FeedBytes == 0 || st.Chunks == 0 || st.Newest.ID == "" {
		t.Errorf("%+v", st)
	}
	if err := s.Verify(within(t), oldest.ID); err != nil {
		t.Error(err)
	}
	k := late.keeper(t)
	last := must(leader.feed.Head(within(t))).LastSeq
	eventually(t, k, "a late copy follows", func(s replica.State) bool { return s.Follows && s.Seq == last })
	if st := k.State().Standby; len(st.Resyncs) == 0 {
		t.Errorf("the feed was not trimmed: %+v", st)
	}
	var got int
	if err := late.db(t, "").QueryRow("SELECT count(*) FROM t").Scan(&got); err != nil || got != rows {
		t.Errorf("%d rows, want %d, %v", got, rows, err)
	}
}

// TestSnapshotCommands: what a person asks for, and what is refused.
func TestSnapshotCommands(t *testing.T) {
	url := startNATS(t, 1)[0]
	leader, follower := newNode(t, url, 1), newNode(t, url, 1)
	l, f := leader.keeper(t), follower.keeper(t)
	db := leader.db(t, "")
	must(db.Exec("CREATE TABLE t(n INTEGER PRIMARY KEY, v BLOB)"))
	if err := l.Promote(within(t), 1); err != nil {
		t.Fatal(err)
	}
	must(db.Exec("INSERT INTO t VALUES(1, 'x')"))
	if err := l.Sync(within(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, f, "it follows", func(s replica.State) bool { return s.Follows && s.TX > 0 })
	keep := snapshot.Retention{For: time.Hour, Count: 1}
	s, other, onLeader := newShots(f, "p", keep), newShots(f, "q", keep), newShots(l, "p", keep)
	ofOriginal := must(onLeader.Create(within(t)))
	if err := onLeader.Verify(within(t), ofOriginal.ID); err != nil {
		t.Errorf("of the original: %v", err)
	}
	before := must(s.Create(within(t)))
	if ofOriginal.Sum != before.Sum || ofOriginal.TX != before.TX || ofOriginal.Seq != before.Seq {
		t.Errorf("of the original %+v, of the copy %+v", ofOriginal, before)
	}
	if err := errors.Join(s.Delete(within(t), ofOriginal.ID)); err != nil {
		t.Error(err)
	}
	one := before
	refused := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	ctx := within(t)
	refused("the only one", s.Delete(ctx, one.ID), pluginapi.ErrInvalid)
	refused("no such", s.Delete(ctx, "none"), pluginapi.ErrKeyNotFound)
	refused("of another platform", other.Verify(ctx, one.ID), pluginapi.ErrInvalid)
	refused("of another platform", other.Restore(ctx, one.ID, filepath.Join(t.TempDir(), "x.db")), pluginapi.ErrInvalid)
	refused("over the database", s.Restore(ctx, one.ID, follower.path), pluginapi.ErrInvalid)
	refused("relative", s.Restore(ctx, one.ID, "x.db"), pluginapi.ErrInvalid)
	taken := filepath.Join(t.TempDir(), "taken.db")
	if err := os.WriteFile(taken, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("over a file", s.Restore(ctx, one.ID, taken), pluginapi.ErrKeyExists)
	if b, err := os.ReadFile(taken); err != nil || string(b) != "mine" {
		t.Errorf("%q %v", b, err)
	}
	two := must(s.Create(ctx))
	if err := s.Delete(ctx, one.ID); err != nil {
		t.Error(err)
	}
	refused("deleted", s.Verify(ctx, one.ID), pluginapi.ErrKeyNotFound)
	if all := must(s.List(ctx)); len(all) != 1 || all[0].ID != two.ID {
		t.Errorf("%v", all)
	}
	if err := s.Verify(ctx, two.ID); err != nil {
		t.Error(err)
	}
	damaged(t, follower, two, s, ctx)
}

// damaged: a snapshot with a chunk that is another is not restored, and nothing
// of it is left.
func damaged(t *testing.T, n node, m snapshot.Manifest, s *shots, ctx context.Context) {
	if err := n.chunks.Put(ctx, m.Chunks[0], []byte("no")); err != nil {
		t.Fatal(err)
	}
	if s.Verify(ctx, m.ID) == nil {
		t.Error("a damaged snapshot is verified")
	}
	dir := t.TempDir()
	err := s.Restore(ctx, m.ID, filepath.Join(dir, "x.db"))
	if left := must(os.ReadDir(dir)); err == nil || len(left) != 0 {
		t.Error(err, fmt.Sprint(left))
	}
}

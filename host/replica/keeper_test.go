package replica_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/replica"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// keeper runs the keeper of a node until the test ends.
func (n node) keeper(t testing.TB) *replica.Keeper {
	t.Helper()
	level := slog.LevelError
	if testing.Verbose() {
		level = slog.LevelDebug
	}
	fails := 2 // the tools are not there at once
	k := replica.NewKeeper(replica.Config{
		Path: n.path, Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level})),
		Open: func(context.Context) (replica.Tools, error) {
			if fails--; fails >= 0 {
				return replica.Tools{}, errors.New("no answer")
			}
			return replica.Tools{Feed: n.feed, Chunks: n.chunks, Shelf: n.shelf}, nil
		},
	})
	background(t, func(ctx context.Context) error { k.Run(ctx); return nil }, func() {})
	return k
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until a keeper is as wanted.
func eventually(t testing.TB, k *replica.Keeper, what string, ok func(replica.State) bool) {
	t.Helper()
	ctx, tick := within(t), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !ok(k.State()) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %+v", what, k.State())
		}
	}
}

// TestKeepers: two nodes hand the database to and fro, by a planned change and by
// a loss; what was synced or demoted is on the next one, and the file that the
// service makes only when it runs is found.
func TestKeepers(t *testing.T) {
	url := startNATS(t, 1)[0]
	nodes := []node{newNode(t, url, 1), newNode(t, url, 1)}
	keepers := []*replica.Keeper{nodes[0].keeper(t), nodes[1].keeper(t)}
	if err := keepers[0].Sync(within(t)); !errors.Is(err, pluginapi.ErrNotLeader) {
		t.Errorf("sync of a copy: %v", err)
	}
	want := 0
	for round := range 6 {
		leader := round % 2
		k := keepers[leader]
		if err := k.Promote(within(t), pluginapi.Epoch(round+1)); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		db := nodes[leader].db(t, "")
		if round == 0 {
			must(db.Exec("CREATE TABLE t(n INTEGER PRIMARY KEY, v BLOB)"))
		}
		var have int
		if err := db.QueryRow("SELECT count(*) FROM t").Scan(&have); err != nil || have != want {
			t.Fatalf("round %d: %d rows, want %d; %v", round, have, want, err)
		}
		for range 20 {
			must(db.Exec("INSERT INTO t(v) VALUES(randomblob(400))"))
			want++
		}
		if round == 0 {
			eventually(t, k, "the new file is found", func(s replica.State) bool { return s.Primary != nil })
		}
		if round%2 == 0 {
			db.Close()
			if err := k.Demote(within(t)); err != nil {
				t.Fatal(err)
			}
		} else {
			if err := k.Sync(within(t)); err != nil {
				t.Fatal(err)
			}
			db.Close()
		}
		if round%2 == 1 { // the other one takes over without a word
			if err := keepers[1-leader].Promote(within(t), pluginapi.Epoch(100+round)); err != nil {
				t.Fatal(err)
			}
			db := nodes[leader].db(t, "")
			must(db.Exec("INSERT INTO t(v) VALUES('too late')"))
			db.Close()
			if err := k.Sync(within(t)); err == nil {
				t.Error("one that has been replaced syncs")
			}
			if err := k.Demote(within(t)); err == nil {
				t.Error("what was written too late is said to be fed")
			}
			if err := keepers[1-leader].Demote(within(t)); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	for i, k := range keepers {
		last := must(nodes[i].feed.Head(within(t))).LastSeq
		eventually(t, k, fmt.Sprint("copy ", i), func(s replica.State) bool { return s.Role == replica.Following && s.Follows && s.Seq == last })
		var rows int
		if err := nodes[i].db(t, "").QueryRow("SELECT count(*) FROM t").Scan(&rows); err != nil || rows != want {
			t.Errorf("node %d has %d rows, want %d, %v", i, rows, want, err)
		}
	}
}

// TestPromoteBehind: a copy that cannot have what the feed has is not promoted,
// and goes on following.
func TestPromoteBehind(t *testing.T) {
	url := startNATS(t, 1)[0]
	leader, other := newNode(t, url, 1), newNode(t, url, 1)
	k := leader.keeper(t)
	db := leader.db(t, "")
	must(db.Exec("CREATE TABLE t(n INTEGER PRIMARY KEY, v BLOB)"))
	if err := k.Promote(within(t), 1); err != nil {
		t.Fatal(err)
	}
	if err := k.Sync(within(t)); err != nil {
		t.Fatal(err)
	}
	mine := other.db(t, "")
	must(mine.Exec("CREATE TABLE mine(n)"))
	mine.Close()
	o := other.keeper(t)
	// It has what nobody else has, and the feed holds all: it is made anew when
	// somebody leads in a newer epoch than it ever has.
	eventually(t, o, "it follows", func(s replica.State) bool { return s.Follows })
	if s := o.State(); len(s.Standby.Aside) != 1 {
		t.Errorf("%+v", s.Standby)
	}
	if err := o.Promote(within(t), 2); err != nil {
		t.Fatal(err)
	}
	if err := k.Promote(within(t), 1); !errors.Is(err, pluginapi.ErrFenced) {
		t.Errorf("an old epoch: %v", err)
	}
}

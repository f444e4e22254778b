package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
)

// The snippets of the API reference, and what is said of each call.
func TestKV(t *testing.T) {
	n := newNode(t, "kv", "n1", startNATS(t).ClientURL())
	kv := n.app(cluster.NewApp("web")).KV()
	pool := n.app(cluster.NewApp("other", cluster.Spread())).KV()
	n.start()
	ctx := within(t, patience)
	watch, err := kv.Watch(ctx, "user.*")
	must(t, err)
	if e := <-watch; e.Op != cluster.KeyValueSynced { // what is put now comes as a change
		t.Errorf("the watch of an empty bucket began with %+v", e)
	}
	must(t, kv.Put(ctx, "user.1", []byte("ann")))
	v, err := kv.Get(ctx, "user.1")
	if must(t, err); string(v) != "ann" {
		t.Errorf("got %q", v)
	}
	_, err = pool.Get(ctx, "user.1")
	wantErr(t, err, cluster.ErrKeyNotFound, "user.1")
	rev, err := kv.Create(ctx, "user.2", []byte("bob"))
	must(t, err)
	_, err = kv.Create(ctx, "user.2", nil)
	wantErr(t, err, cluster.ErrKeyExists)
	rev2, err := kv.Update(ctx, "user.2", []byte("ben"), rev)
	must(t, err)
	_, err = kv.Update(ctx, "user.2", nil, rev)
	wantErr(t, err, cluster.ErrConflict)
	wantErr(t, kv.DeleteRevision(ctx, "user.2", rev), cluster.ErrConflict)
	must(t, kv.DeleteRevision(ctx, "user.2", rev2))
	_, err = kv.Linearizable().Get(ctx, "user.2")
	wantErr(t, err, cluster.ErrKeyNotFound)
	e, err := kv.Linearizable().GetEntry(ctx, "user.1")
	if must(t, err); string(e.Value) != "ann" || e.Key != "user.1" || e.Op != cluster.KeyValuePut || e.Revision == 0 {
		t.Errorf("entry %+v", e)
	}
	revs, err := kv.Apply(ctx, cluster.KeyValueChange{Key: "user.1", Op: cluster.KeyValueDelete, Revision: e.Revision},
		cluster.KeyValueChange{Key: "user.3", Value: []byte("cid")})
	if must(t, err); len(revs) != 2 {
		t.Errorf("revisions %v", revs)
	}
	must(t, kv.Delete(ctx, "user.4"))
	keys, err := kv.Keys(ctx, "user.")
	if must(t, err); !slices.Equal(keys, []string{"user.3"}) {
		t.Errorf("keys %q", keys)
	}
	history, err := kv.History(ctx, "user.2")
	if must(t, err); len(history) != 3 || history[2].Op != cluster.KeyValueDelete {
		t.Errorf("history %+v", history)
	}
	want := []string{"put user.1 ann", "put user.2 bob", "put user.2 ben", "delete user.2 ", "delete user.1 ", "put user.3 cid", "delete user.4 "}
	for _, w := range want {
		if e := <-watch; fmt.Sprintf("%s %s %s", e.Op, e.Key, e.Value) != w {
			t.Errorf("watch told %+v, want %s", e, w)
		}
	}
	_, err = pool.PutFenced(ctx, "k", nil)
	wantErr(t, err, cluster.ErrInvalid, "Singleton")
}

// Nothing is made for an app that does not use its bucket, and a bad argument is
// refused with what is wrong.
func TestKVBadInput(t *testing.T) {
	s := startNATS(t)
	loose := cluster.NewApp("loose").KV()
	n := newNode(t, "kv", "n1", s.ClientURL())
	kv := n.app(cluster.NewApp("web")).KV()
	ctx := within(t, patience)
	calls := map[string]func(ctx context.Context, kv *cluster.KV) error{
		"get":     func(ctx context.Context, kv *cluster.KV) error { _, err := kv.Get(ctx, "k"); return err },
		"put":     func(ctx context.Context, kv *cluster.KV) error { return kv.Put(ctx, "k", nil) },
		"delete":  func(ctx context.Context, kv *cluster.KV) error { return kv.Delete(ctx, "k") },
		"keys":    func(ctx context.Context, kv *cluster.KV) error { _, err := kv.Keys(ctx, ""); return err },
		"watch":   func(ctx context.Context, kv *cluster.KV) error { _, err := kv.Watch(ctx, "k"); return err },
		"fenced":  func(ctx context.Context, kv *cluster.KV) error { _, err := kv.PutFenced(ctx, "k", nil); return err },
		"history": func(ctx context.Context, kv *cluster.KV) error { _, err := kv.History(ctx, "k"); return err },
		"func": func(ctx context.Context, kv *cluster.KV) error {
			return kv.WatchFunc(ctx, "k", func(cluster.KeyValueEntry) {})
		},
	}
	for _, call := range calls {
		wantErr(t, call(ctx, loose), cluster.ErrInvalid, "not registered")
		wantErr(t, call(ctx, kv), cluster.ErrInvalid, "Run")
	}
	n.start()
	if js, _ := s.Jsz(nil); js.Streams != 2 {
		t.Errorf("%d streams, though no bucket was used", js.Streams)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	for name, call := range calls {
		if err := call(over, kv); name != "watch" && name != "func" && !errors.Is(err, context.Canceled) && !errors.Is(err, cluster.ErrNotLeader) {
			t.Errorf("%s with a cancelled context: %v", name, err)
		}
	}
	for _, key := range []string{"", "a b", "a.*", ">", "ключ", string(bytes.Repeat([]byte("k"), 10<<10))} {
		_, err := kv.Get(ctx, key)
		wantErr(t, err, cluster.ErrInvalid, "A-Z a-z 0-9")
		wantErr(t, kv.Put(ctx, key, nil), cluster.ErrInvalid)
	}
	wantErr(t, kv.Put(ctx, "k", make([]byte, 100<<20)), cluster.ErrTooLarge, fmt.Sprint(cluster.MaxValueSize))
	wantErr(t, kv.WatchFunc(ctx, "k", nil), cluster.ErrInvalid, "nil")
	must(t, kv.Put(ctx, "k", nil))
	goroutines := runtime.NumGoroutine()
	for range 100 {
		short, stop := context.WithCancel(ctx)
		ch, err := kv.Watch(short, ">")
		must(t, err)
		<-ch
		stop()
		for range ch {
			continue
		}
	}
	// The node has goroutines that come and go; a hundred watches would leave more.
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines+20 })
	open, err := kv.Watch(context.Background(), "k")
	must(t, err)
	told := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		once := sync.OnceFunc(func() { close(ready) })
		told <- kv.WatchFunc(context.Background(), "k", func(cluster.KeyValueEntry) { once() })
	}()
	<-ready
	must(t, n.stop())
	for range open {
		continue
	}
	wantErr(t, <-told, cluster.ErrShuttingDown)
	for _, call := range calls {
		wantErr(t, call(ctx, kv), cluster.ErrShuttingDown)
	}
}

// A node that does not lead cannot make a fenced change; one that leads no
// more is refused by the store, by its lease, or both; and the epoch in the
// bucket follows the leadership.
func TestKVFencedByLeadership(t *testing.T) {
	s := startNATS(t)
	var nodes []*node
	for _, id := range []string{"n1", "n2"} {
		n := newNode(t, "kv", id, s.ClientURL())
		n.app(cluster.NewApp("web"))
		nodes = append(nodes, n.start())
	}
	ctx := within(t, patience)
	for round := range 3 {
		leader := leaderOf(t, "web", nodes...)
		standby := other(nodes, leader)
		must(t, leader.apps["web"].KV().RaiseEpoch(ctx))
		_, err := leader.apps["web"].KV().PutFenced(ctx, "k", fmt.Append(nil, round))
		must(t, err)
		_, err = leader.apps["web"].KV().ApplyFenced(ctx, cluster.KeyValueChange{Key: "k2", Value: fmt.Append(nil, round)})
		must(t, err)
		_, err = standby.apps["web"].KV().PutFenced(ctx, "k", []byte("never"))
		wantErr(t, err, cluster.ErrNotLeader)
		v, err := standby.apps["web"].KV().Linearizable().Get(ctx, "k")
		if must(t, err); string(v) != fmt.Sprint(round) {
			t.Errorf("round %d: %q", round, v)
		}
		must(t, leader.election("web").StepDown(within(t, time.Minute)))
	}
}

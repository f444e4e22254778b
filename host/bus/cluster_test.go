package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// One cluster for all of it: it takes seconds to elect its first leader.
func TestCluster(t *testing.T) {
	servers, join := startCluster(t, 2)
	var rs []*Records
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 5 { // before there is a leader
		c := dialServer(t, servers[i%2])
		wg.Go(func() {
			r := openRecords(t, c)
			mu.Lock()
			defer mu.Unlock()
			rs = append(rs, r)
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, r := range rs {
		if !r.created.Equal(rs[0].created) {
			t.Error("not all opened the same stream")
		}
	}
	if n := replicas(t, rs[0]); n != 2 {
		t.Errorf("%d replicas with 2 servers", n)
	}
	set(t, rs[0], "early", "1")

	servers = append(servers, join())
	third := dialServer(t, servers[2])
	r := openRecords(t, third)
	eventually(t, "3 replicas", func() bool { n, err := r.Grow(within(t, patience)); return err == nil && n == 3 })
	eventually(t, "all current", func() bool {
		l, err := r.Leader(within(t, patience))
		return err == nil && len(l.Replicas) == 2 && !slices.ContainsFunc(l.Replicas, func(p Replica) bool { return !p.Current })
	})
	t.Run("check", func(t *testing.T) {
		got, err := third.Check(within(t, patience), 0)
		if err != nil || got.Replicas != 3 || got.Servers < 3 || got.Cluster != "c" || len(got.Weaker) != 2 {
			t.Errorf("%+v %v", got, err)
		}
		if got, err := third.Check(within(t, patience), 5); err != nil || got.Replicas != 3 {
			t.Errorf("%+v %v", got, err)
		}
	})
	t.Run("cas", func(t *testing.T) { raceCAS(t, append(rs, r)...) })
	t.Run("leader", func(t *testing.T) { moveLeader(t, r, rs[0]) })
	t.Run("bucket", func(t *testing.T) { bucketOfThree(t, servers) })
	t.Run("grow", func(t *testing.T) { growAll(t, third) })
	t.Run("leader dies", func(t *testing.T) { loseLeader(t, servers) })
}

// growAll: what was made with one replica gets the others, and what is another
// platform's stays as it is.
func growAll(t *testing.T, c *Conn) {
	ctx := within(t, patience)
	small, foreign := names(t, "small"), names(t, "foreign")
	app := must(small.App("web"))
	for _, n := range []Names{small, foreign} {
		cfg := n.Locks()
		cfg.Replicas = 1
		must(OpenRecords(ctx, c, cfg))
	}
	must(OpenBucket(ctx, c, app, 1))
	must(OpenBlobs(ctx, c, small.Blobs(), 1))
	var grown []string
	eventually(t, "all grown", func() bool {
		more, err := c.GrowStreams(ctx, small, 3)
		if grown = append(grown, more...); err != nil {
			t.Log(err)
		}
		return err == nil && len(more) == 0
	})
	slices.Sort(grown)
	want := []string{"KV_" + app.Bucket(), "OBJ_" + small.Blobs(), small.Locks().Stream}
	if !slices.Equal(grown, want) {
		t.Errorf("grew %v, want %v", grown, want)
	}
	for name, want := range map[string]int{want[0]: 3, want[1]: 3, want[2]: 3, foreign.Locks().Stream: 1} {
		in := must(stream{c, name}.info(ctx))
		if n := must(in.replicas()); n != want {
			t.Errorf("%s has %d replicas, want %d", name, n, want)
		}
	}
}

// bucketOfThree uses a bucket with three replicas through each server: batches,
// the largest value, and changes of one key that are made at the same time.
func bucketOfThree(t *testing.T, servers []*server.Server) {
	ctx := within(t, patience)
	var all []*Bucket
	for _, s := range servers {
		all = append(all, openBucket(t, dialServer(t, s)))
	}
	if n := replicas(t, all[0].r); n != 3 {
		t.Errorf("%d replicas", n)
	}
	applyAll(t, ctx, all[0])
	large := make([]byte, MaxKVValue)
	for i, b := range all {
		must(b.Put(ctx, "large", large))
		if e := must(all[(i+1)%3].GetLinearizable(ctx, "large")); len(e.Value) != len(large) {
			t.Errorf("read %d bytes", len(e.Value))
		}
	}
	const each = 20
	must(all[0].Put(ctx, "n", []byte("0")))
	var wg sync.WaitGroup
	for _, b := range all {
		wg.Go(func() {
			for range each {
				increment(t, ctx, b, "n")
			}
		})
	}
	wg.Wait()
	if e := must(all[0].GetLinearizable(ctx, "n")); string(e.Value) != fmt.Sprint(len(all)*each) {
		t.Errorf("%d increments made %q", len(all)*each, e.Value)
	}
}

// increment adds one, as often as it takes.
func increment(t *testing.T, ctx context.Context, b *Bucket, key string) {
	for {
		e, err := b.Get(ctx, key)
		if err == nil {
			var n int
			_, _ = fmt.Sscan(string(e.Value), &n)
			_, err = b.Update(ctx, key, fmt.Append(nil, n+1), e.Revision)
		}
		if err == nil {
			return
		}
		if !errors.Is(err, ErrConflict) {
			t.Error(err)
			return
		}
	}
}

func replicas(t *testing.T, r *Records) int {
	t.Helper()
	l, err := r.Leader(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	return 1 + len(l.Replicas)
}

func moveLeader(t *testing.T, r, watched *Records) {
	w := watch(t, watched, ">")
	expect(t, r.StepDownLeader(within(t, patience), "nobody"), ErrRefused)
	for i := range 4 {
		now, err := r.Leader(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		to := now.Replicas[0].Name
		if err := r.StepDownLeader(within(t, patience), to); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the new leader", func() bool { l, err := r.Leader(within(t, time.Second)); return err == nil && l.Leader == to })
		if err := r.StepDownLeader(within(t, patience), to); err != nil {
			t.Errorf("to the one that leads: %v", err)
		}
		value := fmt.Sprint(i)
		set(t, r, "moved", value)
		eventually(t, "the change after the move", func() bool { return w.value("moved") == value })
	}
	if err := r.StepDownLeader(within(t, patience), ""); err != nil {
		t.Error(err)
	}
}

// loseLeader shuts the stream's leader down while others write and watch: no
// acknowledged change may be missing, refused ones may not be there, and the
// watch must end up with what is stored.
func loseLeader(t *testing.T, servers []*server.Server) {
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.ClientURL())
	}
	r := openRecords(t, dial(t, Config{URLs: urls}))
	w := watch(t, r, "lost.*")
	eventually(t, "a leader", func() bool { _, err := r.Leader(within(t, time.Second)); return err == nil })
	var at uint64
	acked := map[uint64]string{}
	var unknown, refused int
	write := func(i int) bool {
		value := fmt.Sprint(i)
		seq, err := r.CAS(within(t, time.Second), "lost.k", at, []byte(value))
		switch {
		case err == nil:
			at, acked[seq] = seq, value
			return true
		case errors.Is(err, ErrRefused):
			refused++
		default:
			if errors.Is(err, ErrUnknown) {
				unknown++
			}
			if rec, err := r.Get(within(t, time.Second), "lost.k"); err == nil {
				at = rec.Seq
			}
		}
		return false
	}
	for i := range 50 {
		write(i)
	}
	l, err := r.Leader(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		if s.Name() == l.Leader {
			go s.Shutdown()
		}
	}
	i, after := 50, 0
	eventually(t, "changes after the loss of the leader", func() bool {
		i++
		if write(i) {
			after++
		}
		return after == 100
	})
	t.Logf("%d refused, %d unknown meanwhile", refused, unknown)
	rec, err := r.Get(within(t, patience), "lost.k")
	if err != nil || rec.Seq != at || string(rec.Value) != acked[at] {
		t.Errorf("stored %d %q %v, acknowledged %d %q", rec.Seq, rec.Value, err, at, acked[at])
	}
	eventually(t, "the last change at the watch", func() bool { return w.value("lost.k") == acked[at] })
	if err := context.Cause(t.Context()); err != nil {
		t.Fatal(err)
	}
}

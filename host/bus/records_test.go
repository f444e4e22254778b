package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

func TestCASExactlyOneWins(t *testing.T) {
	s := startServer(t)
	raceCAS(t, openRecords(t, dialServer(t, s)), openRecords(t, dialServer(t, s)))
}

// raceCAS lets many change one record from the same sequence, in rounds.
func raceCAS(t *testing.T, rs ...*Records) {
	t.Helper()
	var at uint64
	for round := range 20 {
		var wg sync.WaitGroup
		var won, newSeq atomic.Uint64
		for i := range 16 {
			wg.Go(func() {
				seq, err := rs[i%len(rs)].CAS(within(t, patience), "app.web", at, fmt.Appendf(nil, "%d/%d", round, i))
				switch {
				case err == nil:
					won.Add(1)
					newSeq.Store(seq)
				case !errors.Is(err, ErrConflict) || errors.Is(err, ErrRefused) || errors.Is(err, ErrUnknown):
					t.Errorf("loser got %v, want only %v", err, ErrConflict)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d of 16 won", round, won.Load())
		}
		if at >= newSeq.Load() {
			t.Fatalf("sequence went from %d to %d", at, newSeq.Load())
		}
		at = newSeq.Load()
	}
	rec, err := rs[0].Get(within(t, patience), "app.web")
	if err != nil || rec.Seq != at {
		t.Fatalf("record %v %v, want sequence %d", rec, err, at)
	}
}

// only says that err is want and none of the other outcomes.
func only(t *testing.T, name string, err, want error) {
	t.Helper()
	for _, e := range []error{ErrConflict, ErrRefused, ErrUnknown} {
		if errors.Is(err, e) != (e == want) {
			t.Errorf("%s: error %v, want only %v", name, err, want)
		}
	}
}

func TestCASThatIsNotDone(t *testing.T) {
	s := startServer(t)
	c := dialServer(t, s)
	r := openRecords(t, c)
	seq := set(t, r, "k", "1")
	cas := func(r *Records, ctx context.Context, key string, expect uint64) error {
		_, err := r.CAS(ctx, key, expect, nil)
		return err
	}
	only(t, "wrong sequence", cas(r, within(t, patience), "k", seq+7), ErrConflict)
	only(t, "must be new", cas(r, within(t, patience), "k", 0), ErrConflict)
	only(t, "must exist", cas(r, within(t, patience), "other", 1), ErrConflict)

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	only(t, "context over before", cas(r, ended, "k", seq), ErrRefused)

	gone := &Records{s: r.s, cfg: r.cfg}
	gone.cfg.Subject = "gc.nobody.o"
	err := cas(gone, within(t, patience), "k", 0)
	only(t, "no stream", err, ErrRefused)
	expect(t, err, ErrNoResponders)
	gone.cfg = r.cfg
	gone.cfg.Stream = "other"
	only(t, "not our stream", cas(gone, within(t, patience), "k", seq), ErrRefused)

	s.Shutdown()
	eventually(t, "disconnect", func() bool { return !c.Connected() })
	only(t, "server gone", cas(r, within(t, patience), "k", 0), ErrRefused)
}

func TestCASOfUnknownOutcome(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.ClientURL())
	c := dial(t, Config{URLs: []string{p.url()}})
	r := openRecords(t, c)
	seq := set(t, r, "k", "1")
	p.setDeaf(true)
	_, err := r.CAS(within(t, 50*time.Millisecond), "k", seq, []byte("2"))
	only(t, "answer swallowed", err, ErrUnknown)
	expect(t, err, pluginapi.ErrTimeout)
	// And indeed it was written.
	direct := openRecords(t, dialServer(t, s))
	eventually(t, "the unanswered change", func() bool {
		rec, err := direct.Get(within(t, patience), "k")
		return err == nil && string(rec.Value) == "2"
	})

	lost := make(chan error, 1)
	ctx := within(t, patience)
	go func() { _, err := r.CAS(ctx, "k", 0, nil); lost <- err }()
	eventually(t, "a call on its way", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.calls) == 1 })
	p.cut()
	only(t, "connection lost", <-lost, ErrUnknown)
	if ctx.Err() != nil {
		t.Error("a lost connection was not told at once")
	}

	eventually(t, "disconnect", func() bool { return !c.Connected() })
	_, err = r.CAS(within(t, patience), "k", seq, []byte("stale"))
	only(t, "not connected", err, ErrRefused)
	p.setDeaf(false)
	p.heal()
	eventually(t, "reconnect", c.Connected)
	if rec, err := r.Get(within(t, patience), "k"); err != nil || string(rec.Value) != "2" {
		t.Errorf("after the reconnect the record is %v %v: a stale change was sent", rec, err)
	}
}

func TestCASWhileTheLinkComesAndGoes(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.ClientURL())
	r := openRecords(t, dial(t, Config{URLs: []string{p.url()}}))
	truth := openRecords(t, dialServer(t, s))
	stop := flicker(p)
	// A refused or conflicting value must never be stored, an acknowledged one
	// must have been.
	var at uint64
	var unknown, refused, acked int
	for i := 0; acked < 50 || unknown < 1 && i < 20000; i++ {
		value := fmt.Sprint(i)
		seq, err := r.CAS(within(t, time.Second), "k", at, []byte(value))
		rec, rerr := truth.Get(within(t, patience), "k")
		if rerr != nil {
			t.Fatal(rerr)
		}
		switch {
		case err == nil && (rec.Seq != seq || string(rec.Value) != value):
			t.Fatalf("acknowledged %d %q, stored %d %q", seq, value, rec.Seq, rec.Value)
		case err == nil:
			acked++
		case errors.Is(err, ErrUnknown):
			unknown++
		case string(rec.Value) == value:
			t.Fatalf("%v, but it was stored", err)
		default:
			refused++
		}
		at = rec.Seq
		if errors.Is(err, ErrUnknown) {
			// It may still be on its way: settle by a change of our own.
			for {
				if at, err = truth.CAS(within(t, patience), "k", at, []byte("settled")); err == nil {
					break
				}
				rec, _ := truth.Get(within(t, patience), "k")
				at = rec.Seq
			}
		}
	}
	stop()
	t.Logf("acknowledged %d, unknown %d, refused %d", acked, unknown, refused)
}

// flicker cuts and heals a link until it is stopped.
func flicker(p *proxy) (stop func()) {
	end := make(chan struct{})
	var nemesis sync.WaitGroup
	nemesis.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-end:
				p.heal()
				return
			case <-time.After(15 * time.Millisecond):
			}
			if n%2 == 0 {
				p.cut()
			} else {
				p.heal()
			}
		}
	})
	return func() { close(end); nemesis.Wait() }
}

func TestBadKeysAndValuesAreRefused(t *testing.T) {
	r := openRecords(t, dialServer(t, startServer(t)))
	for _, key := range []string{"", ".", "a.", ".a", "a..b", "a b", "a*", "*", ">", "a.>", "ä", "a\r\nPUB x 0\r\n", "a/b", "$a", strings.Repeat("k", 256)} {
		if _, err := r.CAS(within(t, patience), key, 0, nil); !errors.Is(err, pluginapi.ErrInvalid) || !errors.Is(err, ErrRefused) {
			t.Errorf("CAS of key %q: %v", key, err)
		}
		if _, err := r.Get(within(t, patience), key); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("Get of key %q: %v", key, err)
		}
	}
	for _, pattern := range []string{"", "a.", ">.a", "a*", "a b", "*..*"} {
		if _, err := r.List(within(t, patience), pattern); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("List of %q: %v", pattern, err)
		}
		if err := r.Watch(within(t, patience), pattern, func([]Record) {}); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("Watch of %q: %v", pattern, err)
		}
	}
	_, err := r.CAS(within(t, patience), "big", 0, make([]byte, MaxRecord+1))
	expect(t, err, pluginapi.ErrInvalid, ErrRefused, "524288")
	big := bytes.Repeat([]byte("x"), MaxRecord)
	seq, err := r.CAS(within(t, patience), "big", 0, big)
	if err != nil {
		t.Fatal(err)
	}
	if rec, err := r.Get(within(t, patience), "big"); err != nil || rec.Seq != seq || !bytes.Equal(rec.Value, big) {
		t.Errorf("the biggest value does not come back: %d bytes, %v", len(rec.Value), err)
	}
}

func TestListIsCompleteAndInOrder(t *testing.T) {
	r := openRecords(t, dialServer(t, startServer(t)))
	if all, err := r.List(within(t, patience), ">"); err != nil || len(all) != 0 {
		t.Fatalf("empty list: %v %v", all, err)
	}
	const n = 2000
	err := each(within(t, patience), n, func(ctx context.Context, i int) error {
		_, err := r.CAS(ctx, fmt.Sprintf("node.n%d", i), 0, fmt.Append(nil, i))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	set(t, r, "members", "m")
	set(t, r, "node.n7", "7") // moves to the end
	start := time.Now()
	nodes, err := r.List(within(t, patience), "node.*")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d records in %v", len(nodes), time.Since(start))
	want := map[string]string{}
	for i := range n {
		want[fmt.Sprintf("node.n%d", i)] = fmt.Sprint(i)
	}
	have := map[string]string{}
	for i, rec := range nodes {
		have[rec.Key] = string(rec.Value)
		if i > 0 && nodes[i-1].Seq >= rec.Seq {
			t.Fatalf("sequence %d before %d", nodes[i-1].Seq, rec.Seq)
		}
	}
	if !maps.Equal(have, want) {
		t.Errorf("%d records, want %d", len(have), len(want))
	}
	if last := nodes[n-1].Key; last != "node.n7" {
		t.Errorf("the last changed is %s", last)
	}
	all, err := r.List(within(t, patience), ">")
	if err != nil || len(all) != n+1 {
		t.Errorf("%d records of all, %v", len(all), err)
	}
	one, err := r.List(within(t, patience), "members")
	if err != nil || len(one) != 1 || string(one[0].Value) != "m" {
		t.Errorf("list without wildcard: %v %v", one, err)
	}
	if seq, err := r.LastSeq(within(t, patience)); err != nil || seq != all[n].Seq {
		t.Errorf("last sequence %d %v, want %d", seq, err, all[n].Seq)
	}
}

func TestOpenConvergesFromManyNodes(t *testing.T) {
	s := startServer(t)
	var wg sync.WaitGroup
	rs := make([]*Records, 5)
	for i := range rs {
		c := dialServer(t, s)
		wg.Go(func() { rs[i] = openRecords(t, c) })
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for i, r := range rs {
		if !r.created.Equal(rs[0].created) {
			t.Errorf("node %d opened another stream", i)
		}
	}
	raceCAS(t, rs...)
}

func TestOpenRefusesDangerousStreams(t *testing.T) {
	s := startServer(t)
	c := dialServer(t, s)
	n := 0
	for name, change := range map[string]func(*jetstream.StreamConfig){
		"storage must be file":           func(cfg *jetstream.StreamConfig) { cfg.Storage = jetstream.MemoryStorage },
		"max_msgs_per_subject must be 1": func(cfg *jetstream.StreamConfig) { cfg.MaxMsgsPerSubject = 5 },
		"max_age must be unlimited":      func(cfg *jetstream.StreamConfig) { cfg.MaxAge = time.Hour },
		"max_msgs must be unlimited":     func(cfg *jetstream.StreamConfig) { cfg.MaxMsgs = 10 },
		"max_bytes must be unlimited":    func(cfg *jetstream.StreamConfig) { cfg.MaxBytes = 1 << 20 },
		"max_msg_size must be unlimited": func(cfg *jetstream.StreamConfig) { cfg.MaxMsgSize = 1000 },
		"allow_direct must be off":       func(cfg *jetstream.StreamConfig) { cfg.AllowDirect = true },
		"allow_rollup_hdrs must be off":  func(cfg *jetstream.StreamConfig) { cfg.AllowRollup, cfg.DenyPurge = true, false },
		"deny_delete must be on":         func(cfg *jetstream.StreamConfig) { cfg.DenyDelete = false },
		"deny_purge must be on":          func(cfg *jetstream.StreamConfig) { cfg.DenyPurge = false },
		"republish must be":              func(cfg *jetstream.StreamConfig) { cfg.RePublish = nil },
		"republish must be from":         func(cfg *jetstream.StreamConfig) { cfg.RePublish.HeadersOnly = true },
		"discard must be old":            func(cfg *jetstream.StreamConfig) { cfg.Discard, cfg.DiscardNewPerSubject = jetstream.DiscardNew, true },
		"allow_msg_ttl must be off":      func(cfg *jetstream.StreamConfig) { cfg.AllowMsgTTL = true },
		"retention must be limits":       func(cfg *jetstream.StreamConfig) { cfg.Retention = jetstream.InterestPolicy },
		"subjects must be":               func(cfg *jetstream.StreamConfig) { cfg.Subjects = append(cfg.Subjects, "also.>") },
		"no_ack must be off":             func(cfg *jetstream.StreamConfig) { cfg.NoAck = true },
		"persist_mode must be default":   func(cfg *jetstream.StreamConfig) { cfg.PersistMode = jetstream.AsyncPersistMode },
		"subject_transform must be empty": func(cfg *jetstream.StreamConfig) {
			cfg.SubjectTransform = &jetstream.SubjectTransformConfig{Source: ">", Destination: "x.>"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			n++
			rc := names(t, fmt.Sprintf("p%d", n)).Records()
			cfg := rc.config()
			cfg.Replicas = 1
			change(&cfg)
			if err := c.api(within(t, patience), "STREAM.CREATE."+cfg.Name, cfg, nil); err != nil {
				t.Fatal(err)
			}
			_, err := OpenRecords(within(t, patience), c, rc)
			expect(t, err, pluginapi.ErrInvalid, name, cfg.Name)
		})
	}
	cfg := names(t, "p").Records().config()
	if err := c.api(within(t, patience), "STREAM.CREATE.other", jetstream.StreamConfig{Name: "other", Subjects: cfg.Subjects}, nil); err != nil {
		t.Fatal(err)
	}
	_, err := OpenRecords(within(t, patience), c, names(t, "p").Records())
	expect(t, err, ErrRefused, "another stream takes these subjects")
}

func TestAttachedRecords(t *testing.T) {
	c := dialServer(t, startServer(t))
	r := openRecords(t, c)
	attached, err := AttachRecords(c, r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	seq := set(t, attached, "k", "v")
	if last, err := attached.LastSeq(within(t, patience)); err != nil || last != seq {
		t.Errorf("last sequence %d %v, want %d", last, err, seq)
	}
	w := watch(t, attached, ">")
	eventually(t, "the record", func() bool { return w.value("k") == "v" })
}

func TestStreamCannotBePurgedOrDeletedFrom(t *testing.T) {
	c := dialServer(t, startServer(t))
	r := openRecords(t, c)
	seq := set(t, r, "k", "v")
	err := c.api(within(t, patience), "STREAM.PURGE."+r.cfg.Stream, nil, nil)
	expect(t, err, ErrRefused)
	err = c.api(within(t, patience), "STREAM.MSG.DELETE."+r.cfg.Stream, map[string]any{"seq": seq}, nil)
	expect(t, err, ErrRefused)
	if rec, err := r.Get(within(t, patience), "k"); err != nil || rec.Seq != seq {
		t.Errorf("the record is gone: %v %v", rec, err)
	}
}

func TestSingleServerLeads(t *testing.T) {
	s := startServer(t)
	r := openRecords(t, dialServer(t, s))
	l, err := r.Leader(within(t, patience))
	if err != nil || l.Leader != s.Name() || len(l.Replicas) != 0 {
		t.Errorf("leadership %v %v", l, err)
	}
	expect(t, r.StepDownLeader(within(t, patience), ""), ErrRefused)
}

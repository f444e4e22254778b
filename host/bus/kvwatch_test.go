package bus

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// reader is what a watch of a bucket has told, and whether it kept its word: of
// a key no revision comes twice or goes back, none is left out without a resync,
// and a resync or the start gives the values and then says so.
type reader struct {
	mu      sync.Mutex
	told    []string // as words
	values  map[string]Entry
	last    map[string]uint64 // highest revision of each key
	highest uint64
	syncing bool // between the start, or a resync, and OpSynced
	synced  int
	resyncs int
	bad     []string
	pace    func(Entry) // runs first, outside of the mutex
}

func (r *reader) add(e Entry) {
	if r.pace != nil {
		r.pace(e)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Op, e.Key, e.Value)))
	switch e.Op {
	case OpSynced:
		r.synced++
		r.wrong(!r.syncing, "synced without a start")
		r.syncing = false
	case OpResync:
		r.resyncs++
		r.syncing, r.highest = true, 0
		clear(r.values)
	default:
		r.wrong(e.Revision <= r.last[e.Key] && !r.syncing || e.Revision < r.last[e.Key], "%s went from %d to %d", e.Key, r.last[e.Key], e.Revision)
		r.wrong(r.syncing && e.Op != OpPut, "a %s among the current values", e.Op)
		r.wrong(e.Revision < r.highest, "revision %d after %d", e.Revision, r.highest)
		r.wrong(time.Since(e.Created).Abs() > time.Hour && !e.Created.IsZero() && e.Created.Year() < 2000, "created %v", e.Created)
		r.last[e.Key], r.highest = e.Revision, e.Revision
		r.values[e.Key] = e
		if e.Op == OpDelete {
			delete(r.values, e.Key)
		}
	}
}

func (r *reader) wrong(is bool, format string, args ...any) {
	if is {
		r.bad = append(r.bad, fmt.Sprintf(format, args...))
	}
}

func (r *reader) value(key string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.values[key].Value)
}

func (r *reader) words() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told)
}

func (r *reader) counts() (synced, resyncs int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.synced, r.resyncs
}

// follow watches a bucket until the test ends.
func follow(t testing.TB, b *Bucket, pattern string, pace ...func(Entry)) *reader {
	t.Helper()
	r := &reader{values: map[string]Entry{}, last: map[string]uint64{}, syncing: true}
	if len(pace) > 0 {
		r.pace = pace[0]
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Watch(ctx, pattern, r.add) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("watch %s: %v", pattern, err)
			}
		case <-time.After(patience):
			t.Errorf("watch %s does not end", pattern)
		}
		for _, b := range r.bad {
			t.Error(b)
		}
	})
	return r
}

func (r *reader) waitSynced(t testing.TB) {
	t.Helper()
	eventually(t, "the current values", func() bool { n, _ := r.counts(); return n > 0 })
}

func TestBucketWatchTellsEachChange(t *testing.T) {
	b, ctx := bucket(t), within(t, patience)
	put := func(key, value string) { must(b.Put(ctx, key, []byte(value))) }
	put("a.1", "old")
	put("a.1", "now")
	put("a.gone", "x")
	if err := b.Delete(ctx, "a.gone"); err != nil {
		t.Fatal(err)
	}
	put("b", "other")
	some, all, one := follow(t, b, "a.*"), follow(t, b, ">"), follow(t, b, "a.1")
	for _, r := range []*reader{some, all, one} {
		r.waitSynced(t)
	}
	for i := range 20 {
		put("a.1", fmt.Sprint(i))
		must(b.GetLinearizable(ctx, "a.1")) // is not told
		if err := b.Delete(ctx, "a.1"); err != nil {
			t.Fatal(err)
		}
	}
	put("a.2", "end")
	must(b.Apply(ctx, []Change{{Key: "a.3", Value: []byte("batch")}, {Key: "a.2", Op: OpDelete}}))
	want := []string{"put a.1 now", "synced"}
	for i := range 20 {
		want = append(want, fmt.Sprint("put a.1 ", i), "delete a.1")
	}
	end := []string{"put a.2 end", "put a.3 batch", "delete a.2"}
	for r, want := range map[*reader][]string{
		some: append(slices.Clone(want), end...), one: want,
		all: append(slices.Insert(slices.Clone(want), 1, "put b other"), end...),
	} {
		eventually(t, "all changes", func() bool { return len(r.words()) >= len(want) })
		if got := r.words(); !slices.Equal(got, want) {
			t.Errorf("told %q\nwant %q", got, want)
		}
	}
}

// TestBucketWatchSlowReader: a reader that is far behind gets a resync with what
// is there then, and memory stays bounded.
func TestBucketWatchSlowReader(t *testing.T) {
	b, ctx := bucket(t), within(t, patience)
	gate := make(chan struct{})
	slow := follow(t, b, "k.*", func(e Entry) {
		if e.Op == OpPut {
			<-gate
		}
	})
	slow.waitSynced(t)
	fast := follow(t, b, "k.*")
	fast.waitSynced(t)
	must(b.Put(ctx, "k.first", []byte("stops the slow one")))
	var all []Change
	for i := range 400 {
		all = append(all, Change{Key: fmt.Sprint("k.", i), Value: []byte("v")})
	}
	for range 6 {
		must(b.Apply(ctx, all))
	}
	eventually(t, "all changes at the fast reader", func() bool { return len(fast.words()) == 2+6*400 })
	close(gate)
	eventually(t, "a resync of the slow reader", func() bool { _, n := slow.counts(); return n == 1 })
	eventually(t, "its values", func() bool { n, _ := slow.counts(); return n == 2 })
	if n := len(slow.words()); n != 1+1+1+401+1 {
		t.Errorf("the slow reader was told %d entries", n)
	}
	if _, n := fast.counts(); n != 0 {
		t.Error("the fast reader had to resync")
	}
	must(b.Put(ctx, "k.last", []byte("1")))
	eventually(t, "live changes again", func() bool { return slow.value("k.last") == "1" })
}

// TestBucketWatchLinkBreaks: what changed while the link was down comes as a
// resync, deletes included; if nothing changed there is none.
func TestBucketWatchLinkBreaks(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.ClientURL())
	c := dial(t, Config{URLs: []string{p.url()}})
	far, b, ctx := openBucket(t, c), openBucket(t, dialServer(t, s)), within(t, patience)
	must(b.Put(ctx, "k", []byte("1")))
	must(b.Put(ctx, "gone", []byte("1")))
	r := follow(t, far, ">")
	r.waitSynced(t)
	breakLink := func(do func()) {
		p.cut()
		eventually(t, "the loss of the connection", func() bool { return !c.Connected() })
		do()
		p.heal()
		eventually(t, "the connection, with its subscriptions", func() bool {
			return c.Connected() && c.NATS().FlushWithContext(within(t, time.Second)) == nil
		})
	}
	breakLink(func() {})
	must(b.Put(ctx, "k", []byte("2")))
	eventually(t, "a change after the break", func() bool { return r.value("k") == "2" })
	if _, n := r.counts(); n != 0 {
		t.Error("a resync, though nothing was missed")
	}
	breakLink(func() {
		must(b.Put(ctx, "k", []byte("3")))
		if err := b.Delete(ctx, "gone"); err != nil {
			t.Fatal(err)
		}
	})
	eventually(t, "what is there now", func() bool { return r.value("k") == "3" && r.value("gone") == "" })
	if _, n := r.counts(); n == 0 {
		t.Error("changes were missed without a resync")
	}
}

// TestBucketWatchFindsLosses loses messages on the live path at random. Whatever
// is lost, the reader ends up with what is stored, and each loss that left a
// revision out has been told: that is what reader checks by the counters that
// are the values here.
func TestBucketWatchFindsLosses(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server.Server, c *Conn) {
		b := openBucket(t, c)
		var mu sync.Mutex
		next, skipped := map[string]string{}, 0
		r := follow(t, b, "k.*", func(e Entry) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case e.Op == OpResync:
				clear(next)
			case e.Op == OpPut && next[e.Key] != "" && next[e.Key] != string(e.Value):
				skipped++
				t.Errorf("%s is %s, want %s", e.Key, e.Value, next[e.Key])
			}
			if e.Op == OpPut {
				var n int
				_, _ = fmt.Sscan(string(e.Value), &n)
				next[e.Key] = fmt.Sprint(n + 1)
			}
		})
		r.waitSynced(t)
		rng := rand.New(rand.NewPCG(1, 2))
		count := map[string]int{}
		put := func() {
			key := fmt.Sprint("k.", rng.IntN(5))
			count[key]++
			must(b.Put(within(t, patience), key, fmt.Append(nil, count[key])))
		}
		for range 60 {
			for range rng.IntN(5) {
				put()
			}
			deafen(t, c, b.r, "k.*", put)
			for range rng.IntN(3) {
				put()
			}
			start := time.Now()
			eventually(t, "what is stored", func() bool {
				for key, n := range count {
					if r.value(key) != fmt.Sprint(n) {
						return false
					}
				}
				return true
			})
			if took := time.Since(start); took > 23*time.Second {
				t.Fatalf("found after %v", took)
			}
		}
		if _, n := r.counts(); n < 20 {
			t.Errorf("%d resyncs after 60 losses", n)
		}
	})
}

// TestBucketEntries: the channel ends with its context and with the connection,
// also while nobody reads it.
func TestBucketEntries(t *testing.T) {
	s := startServer(t)
	c := dialServer(t, s)
	b := openBucket(t, c)
	must(b.Put(within(t, patience), "k", []byte("1")))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	first := must(b.Entries(ctx, "k"))
	unread := must(b.Entries(context.Background(), ">"))
	if e := <-first; string(e.Value) != "1" {
		t.Errorf("the first entry is %+v", e)
	} else {
		e.Value[0] = 'x' // belongs to the reader
	}
	if e := <-first; e.Op != OpSynced {
		t.Errorf("then %+v", e)
	}
	again := must(b.Entries(ctx, "k"))
	if e := <-again; string(e.Value) != "1" {
		t.Errorf("another reader got %+v", e)
	}
	cancel()
	drain := func(all ...<-chan Entry) {
		for _, c := range all {
			for range c { // until it is closed
			}
		}
	}
	drain(first, again)
	closeConn(t, c)
	drain(unread)
}

// FuzzBucketEntry feeds what a stream could hold, and what anybody could publish
// on the live path, to the decoders.
func FuzzBucketEntry(f *testing.F) {
	for _, seed := range []struct{ subject, head, data string }{
		{"$KV.gc_1_p_a.k", "NATS/1.0\r\nKV-Operation: DEL\r\n\r\n", ""}, {"$KV.gc_1_p_a.k", "NATS/1.0\r\n\r\n", `{"epoch":3}`},
		{"$KV.gc_1_p_a.a..b", "", "v"}, {"other", "garbage", `{"epoch":-1}`}, {"$KV.gc_1_p_a.k", "NATS/1.0 100\r\nNats-Marker-Reason: MaxAge\r\n\r\n", "{"},
	} {
		f.Add(seed.subject, []byte(seed.head), []byte(seed.data))
	}
	f.Add("gc.p.a.a.wkv.k", []byte("NATS/1.0\r\nNats-Stream: KV_gc_1_p_a\r\nNats-Subject: $KV.gc_1_p_a.k\r\nNats-Sequence: 9\r\nNats-Last-Sequence: 3\r\n\r\n"), []byte("v"))
	b := &Bucket{r: &Records{cfg: RecordsConfig{Stream: "KV_gc_1_p_a", Subject: "$KV.gc_1_p_a", Republish: "gc.p.a.a.wkv"}, kind: kind{checkKey: checkBucketKey}}}
	w := &watcher{r: b.r}
	f.Fuzz(func(t *testing.T, subject string, head, data []byte) {
		rec, ok := b.r.record(stored{Subject: subject, Seq: 7, Data: data, Head: head})
		if ok && (checkBucketKey(rec.Key) != nil || b.subject(rec.Key) != subject) {
			t.Errorf("%q became key %q", subject, rec.Key)
		}
		if e := rec.entry(); (e.Op == OpDelete) != (e.Value == nil) && len(data) > 0 {
			t.Errorf("entry %+v", e)
		}
		if epoch, err := highestEpoch(stored{Subject: subject, Seq: 7, Data: data}); err == nil && epoch == 0 {
			t.Errorf("%q is an epoch of 0", data)
		}
		h, err := nats.DecodeHeadersMsg(head)
		if err != nil {
			return
		}
		if rec, before, ok := w.parse(&nats.Msg{Subject: subject, Header: h, Data: data}); ok && (checkBucketKey(rec.Key) != nil || rec.Seq <= before) {
			t.Errorf("live message became %+v after %d", rec, before)
		}
	})
}

package bus

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

func openFeed(t testing.TB, c *Conn) *Feed {
	t.Helper()
	app := must(names(t, "p").App("web"))
	return must(OpenFeed(within(t, patience), c, app.Feed()))
}

// all reads the feed to its end.
func all(t testing.TB, f *Feed, from uint64) (out []FeedMessage) {
	t.Helper()
	_, last, _, err := f.Bounds(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	if last < from {
		return nil
	}
	ctx, cancel := context.WithCancel(within(t, patience))
	defer cancel()
	err = f.Follow(ctx, from, func(m FeedMessage) {
		if ctx.Err() != nil {
			return
		}
		if out = append(out, m); m.Seq >= last {
			cancel()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestFeed: what is appended is read in order; a change of many messages is
// there whole or not at all.
func TestFeed(t *testing.T) {
	c := dialServer(t, startServer(t))
	ctx := within(t, patience)
	f := openFeed(t, c)
	if h := must(f.Head(ctx)); h.Epoch != 0 || h.LastSeq != 0 || h.Last != nil {
		t.Errorf("an empty feed ends at %+v", h)
	}
	h := must(f.Raise(ctx, 5))
	if again := must(f.Raise(ctx, 5)); again.EpochSeq != h.EpochSeq || h.EpochSeq != 1 {
		t.Errorf("raised twice: %+v %+v", h, again)
	}
	seq := must(f.Append(ctx, h.EpochSeq, [][]byte{[]byte("one")}))
	seq = must(f.Append(ctx, seq, [][]byte{[]byte("a"), bytes.Repeat([]byte("b"), MaxFeedMessage), []byte("c")}))
	if h = must(f.Head(ctx)); h.Epoch != 5 || string(h.Last) != "c" || h.LastSeq != seq || seq != 5 {
		t.Errorf("%d %+v", seq, h.LastSeq)
	}
	for _, after := range []uint64{0, 1, seq - 1, seq + 1} {
		_, err := f.Append(ctx, after, [][]byte{[]byte("x"), []byte("y")})
		expect(t, err, ErrConflict)
		_, err = f.Append(ctx, after, [][]byte{[]byte("x")})
		expect(t, err, ErrConflict)
	}
	for _, bad := range [][][]byte{nil, {make([]byte, MaxFeedMessage+1)}, make([][]byte, MaxFeedMessages+1)} {
		_, err := f.Append(ctx, seq, bad)
		expect(t, err, ErrRefused, pluginapi.ErrTooLarge)
	}
	var read []string
	for i, m := range all(t, f, 1) {
		read = append(read, fmt.Sprintf("%d %d %.1s", m.Seq, m.Epoch, m.Data))
		if i > 0 && m.Epoch != 0 {
			t.Errorf("%d raises %d", m.Seq, m.Epoch)
		}
	}
	if want := []string{"1 5 {", "2 0 o", "3 0 a", "4 0 b", "5 0 c"}; !slices.Equal(read, want) {
		t.Errorf("read %q, want %q", read, want)
	}
	if err := f.Trim(ctx, 5); err != nil {
		t.Fatal(err)
	}
	if left := all(t, f, 1); len(left) != 2 || left[0].Epoch != 5 || string(left[1].Data) != "c" {
		t.Errorf("after the trim: %+v", left)
	}
	must(f.Append(ctx, seq, [][]byte{[]byte("goes on")}))
}

// TestFeedFence: writers of rising epochs append at the same time; of an older
// one nothing is stored behind the raise of a newer one, whatever it tries.
func TestFeedFence(t *testing.T) {
	servers, join := startCluster(t, 2)
	servers = append(servers, join())
	const writers, each = 6, 15
	var all3 []*Feed
	for _, s := range servers {
		all3 = append(all3, openFeed(t, dialServer(t, s)))
	}
	ctx := within(t, 2*patience)
	stored := make([]map[string]uint64, writers)
	next := make([]chan struct{}, writers+1) // closed when the writer may begin
	for w := range next {
		next[w] = make(chan struct{})
	}
	close(next[0])
	var wg sync.WaitGroup
	for w := range writers {
		stored[w] = map[string]uint64{}
		wg.Go(func() {
			<-next[w]
			writeUntilFenced(t, ctx, all3[w%3], pluginapi.Epoch(w+1), w < writers-1, func(n int) {
				if n == each {
					close(next[w+1])
				}
			}, stored[w])
		})
	}
	wg.Wait()
	high, found := pluginapi.Epoch(0), map[string]uint64{}
	for _, m := range all(t, all3[0], 1) {
		if m.Epoch != 0 {
			if m.Epoch <= high {
				t.Errorf("epoch %d raised behind %d", m.Epoch, high)
			}
			high = m.Epoch
			continue
		}
		var epoch, n int
		if _, err := fmt.Sscanf(string(m.Data), "%d %d", &epoch, &n); err != nil || pluginapi.Epoch(epoch) != high {
			t.Errorf("%q at %d, behind epoch %d", m.Data, m.Seq, high)
		}
		if _, twice := found[string(m.Data)]; twice {
			t.Errorf("%q is there twice", m.Data)
		}
		found[string(m.Data)] = m.Seq
	}
	for w, mine := range stored {
		for what, seq := range mine {
			if found[what] != seq {
				t.Errorf("writer %d was told %q at %d, it is at %d", w+1, what, seq, found[what])
			}
		}
	}
	if high != writers || len(found) < writers*each {
		t.Errorf("the last epoch is %d, %d messages", high, len(found))
	}
}

// writeUntilFenced appends as a primary does, until a newer epoch is there, or
// one of the last appends that it tries then fails. The last writer ends by
// itself.
func writeUntilFenced(t *testing.T, ctx context.Context, f *Feed, epoch pluginapi.Epoch, replaced bool, done func(n int), stored map[string]uint64) {
	h, err := f.Raise(ctx, epoch)
	if err != nil {
		t.Error(err)
		return
	}
	at := max(h.EpochSeq, h.LastSeq)
	for i := 0; (replaced || i < 15) && ctx.Err() == nil; {
		what := fmt.Sprintf("%d %d", epoch, i)
		seq, err := f.Append(ctx, at, [][]byte{[]byte(what)})
		if err == nil {
			stored[what], at = seq, seq
			i++
			done(i)
			continue
		}
		now, err := f.Head(ctx)
		switch {
		case err != nil:
		case now.Epoch > epoch:
			for range 3 {
				_, err := f.Append(ctx, at, [][]byte{[]byte(what), []byte(what)})
				expect(t, err, ErrConflict)
			}
			return
		case string(now.Last) == what:
			at = now.LastSeq
			i++
			done(i)
		}
	}
}

// TestFeedSettings: an existing stream whose settings would break the fence or
// drop changes is refused, with their names.
func TestFeedSettings(t *testing.T) {
	c := dialServer(t, startServer(t))
	ctx := within(t, patience)
	app := must(names(t, "p").App("web"))
	cfg := app.Feed().config()
	cfg.Discard, cfg.MaxAge, cfg.AllowAtomicPublish = jetstream.DiscardOld, patience, false
	must(c.js.CreateStream(ctx, cfg))
	_, err := OpenFeed(ctx, c, app.Feed())
	expect(t, err, pluginapi.ErrInvalid, "discard must be new", "max_age must be unlimited", "allow_atomic must be on")
}

// TestKeepOff: the feed's leader goes off a server, once, and what is appended
// meanwhile is there.
func TestKeepOff(t *testing.T) {
	servers, join := startCluster(t, 2)
	servers = append(servers, join())
	ctx := within(t, 2*patience)
	f := must(OpenFeed(ctx, dialServer(t, servers[0]), must(names(t, "p").App("web")).Feed()))
	h := must(f.Raise(ctx, 1))
	if _, err := f.Append(ctx, h.EpochSeq, [][]byte{[]byte("one")}); err != nil {
		t.Fatal(err)
	}
	leader := func() string { l, _ := f.s.leadership(ctx); return l.Leader }
	old := leader()
	eventually(t, "it has moved", func() bool {
		moved, err := f.KeepOff(ctx, old)
		return moved && err == nil // before that no other copy may be current
	})
	eventually(t, "another server leads it", func() bool { l := leader(); return l != "" && l != old })
	now := leader()
	if moved, err := f.KeepOff(ctx, old); moved || err != nil || leader() != now {
		t.Errorf("moved again: %t %v, from %s to %s", moved, err, now, leader())
	}
	if h := must(f.Head(ctx)); string(h.Last) != "one" {
		t.Errorf("%+v", h)
	}
}

package replication_test

import (
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/replication"
	"github.com/ozanturksever/go-cluster/replication/page"
	"github.com/ozanturksever/go-cluster/replication/segment"
	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// liar hands on the messages of a feed as a bad network or a bad disk might:
// twice, in another order, not at all, or with one bit that is another.
type liar struct {
	*feed
	mu    sync.Mutex
	r     *rand.Rand
	lies  int // left
	kinds map[string]int
}

func (l *liar) Follow(ctx context.Context, seq uint64, fn func(replication.Message)) error {
	var late *replication.Message
	return l.feed.Follow(ctx, seq, func(m replication.Message) {
		for _, m := range l.lie(m, &late) {
			fn(m)
		}
	})
}

func (l *liar) lie(m replication.Message, late *(*replication.Message)) (out []replication.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out = []replication.Message{m}
	kind := ""
	if l.lies > 0 && m.Epoch == 0 && l.r.IntN(3) == 0 {
		l.lies--
		kind = []string{"twice", "later", "lost", "bit", "bit", "cut"}[l.r.IntN(6)]
		l.kinds[kind]++
		m.Data = slices.Clone(m.Data)
	}
	switch kind {
	case "twice":
		out = append(out, m)
	case "later":
		if *late == nil {
			*late = &m
			return nil
		}
	case "lost":
		return nil
	case "bit":
		m.Data[l.r.IntN(len(m.Data))] ^= 1 << l.r.IntN(8)
		out[0] = m
	case "cut":
		m.Data = m.Data[:l.r.IntN(len(m.Data))]
		out[0] = m
	}
	if *late != nil {
		out = append(out, **late)
		*late = nil
	}
	return out
}

func (l *liar) left() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lies
}

// long says whether the long forms of tests are wanted.
func long() bool { return os.Getenv("CHAOS") == "long" }

// sums are the checksums of the states that the feed leads through.
func (f *feed) sums(t *testing.T) map[page.Sum]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	sums := map[page.Sum]bool{}
	for _, m := range f.all {
		if m.Epoch != 0 {
			continue
		}
		s, err := segment.Decode(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		sums[s.Post] = true
	}
	return sums
}

// TestLies: whatever comes through the feed twice, in another order, not at all
// or damaged, the copy is in one of the states of the original at any time, and
// in its last one at the end.
func TestLies(t *testing.T) {
	rounds := 8
	if long() {
		rounds = 200
	}
	kinds := map[string]int{}
	for seed := range uint64(rounds) {
		p := newPlatform(t, 51+seed, 0)
		db := p.create(1)
		pr := p.primary(1, 1, nil)
		for n := range 40 {
			p.exec(db, "INSERT INTO t VALUES(?, randomblob(1500))", n)
			if n%3 == 2 { // else several become one change
				p.sync(pr)
			}
			if n == 20 {
				if _, err := p.leaderSnapshot(p.within(), pr, "s", nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		p.sync(pr)
		l := &liar{feed: p.feed, r: rand.New(rand.NewPCG(seed, 9)), lies: 6, kinds: kinds}
		s, err := replication.OpenStandby(p.within(), replication.StandbyConfig{Path: p.path(2), Feed: l, Chunks: store{p.shelf}, Shelf: p.shelf, Logger: p.log})
		if err != nil {
			t.Fatal(err)
		}
		r := p.run(s.Run)
		valid := p.feed.sums(t)
		for n, end := 100, p.within(); ; n++ { // a lie is found by the next change
			p.exec(db, "INSERT INTO t VALUES(?, 'x')", n)
			p.sync(pr)
			ctx, cancel := context.WithTimeout(end, time.Second)
			err := s.Reach(ctx, p.feed.last())
			cancel()
			at, _, _ := s.Position()
			if at.Sum != 0 && !valid[at.Sum] && !p.feed.sums(t)[at.Sum] {
				t.Fatalf("seed %d: the copy is in a state that never was: %+v", seed, at)
			}
			if err == nil && l.left() == 0 && at == pr.Stats().Durable {
				break
			}
			if end.Err() != nil {
				t.Fatalf("seed %d: %v, at %+v, %+v", seed, err, at, s.Stats())
			}
		}
		_ = r.stop()
		table := s.Close()
		if at, _, _ := s.Position(); table.Sum() != at.Sum || at != pr.Stats().Durable {
			t.Errorf("seed %d: the copy is %016x, at %+v, the feed at %+v", seed, uint64(table.Sum()), at, pr.Stats().Durable)
		}
		again, err := sqlite.OpenApplier(t.Context(), p.path(2), sqlite.ApplierOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if again.Table().Sum() != table.Sum() {
			t.Errorf("seed %d: the file has the sum %016x, not %016x", seed, uint64(again.Table().Sum()), uint64(table.Sum()))
		}
		again.Close()
		if rows := p.rows(2); len(rows) < 41 {
			t.Errorf("seed %d: %d rows", seed, len(rows))
		}
		_ = pr.stop()
		db.Close()
	}
	if len(kinds) < 5 {
		t.Errorf("%v", kinds)
	}
	t.Logf("%v", kinds)
}

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
)

// crowd returns nodes that have joined and know each other.
func crowd(t testing.TB, platform, url string, size int, opts ...cluster.PlatformOption) (nodes []*node) {
	t.Helper()
	var ids []string
	for i := range size {
		n := newNode(t, platform, fmt.Sprintf("n%d", i+1), url, opts...)
		n.app(cluster.NewApp("web", cluster.Spread()))
		nodes, ids = append(nodes, n.start()), append(ids, n.NodeID())
	}
	for _, n := range nodes {
		n.knows(ids...)
	}
	return nodes
}

// guarded is something that one holder of a lock may use at a time: it counts
// who is in, and wants tokens that rise.
type guarded struct {
	mu      sync.Mutex
	in, out int
	most    int
	last    cluster.Epoch
	faults  []string
}

func (g *guarded) enter(token cluster.Epoch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.in++
	g.most = max(g.most, g.in-g.out)
	if token <= g.last {
		g.faults = append(g.faults, fmt.Sprintf("token %d after %d", token, g.last))
	}
	g.last = token
}

func (g *guarded) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.out++
}

// TestLockExcludes: three nodes with several goroutines each, and more than one
// Lock value on each node: one holder at a time, tokens that rise.
func TestLockExcludes(t *testing.T) {
	t.Parallel()
	nodes := crowd(t, "excl", startNATS(t).ClientURL(), 3)
	var g guarded
	var wg sync.WaitGroup
	const each = 10
	for _, n := range nodes {
		shared := n.apps["web"].Lock("one")
		for i := range 4 {
			l := shared
			if i > 1 {
				l = n.apps["web"].Lock("one")
			}
			wg.Go(func() {
				for range each {
					if err := l.Lock(within(t, patience)); err != nil {
						t.Error(err)
						return
					}
					g.enter(l.Token())
					if l.Context().Err() != nil {
						t.Error("the context of a held lock has ended")
					}
					g.leave()
					if err := l.Unlock(within(t, patience)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	if g.most != 1 || g.in != each*4*3 || len(g.faults) > 0 {
		t.Errorf("%d at once, %d holds, %q", g.most, g.in, g.faults)
	}
	if h := nodes[0].apps["web"].Lock("one").Holder(); h != "" {
		t.Errorf("in the end %q holds it", h)
	}
}

// TestLockOrder: who waits comes in in the order of asking, whatever node it is
// on; who gives up leaves no gap.
func TestLockOrder(t *testing.T) {
	t.Parallel()
	nodes := crowd(t, "order", startNATS(t).ClientURL(), 3)
	first := nodes[0].Lock("q")
	must(t, first.Lock(within(t, patience)))
	var j journal
	var wg sync.WaitGroup
	giveUp, cancel := context.WithCancel(t.Context())
	var want []string
	for i := range 9 {
		n := nodes[i%3]
		l, name := n.Lock("q"), fmt.Sprint(i)
		ctx := within(t, patience)
		if i%4 == 1 {
			ctx = giveUp
		} else {
			want = append(want, name)
		}
		wg.Go(func() {
			if err := l.Lock(ctx); err != nil {
				if ctx != giveUp || !errors.Is(err, context.Canceled) {
					t.Error(name, err)
				}
				return
			}
			j.add(name, "in", l.Token())
			if err := l.Unlock(within(t, patience)); err != nil {
				t.Error(err)
			}
		})
		eventually(t, name+" is in the queue", func() bool { return queued(t, n, "platform.q") == i+1 })
	}
	cancel()
	eventually(t, "those who gave up are out", func() bool { return queued(t, nodes[0], "platform.q") == len(want) })
	must(t, first.Unlock(within(t, patience)))
	wg.Wait()
	var got []string
	for _, d := range j.all() {
		got = append(got, d.node)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("order %v, want %v", got, want)
	}
}

// queued returns how many wait, by the record.
func queued(t testing.TB, n *node, key string) int {
	t.Helper()
	s, err := n.JetStream().Stream(within(t, patience), "gc_locks_"+n.Name())
	must(t, err)
	m, err := s.GetLastMsgForSubject(within(t, patience), "gc."+n.Name()+".l."+key)
	must(t, err)
	_, queue, _ := strings.Cut(string(m.Data), `"queue"`)
	return strings.Count(queue, `"ticket"`)
}

// TestTryLock: it never waits for a holder, takes what is free, and says no on the
// object that is used already.
func TestTryLock(t *testing.T) {
	t.Parallel()
	nodes := crowd(t, "try", startNATS(t).ClientURL(), 2)
	a, b := nodes[0].Lock("x"), nodes[1].Lock("x")
	for round := range 3 {
		if !a.TryLock(within(t, patience)) || a.Holder() != "n1" || b.Holder() != "n1" {
			t.Fatalf("round %d: free, not taken; holder %q %q", round, a.Holder(), b.Holder())
		}
		if b.TryLock(within(t, patience)) || a.TryLock(within(t, patience)) || b.Token() != 0 {
			t.Fatal("taken, and taken again")
		}
		wantErr(t, b.Unlock(within(t, patience)), cluster.ErrLockNotHeld)
		if a.Token() == 0 || a.Context().Err() != nil {
			t.Fatal("Unlock of another has touched the hold")
		}
		ctx := a.Context()
		must(t, a.Unlock(within(t, patience)))
		if ctx.Err() == nil || !errors.Is(context.Cause(ctx), cluster.ErrLockNotHeld) || a.Token() != 0 || a.Context().Err() == nil {
			t.Fatal("the hold goes on after Unlock")
		}
		wantErr(t, a.Unlock(within(t, patience)), cluster.ErrLockNotHeld)
		if !b.TryLock(within(t, patience)) {
			t.Fatal("free, not taken")
		}
		must(t, b.Unlock(within(t, patience)))
	}
}

// TestMixedLockTimes: a holder keeps its lock as long as its own session lives,
// whatever lease time the node has that wants it too, and whichever of the two is
// the shorter (defect 37).
func TestMixedLockTimes(t *testing.T) {
	t.Parallel()
	url := startNATS(t).ClientURL()
	long := newNode(t, "mixed", "n1", url, cluster.WithLeaseTTL(12*time.Second)).start()
	short := newNode(t, "mixed", "n2", url, cluster.WithLeaseTTL(time.Second)).start()
	for _, pair := range [][2]*node{{long, short}, {short, long}} {
		held, wanted := pair[0].Lock("x"), pair[1].Lock("x")
		must(t, held.Lock(within(t, patience)))
		token := held.Token()
		wantErr(t, wanted.Lock(within(t, 2500*time.Millisecond)), cluster.ErrTimeout)
		wantErr(t, wanted.Unlock(within(t, patience)), cluster.ErrLockNotHeld)
		if held.Token() != token || held.Context().Err() != nil || wanted.Holder() != pair[0].NodeID() {
			t.Errorf("%s has lost its lock to the lease time of another node", pair[0].NodeID())
		}
		must(t, held.Unlock(within(t, patience)))
		if !wanted.TryLock(within(t, patience)) || wanted.Token() <= token {
			t.Error("free, and not taken with a higher token")
		}
		must(t, wanted.Unlock(within(t, patience)))
	}
}

// TestSemaphore: as many as the limit says, no more, and each with a token of its
// own; another limit is refused with both.
func TestSemaphore(t *testing.T) {
	t.Parallel()
	nodes := crowd(t, "sem", startNATS(t).ClientURL(), 3)
	var mu sync.Mutex
	in, most, tokens := 0, 0, map[cluster.Epoch]bool{}
	var wg sync.WaitGroup
	for i := range 9 {
		l := nodes[i%3].apps["web"].Semaphore("s", 2)
		wg.Go(func() {
			for range 5 {
				if err := l.Lock(within(t, patience)); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				in++
				most = max(most, in)
				if tokens[l.Token()] {
					t.Errorf("token %d comes twice", l.Token())
				}
				tokens[l.Token()] = true
				mu.Unlock()
				<-time.After(2 * time.Millisecond) // a little work, so that two meet
				mu.Lock()
				in--
				mu.Unlock()
				if err := l.Unlock(within(t, patience)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if most != 2 || len(tokens) != 45 {
		t.Errorf("%d at once, %d tokens", most, len(tokens))
	}
	held := nodes[0].apps["web"].Semaphore("s", 2)
	must(t, held.Lock(within(t, patience)))
	wantErr(t, nodes[1].apps["web"].Semaphore("s", 3).Lock(within(t, patience)), cluster.ErrInvalid, "semaphore of 2", "semaphore of 3")
	wantErr(t, nodes[0].apps["web"].Lock("s").Lock(within(t, patience)), cluster.ErrInvalid, "semaphore of 2", "exclusive")
	must(t, held.Unlock(within(t, patience)))
	other := nodes[1].apps["web"].Semaphore("s", 3)
	must(t, other.Lock(within(t, patience)))
}

// TestReadWriteLock: readers share it, a writer is alone, and readers that come
// after a waiting writer wait for it.
func TestReadWriteLock(t *testing.T) {
	t.Parallel()
	nodes := crowd(t, "rw", startNATS(t).ClientURL(), 3)
	r1, r2, w, late := nodes[0].ReadLock("x"), nodes[1].ReadLock("x"), nodes[2].WriteLock("x"), nodes[0].ReadLock("x")
	must(t, r1.Lock(within(t, patience)))
	must(t, r2.Lock(within(t, patience)))
	var j journal
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.Lock(within(t, patience)); err != nil {
			t.Error(err)
		}
		j.add("w", "in", w.Token())
		if err := w.Unlock(within(t, patience)); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the writer waits", func() bool { return queued(t, nodes[0], "platform.x") == 1 })
	if late.TryLock(within(t, patience)) {
		t.Error("a reader overtakes a writer")
	}
	wg.Go(func() {
		if err := late.Lock(within(t, patience)); err != nil {
			t.Error(err)
		}
		j.add("r", "in", late.Token())
	})
	eventually(t, "both wait", func() bool { return queued(t, nodes[0], "platform.x") == 2 })
	must(t, r1.Unlock(within(t, patience)))
	must(t, r2.Unlock(within(t, patience)))
	wg.Wait()
	if got := fmt.Sprint(j.all()); len(j.all()) != 2 || j.all()[0].node != "w" {
		t.Error(got)
	}
	if !nodes[1].ReadLock("x").TryLock(within(t, patience)) || nodes[1].WriteLock("x").TryLock(within(t, patience)) {
		t.Error("a held read lock must let readers in and writers out")
	}
}

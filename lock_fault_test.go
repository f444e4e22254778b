package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	cluster "github.com/ozanturksever/go-cluster"
)

// TestLockOfLostNode: the holder is cut off. Its context ends before its lease
// does, its token is gone by the end of the lease, and the one that waits has the
// lock within the lease + 300 ms and what a busy machine adds. When the link is
// back, Unlock says that the lock was lost, and does not touch the new hold.
func TestLockOfLostNode(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	for name, fault := range map[string]struct{ begin, end func(*proxy) }{
		"every packet is dropped": {(*proxy).hold, (*proxy).release},
		"connection refused":      {(*proxy).cut, (*proxy).heal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startNATS(t)
			link := startProxy(t, s)
			lost := newNode(t, "lost", "n1", link.url(), cluster.WithLeaseTTL(ttl)).start()
			well := newNode(t, "lost", "n2", s.ClientURL(), cluster.WithLeaseTTL(ttl)).start()
			well.knows("n1", "n2")
			a, b := lost.Lock("x"), well.Lock("x")
			must(t, a.Lock(within(t, patience)))
			token := a.Token()
			got := make(chan error, 1)
			go func() { got <- b.Lock(within(t, patience)) }()
			eventually(t, "it waits", func() bool { return queued(t, well, "platform.x") == 1 })
			cut := time.Now()
			fault.begin(link)
			select {
			case <-a.Context().Done():
			case <-time.After(patience):
				t.Fatal("the context of the one that is cut off does not end")
			}
			if ended := time.Since(cut); ended > ttl || a.Token() == 0 {
				t.Errorf("the context ended after %v, then the token is %d: it must end while the lock is still held", ended, a.Token())
			}
			wantErr(t, context.Cause(a.Context()), cluster.ErrLockNotHeld, "about to end")
			must(t, <-got)
			if took := time.Since(cut); took > ttl+300*time.Millisecond+5*time.Second {
				t.Errorf("free after %v", took)
			} else {
				t.Logf("free %v after the cut, the lease is %v", took, ttl)
			}
			if a.Token() != 0 || b.Token() <= token {
				t.Errorf("tokens %d and %d, before %d", a.Token(), b.Token(), token)
			}
			fault.end(link)
			well.knows("n1", "n2")
			wantErr(t, a.Unlock(within(t, patience)), cluster.ErrLockNotHeld, "session")
			if b.Token() == 0 || b.Holder() != "n2" {
				t.Errorf("the new hold is gone: token %d, holder %q", b.Token(), b.Holder())
			}
			must(t, b.Unlock(within(t, patience)))
			must(t, a.Lock(within(t, patience))) // in its next life
		})
	}
}

// TestLockOfKilledNode: a node's session is given back, as its guard does when it
// is dead, and its holds and its places in the queue are free at once, long
// before the lease ends.
func TestLockOfKilledNode(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	link := startProxy(t, s)
	dead := newNode(t, "bench", "n1", link.url(), cluster.WithLeaseTTL(time.Minute)).start()
	well := newNode(t, "bench", "n2", s.ClientURL(), cluster.WithLeaseTTL(time.Minute)).start()
	well.knows("n1", "n2")
	must(t, dead.Lock("x").Lock(within(t, patience)))
	must(t, dead.Lock("y").Lock(within(t, patience)))
	inQueue := make(chan error, 1)
	go func() { inQueue <- dead.Lock("x").Lock(within(t, patience)) }()
	eventually(t, "the one that dies waits too", func() bool { return queued(t, well, "platform.x") == 1 })
	got := make(chan error, 1)
	x := well.Lock("x")
	go func() { got <- x.Lock(within(t, patience)) }()
	eventually(t, "both wait", func() bool { return queued(t, well, "platform.x") == 2 })
	link.cut() // it is dead for all others
	begun := time.Now()
	endSession(t, well, "n1")
	must(t, <-got)
	t.Logf("free %v after the session was given back", time.Since(begun))
	if !well.Lock("y").TryLock(within(t, patience)) {
		t.Error("a lock of a dead node that nobody waited for is not free")
	}
	link.heal()
	must(t, x.Unlock(within(t, patience)))
	must(t, <-inQueue) // the node was not dead: in its next life it waits on
}

// endSession gives the session of a node back.
func endSession(t testing.TB, by *node, dead string) {
	t.Helper()
	ctx := within(t, patience)
	s, err := by.JetStream().Stream(ctx, "gc_sessions_"+by.Name())
	must(t, err)
	eventually(t, "the session is given back", func() bool {
		m, err := s.GetLastMsgForSubject(ctx, "gc."+by.Name()+".s."+dead)
		must(t, err)
		var rec map[string]any
		must(t, json.Unmarshal(m.Data, &rec))
		rec["state"], rec["by"] = "released", "the test"
		body, err := json.Marshal(rec)
		must(t, err)
		msg := &nats.Msg{Subject: m.Subject, Data: body, Header: nats.Header{"Nats-Expected-Last-Subject-Sequence": {fmt.Sprint(m.Sequence)}}}
		_, err = by.JetStream().PublishMsg(ctx, msg)
		return err == nil
	})
	must(t, by.NATS().Publish("gc."+by.Name()+".hint.gone", []byte(dead)))
}

// TestGivenUpLock: a node that is cut off gives up while nobody can say whether
// its wish is in the queue. When it comes back within its lease, nothing of it is
// there, and the lock is free for others.
func TestGivenUpLock(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	link := startProxy(t, s)
	away := newNode(t, "ghost", "n1", link.url(), cluster.WithLeaseTTL(time.Minute)).start()
	well := newNode(t, "ghost", "n2", s.ClientURL(), cluster.WithLeaseTTL(time.Minute)).start()
	well.knows("n1", "n2")
	for round := range 5 {
		free, taken := well.Lock(fmt.Sprint("free", round)), well.Lock(fmt.Sprint("taken", round))
		must(t, taken.Lock(within(t, patience)))
		// n1 knows the one, so that its next word on it is a write.
		known := away.Lock(fmt.Sprint("free", round))
		must(t, known.Lock(within(t, patience)))
		must(t, known.Unlock(within(t, patience)))
		link.hold()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		var wg sync.WaitGroup
		for _, name := range []string{"free", "taken"} {
			wg.Go(func() {
				err := away.Lock(fmt.Sprint(name, round)).Lock(ctx)
				wantErr(t, err, cluster.ErrTimeout, context.DeadlineExceeded)
			})
		}
		wg.Wait()
		cancel()
		link.release() // what was held back arrives now
		must(t, taken.Unlock(within(t, patience)))
		must(t, free.Lock(within(t, patience)))
		must(t, taken.Lock(within(t, patience)))
		eventually(t, "nothing of it is left", func() bool {
			return queued(t, well, "platform."+fmt.Sprint("free", round))+queued(t, well, "platform."+fmt.Sprint("taken", round)) == 0
		})
		must(t, free.Unlock(within(t, patience)))
		must(t, taken.Unlock(within(t, patience)))
	}
}

// TestLateWish: a node's wish hangs in the network while its connection breaks and
// its caller gives up. When the node is back it makes sure that the wish can never
// come true; then it arrives.
func TestLateWish(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	link := startProxy(t, s)
	away := newNode(t, "late", "n1", link.url(), cluster.WithLeaseTTL(time.Minute)).start()
	well := newNode(t, "late", "n2", s.ClientURL(), cluster.WithLeaseTTL(time.Minute)).start()
	well.knows("n1", "n2")
	for round := range 2 {
		name := fmt.Sprint("x", round)
		l := away.Lock(name)
		must(t, l.Lock(within(t, patience))) // so that the next word on it is a write
		must(t, l.Unlock(within(t, patience)))
		before := lockSeq(t, well, name)
		link.hold()
		wantErr(t, l.Lock(within(t, 50*time.Millisecond)), cluster.ErrTimeout)
		arrive := sync.OnceFunc(link.keep())
		t.Cleanup(arrive)
		must(t, away.NATS().ForceReconnect())
		eventually(t, "the wish is made void", func() bool { return lockSeq(t, well, name) > before })
		arrive()
		must(t, well.Lock(name).Lock(within(t, patience)))
		eventually(t, "nothing is left of it", func() bool { return queued(t, well, "platform."+name) == 0 })
	}
}

// lockSeq is the sequence of a lock's record.
func lockSeq(t testing.TB, n *node, name string) uint64 {
	t.Helper()
	s, err := n.JetStream().Stream(within(t, patience), "gc_locks_"+n.Name())
	must(t, err)
	m, err := s.GetLastMsgForSubject(within(t, patience), "gc."+n.Name()+".l.platform."+name)
	must(t, err)
	return m.Sequence
}

// TestLockHistory: three nodes with a cluster of embedded servers take and give
// one lock while the leader of its stream is moved about and clients lose their
// connections. The order of all holds, as the store of the test saw their tokens,
// must be one after the other.
func TestLockHistory(t *testing.T) {
	t.Parallel()
	nodes := trio(t, "hist")
	for _, n := range nodes {
		n.begin()
	}
	for _, n := range nodes {
		n.knows("n1", "n2", "n3")
	}
	var g guarded
	stop := make(chan struct{})
	var wg sync.WaitGroup
	holds := map[string]int{}
	for i := range 6 {
		n := nodes[i%3]
		l := n.Lock("x")
		wg.Go(func() {
			for !isClosed(stop) {
				if err := l.Lock(within(t, patience)); err != nil {
					t.Errorf("lock: %v", err)
					return
				}
				if token := l.Token(); token != 0 { // else it was lost already
					g.enter(token)
					if rand.IntN(4) == 0 {
						<-time.After(time.Millisecond)
					}
					if l.Token() != token {
						t.Errorf("lost while every session lives")
					}
					g.leave()
				}
				if err := l.Unlock(within(t, patience)); err != nil {
					t.Errorf("unlock: %v", err)
				}
				g.mu.Lock()
				holds[n.NodeID()]++
				g.mu.Unlock()
			}
		})
	}
	for round := range 12 {
		n := nodes[round%3]
		if round%2 == 0 {
			_, err := n.NATS().RequestWithContext(within(t, patience), "$JS.API.STREAM.LEADER.STEPDOWN.gc_locks_hist", nil)
			if err != nil && !errors.Is(err, nats.ErrNoResponders) {
				t.Log(err)
			}
		} else {
			_ = n.NATS().ForceReconnect()
		}
		before := g.count()
		eventually(t, "it goes on", func() bool { return g.count() > before+20 })
	}
	close(stop)
	wg.Wait()
	if g.most != 1 || len(g.faults) > 0 {
		t.Errorf("%d at once; %q", g.most, g.faults)
	}
	t.Logf("holds: %v", holds)
}

func (g *guarded) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.out
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// TestLockMisuse: each way to call it wrongly has an error that says so, and
// nothing stays behind.
func TestLockMisuse(t *testing.T) {
	t.Parallel()
	ctx := within(t, patience)
	unregistered := cluster.NewApp("lost").Lock("x")
	wantErr(t, unregistered.Lock(ctx), cluster.ErrInvalid, "lost", "register")
	n := newNode(t, "misuse", "n1", startNATS(t).ClientURL())
	app := n.app(cluster.NewApp("web"))
	early := app.Lock("x")
	wantErr(t, early.Lock(ctx), cluster.ErrInvalid, "Run")
	wantErr(t, early.Unlock(ctx), cluster.ErrLockNotHeld)
	if early.TryLock(ctx) || early.Holder() != "" || early.Token() != 0 || early.Context().Err() == nil {
		t.Error("before Run it must be held by nobody")
	}
	n.start()
	for _, name := range []string{"", "a b", "a.b", "*", ">", strings.Repeat("x", 64), "ä"} {
		for _, l := range []*cluster.Lock{app.Lock(name), n.Lock(name), app.Semaphore(name, 2), n.ReadLock(name), n.WriteLock(name), app.ReadLock(name), app.WriteLock(name)} {
			wantErr(t, l.Lock(ctx), cluster.ErrInvalid, "lock name")
			if l.TryLock(ctx) || l.Holder() != "" {
				t.Errorf("%q is a lock", name)
			}
		}
	}
	for _, limit := range []int{-1, 0, 1000, 1 << 40} {
		wantErr(t, n.Semaphore("s", limit).Lock(ctx), cluster.ErrInvalid, fmt.Sprint(limit), "1 to 999")
	}
	//lint:ignore SA1012 the test is about it
	wantErr(t, early.Lock(nil), cluster.ErrInvalid, "context") //nolint:staticcheck
	over, cancel := context.WithCancel(ctx)
	cancel()
	wantErr(t, early.Lock(over), context.Canceled)
	must(t, early.Lock(ctx)) // made before Run, it works after
	wantErr(t, app.Lock("x").Lock(within(t, 30*time.Millisecond)), cluster.ErrTimeout, context.DeadlineExceeded)
	wantErr(t, early.Lock(within(t, 30*time.Millisecond)), cluster.ErrTimeout) // by itself, as a mutex
	wantErr(t, app.Lock("x").Unlock(ctx), cluster.ErrLockNotHeld)
	if p := n.Lock("x"); !p.TryLock(ctx) {
		t.Error("a lock of the platform is one of the app")
	}
	put(t, n, "gc.misuse.l.platform.bad", `{"epoch":1,"holders":[{"node":"n1","inc":1}]}`)
	wantErr(t, n.Lock("bad").Lock(ctx), "platform.bad", "out of range")
}

func put(t testing.TB, n *node, subject, value string) {
	t.Helper()
	_, err := n.JetStream().Publish(within(t, patience), subject, []byte(value))
	must(t, err)
}

// TestLockShutdown: contexts end when the shutdown begins, waiting calls and later
// ones get ErrShuttingDown, what was held is free at once for another node, and no
// goroutine stays behind.
func TestLockShutdown(t *testing.T) {
	s := startNATS(t)
	before := len(running())
	leaving := newNode(t, "bye", "n1", s.ClientURL(), cluster.WithLeaseTTL(time.Minute)).start()
	held := leaving.Lock("x")
	must(t, held.Lock(within(t, patience)))
	ctx := held.Context()
	errs := make(chan error, 10)
	for i := range 10 {
		l := leaving.Lock("x")
		if i > 4 {
			l = held
		}
		go func() { errs <- l.Lock(context.Background()) }()
	}
	eventually(t, "some wait", func() bool { return queued(t, leaving, "platform.x") == 5 })
	must(t, leaving.stop())
	for range 10 {
		wantErr(t, <-errs, cluster.ErrShuttingDown)
	}
	if !errors.Is(context.Cause(ctx), cluster.ErrShuttingDown) || held.Token() != 0 {
		t.Errorf("after the end: %v, token %d", context.Cause(ctx), held.Token())
	}
	wantErr(t, leaving.Lock("x").Lock(t.Context()), cluster.ErrShuttingDown)
	wantErr(t, held.Lock(t.Context()), cluster.ErrShuttingDown)
	goroutines(t, before)
	next := newNode(t, "bye", "n2", s.ClientURL(), cluster.WithLeaseTTL(time.Minute)).start()
	if !next.Lock("x").TryLock(within(t, patience)) {
		t.Error("not free after the holder has left")
	}
}

// TestLockEpochsSurvive: tokens go on rising when the store has lost its streams.
func TestLockEpochsSurvive(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	var tokens []cluster.Epoch
	for range 2 {
		n := newNode(t, "tokens", "n1", s.ClientURL()).start()
		for range 3 {
			l := n.Lock("x")
			must(t, l.Lock(within(t, patience)))
			tokens = append(tokens, l.Token())
			must(t, l.Unlock(within(t, patience)))
		}
		must(t, n.JetStream().DeleteStream(within(t, patience), "gc_locks_tokens"))
		must(t, n.stop())
	}
	if !slices.IsSorted(tokens) || len(slices.Compact(tokens)) != 6 {
		t.Errorf("tokens %v", tokens)
	}
}

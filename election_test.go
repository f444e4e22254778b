package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	cluster "github.com/ozanturksever/go-cluster"
)

// TestLeaderChan: each reader has a channel of its own, begins with the present
// state, gets the last one also if it is slow, and sees the end (defect 16).
func TestLeaderChan(t *testing.T) {
	t.Parallel()
	nodes := pair(t, "chans", startNATS(t).ClientURL(), func(n *node) { n.app(cluster.NewApp("web")) })
	leader := leaderOf(t, "web", nodes...)
	e := leader.election("web")
	type reader struct {
		mu   sync.Mutex
		got  []bool
		done bool
	}
	readers := make([]reader, 10)
	last := func(r *reader, want bool) func() bool {
		return func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(r.got) > 0 && r.got[len(r.got)-1] == want
		}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := range readers {
		ch, r := e.LeaderChan(), &readers[i]
		wg.Go(func() {
			for v := range ch {
				r.mu.Lock()
				r.got = append(r.got, v)
				r.mu.Unlock()
			}
			r.mu.Lock()
			r.done = true
			r.mu.Unlock()
		})
		eventually(t, "the present state is told first", last(r, true))
	}
	slow := e.LeaderChan() // not read until the end
	must(t, e.StepDown(within(t, patience)))
	for i := range readers {
		eventually(t, fmt.Sprintf("reader %d hears of the end", i), last(&readers[i], false))
	}
	if v := <-slow; v {
		t.Error("the slow reader got old news")
	}
	must(t, leader.stop())
	wg.Wait()
	for i := range readers {
		r := &readers[i]
		if n := len(r.got); !r.done || n != 2 {
			t.Errorf("reader %d got %v, closed: %v; want true, false and the end", i, r.got, r.done)
		}
	}
	if _, open := <-slow; open {
		t.Error("the channel stays open after Run")
	}
	late := e.LeaderChan()
	if v, open := <-late; v || !open {
		t.Errorf("a channel made after the end begins with %v, %v", v, open)
	}
	if _, open := <-late; open {
		t.Error("a channel made after the end stays open")
	}
	n := newNode(t, "chans", "n3", "nats://127.0.0.1:1")
	if n.app(cluster.NewApp("web")).Election().LeaderChan() != nil {
		t.Error("a channel before Run")
	}
}

// TestWaitForLeadership: many may wait, none of them takes anything away from
// the hooks (defect 16), and every way to end the wait has its error.
func TestWaitForLeadership(t *testing.T) {
	t.Parallel()
	var j journal
	n := newNode(t, "waiters", "n1", startNATS(t).ClientURL())
	e := n.app(j.app("n1", "web")).Election()
	wantErr(t, e.WaitForLeadership(within(t, 30*time.Millisecond)), cluster.ErrTimeout, "Run")
	wantErr(t, e.StepDown(t.Context()), cluster.ErrInvalid, "Run")
	unregistered := cluster.NewApp("lost").Election()
	wantErr(t, unregistered.WaitForLeadership(t.Context()), cluster.ErrInvalid, "lost", "register")
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if err := e.WaitForLeadership(within(t, patience)); err != nil || !e.IsLeader() {
				t.Errorf("waited for leadership: %v, leads: %v", err, e.IsLeader())
			}
		})
	}
	n.begin()
	wg.Wait()
	eventually(t, "OnActive", func() bool { return len(j.of("n1", "active")) == 1 })

	standby := newNode(t, "waiters", "n2", n.NATS().ConnectedUrl())
	e2 := standby.app(j.app("n2", "web")).Election()
	standby.start()
	wantErr(t, e2.WaitForLeadership(within(t, 30*time.Millisecond)), cluster.ErrTimeout)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(30*time.Millisecond, cancel)
	wantErr(t, e2.WaitForLeadership(ctx), context.Canceled)
	if l := e2.Leader(); l != "n1" {
		t.Errorf("the standby sees the leader %q", l)
	}
	wantErr(t, e2.StepDown(within(t, patience)), cluster.ErrNotLeader, "n1 leads")
	ended := make(chan error, 1)
	go func() { ended <- e2.WaitForLeadership(context.Background()) }()
	must(t, standby.stop())
	if err := <-ended; err != nil {
		wantErr(t, err, cluster.ErrShuttingDown)
	}
	wantErr(t, e2.WaitForLeadership(t.Context()), cluster.ErrShuttingDown)
	wantErr(t, e2.StepDown(t.Context()), cluster.ErrShuttingDown)
	must(t, n.stop())
	j.check(t, true)
	if d := j.of("n1", "active"); len(d) != 1 {
		t.Errorf("OnActive of n1: %v", d)
	}
}

// TestStepDown: it returns when the standby holds the leadership, many at once
// are one change, a node that is alone or has only cordoned peers leads on.
func TestStepDown(t *testing.T) {
	t.Parallel()
	var j journal
	s := startNATS(t)
	first := newNode(t, "steps", "n1", s.ClientURL())
	e1 := first.app(j.app("n1", "web")).Election()
	first.start().leads("web")
	epoch := e1.Epoch()
	wantErr(t, e1.StepDown(within(t, patience)), cluster.ErrNoStandby, "web")

	second := newNode(t, "steps", "n2", s.ClientURL())
	e2 := second.app(j.app("n2", "web")).Election()
	second.start()
	first.knows("n1", "n2")
	must(t, first.SetCordon(within(t, patience), "n2", true))
	wantErr(t, e1.StepDown(within(t, patience)), cluster.ErrNoStandby, "cordoned")
	if !e1.IsLeader() || e1.Epoch() != epoch {
		t.Errorf("after refused step-downs: leads %v, epoch %d, was %d", e1.IsLeader(), e1.Epoch(), epoch)
	}
	must(t, first.SetCordon(within(t, patience), "n2", false))

	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			switch err := e1.StepDown(within(t, patience)); {
			case err != nil && !errors.Is(err, cluster.ErrNotLeader):
				t.Errorf("one of many step-downs: %v", err)
			case e1.IsLeader() || e1.Leader() != "n2":
				t.Errorf("after a step-down: n1 leads %v, it sees %q", e1.IsLeader(), e1.Leader())
			}
		})
	}
	wg.Wait()
	second.leads("web")
	if got := e2.Epoch(); got != epoch+1 {
		t.Errorf("epoch %d after one change, was %d", got, epoch)
	}
	j.check(t, false)
}

// TestStepDownToAndFro: who has just stepped down takes the leadership back
// when it is handed over; nobody waits for a lease to end meanwhile.
func TestStepDownToAndFro(t *testing.T) {
	t.Parallel()
	var j journal
	nodes := pair(t, "fro", startNATS(t).ClientURL(), func(n *node) { n.app(j.app(n.NodeID(), "web")) }, cluster.WithLeaseTTL(time.Minute))
	for range 20 {
		leader := leaderOf(t, "web", nodes...)
		must(t, leader.election("web").StepDown(within(t, patience)))
	}
	leaderOf(t, "web", nodes...)
	j.check(t, false)
}

// TestSlowStopKeepsTheLease: work that takes longer to stop than the lease
// lasts is waited for, in a step-down and in a shutdown: the leadership stays,
// is renewed, and no other node begins (defect 13).
func TestSlowStopKeepsTheLease(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	for _, way := range []string{"step down", "shutdown"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			var j journal
			var slow sync.Once // the stops at the end of the test need not be
			nodes := pair(t, "slowstop", startNATS(t).ClientURL(), func(n *node) {
				a := n.app(cluster.NewApp("web"))
				a.OnActive(j.hook(n.NodeID(), "active"))
				a.OnPassive(func(ctx context.Context) error {
					slow.Do(func() {
						l, _ := cluster.LeaseFrom(ctx)
						poll(ttl*3/2, func() bool {
							if ctx.Err() != nil || !l.Valid() || !a.IsLeader() {
								t.Errorf("%s while it stops as planned: hurried: %v, valid: %v, leads: %v", n.NodeID(), ctx.Err(), l.Valid(), a.IsLeader())
							}
							return t.Failed()
						})
					})
					return j.hook(n.NodeID(), "passive")(ctx)
				})
			}, cluster.WithLeaseTTL(ttl))
			leader := leaderOf(t, "web", nodes...)
			eventually(t, "OnActive", func() bool { return len(j.all()) == 1 })
			if way == "shutdown" {
				must(t, leader.stop())
			} else {
				must(t, leader.election("web").StepDown(within(t, patience)))
			}
			other(nodes, leader).leads("web")
			eventually(t, "OnActive of the standby", func() bool { return len(j.all()) == 3 })
			j.check(t, false)
		})
	}
}

// worker acts all the time while its node is active, and asks its lease before
// each act, as the documentation says.
type worker struct {
	j    *journal
	id   string
	stop context.CancelFunc
	done chan struct{}
}

func (w *worker) active(ctx context.Context) error {
	l, _ := cluster.LeaseFrom(ctx)
	w.j.add(w.id, "active", l.Epoch)
	life, stop := context.WithCancel(context.Background())
	w.stop, w.done = stop, make(chan struct{})
	go func() {
		defer close(w.done)
		for life.Err() == nil {
			w.j.mu.Lock()
			if l.Valid() {
				w.j.deeds = append(w.j.deeds, deed{w.id, "act", l.Epoch})
			}
			w.j.mu.Unlock()
			select {
			case <-time.After(5 * time.Millisecond):
			case <-life.Done():
			}
		}
	}()
	return nil
}

func (w *worker) passive(ctx context.Context) error {
	l, _ := cluster.LeaseFrom(ctx)
	w.stop()
	<-w.done
	w.j.add(w.id, "passive", l.Epoch)
	return nil
}

// TestLinkCut: the leader loses its NATS, silently or not. It stops being the
// leader by the end of its lease at the latest, its work has stopped before
// another leads, no act comes out of order, and when the link is back there is
// one leader (defects 11, 12, 17, 18).
func TestLinkCut(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	for name, fault := range map[string]struct{ begin, end func(*proxy) }{
		"every packet is dropped": {(*proxy).hold, (*proxy).release},
		"connection refused":      {(*proxy).cut, (*proxy).heal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startNATS(t)
			var j journal
			var nodes []*node
			links := map[string]*proxy{}
			for _, id := range []string{"n1", "n2"} {
				links[id] = startProxy(t, s)
				n := newNode(t, "link", id, links[id].url(), cluster.WithLeaseTTL(ttl))
				app, w := n.app(cluster.NewApp("web")), &worker{j: &j, id: id}
				app.OnActive(w.active)
				app.OnPassive(w.passive)
				nodes = append(nodes, n.start())
			}
			for _, n := range nodes {
				n.knows("n1", "n2")
			}
			leader := leaderOf(t, "web", nodes...)
			standby, epoch := other(nodes, leader), leader.election("web").Epoch()
			cut := time.Now()
			fault.begin(links[leader.NodeID()])
			late := time.Time{}
			eventually(t, "the standby leads", func() bool {
				asked := time.Now()
				if leader.election("web").IsLeader() {
					late = asked
				}
				return standby.election("web").IsLeader()
			})
			if late.After(cut.Add(ttl)) {
				t.Errorf("it led %v after the cut, the lease is %v", late.Sub(cut), ttl)
			}
			if leader.election("web").IsLeader() {
				t.Error("two leaders")
			}
			if _, err := leader.election("web").Lease(); !errors.Is(err, cluster.ErrNotLeader) {
				t.Errorf("Lease of the one that is cut off: %v", err)
			}
			fault.end(links[leader.NodeID()])
			for _, n := range nodes {
				n.knows("n1", "n2")
			}
			if now := leaderOf(t, "web", nodes...); now != standby || now.election("web").Epoch() <= epoch {
				t.Errorf("%s leads in epoch %d; %s led in %d", now.NodeID(), now.election("web").Epoch(), leader.NodeID(), epoch)
			}
			checkActs(t, &j)
		})
	}
}

// checkActs holds a journal with acts to one order: no act under an epoch after
// an act, or the beginning, of a later one.
func checkActs(t *testing.T, j *journal) {
	t.Helper()
	j.check(t, false)
	var last deed
	acts := 0
	for _, d := range j.all() {
		if d.epoch < last.epoch {
			t.Errorf("%v after %v", d, last)
		}
		if d.what == "act" {
			acts++
		}
		last = d
	}
	if acts < 10 {
		t.Errorf("%d acts: the workers do not work", acts)
	}
}

// TestShortCutChangesNothing: a link that comes back within the lease costs no
// leadership: same epoch, no hook (defect 18).
func TestShortCutChangesNothing(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	link := startProxy(t, s)
	var j journal
	n := newNode(t, "blink", "n1", link.url())
	e := n.app(j.app("n1", "web")).Election()
	n.start().leads("web")
	eventually(t, "OnActive", func() bool { return len(j.of("", "active")) == 1 })
	lease, err := e.Lease()
	must(t, err)
	for _, fault := range []struct{ begin, end func() }{{link.cut, link.heal}, {link.hold, link.release}} {
		fault.begin()
		<-time.After(300 * time.Millisecond)
		fault.end()
		eventually(t, "the lease is renewed", func() bool { return lease.Until() > 11*time.Second })
	}
	if !lease.Valid() || e.Epoch() != lease.Epoch || len(j.of("", "active")) != 1 || len(j.of("", "passive")) != 0 {
		t.Errorf("valid %v, epoch %d, was %d; hooks %v", lease.Valid(), e.Epoch(), lease.Epoch, j.all())
	}
}

// TestEpochsSurvive: no epoch comes twice, not after a restart of every node
// and not after the store was lost while the data directories were kept, not
// even when a node begins that did not lead last.
func TestEpochsSurvive(t *testing.T) {
	t.Parallel()
	var j journal
	store, base := t.TempDir(), t.TempDir()
	serve := func() *server.Server { return startNATS(t, func(o *server.Options) { o.StoreDir = store }) }
	begin := func(id string, s *server.Server) *node {
		n := newNode(t, "epochs", id, s.ClientURL(), cluster.WithLeaseTTL(time.Minute), cluster.WithDataDir(filepath.Join(base, id)))
		n.app(j.app(id, "web"))
		return n.start()
	}
	active := func(times int) {
		t.Helper()
		eventually(t, fmt.Sprintf("OnActive number %d", times), func() bool { return len(j.of("", "active")) >= times })
	}
	end := func(s *server.Server, nodes ...*node) {
		for _, n := range nodes {
			must(t, n.stop())
		}
		s.Shutdown()
		s.WaitForShutdown()
	}
	s := serve()
	n1 := begin("n1", s)
	active(1)
	n2 := begin("n2", s)
	n1.knows("n1", "n2")
	n2.knows("n1", "n2")
	must(t, n1.election("web").StepDown(within(t, patience)))
	leaderOf(t, "web", n1, n2) // n1 has seen the epoch in which n2 leads
	active(2)
	end(s, n1, n2)

	s = serve()
	n2 = begin("n2", s)
	active(3)
	n1 = begin("n1", s)
	leaderOf(t, "web", n1, n2)
	end(s, n1, n2)

	must(t, os.RemoveAll(filepath.Join(store, "jetstream")))
	s = serve()
	n1 = begin("n1", s)
	active(4)
	n2 = begin("n2", s)
	n1.knows("n1", "n2")
	must(t, n1.election("web").StepDown(within(t, patience)))
	active(5)
	end(s, n2, n1)
	j.check(t, true)
}

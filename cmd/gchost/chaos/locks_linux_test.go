package chaos

import (
	"syscall"
	"testing"
	"time"
)

// lockActs returns what was done with a lock since a time.
func (w *world) lockActs(lock, text string, since int64) (out []entry) {
	for _, e := range w.tail(since) {
		if e.Kind == kindLock && e.About == lock && e.Text == text {
			out = append(out, e)
		}
	}
	return out
}

// awaitHeld waits until a lock was taken after a time by another node than one,
// and seen to be held.
func (w *world) awaitHeld(d time.Duration, lock string, since int64, not string) (first entry) {
	w.t.Helper()
	w.await(d, lock+" is held by another than "+not, func() bool {
		for _, e := range w.lockActs(lock, lockHeld, since) {
			if e.Node != not {
				first = e
				return true
			}
		}
		return false
	})
	return first
}

// keeper is who holds a lock that each node keeps when it has it.
func (w *world) keeper(lock string) (h *host) {
	w.t.Helper()
	since := w.now()
	w.await(settleTime, lock+" is kept", func() bool {
		all := w.lockActs(lock, lockSeen, since)
		if len(all) > 0 {
			h = w.host(all[0].Node)
		}
		return len(all) > 0
	})
	return h
}

// judgeLocks has all that was done with locks judged.
func (w *world) judgeLocks() {
	w.t.Helper()
	all := w.entries()
	for _, fault := range checkLocks(all) {
		w.t.Error(fault)
	}
	count := map[string]int{}
	for _, e := range all {
		if e.Kind == kindLock {
			count[e.Text]++
		}
	}
	w.t.Logf("acts on locks: %v", count)
}

// TestLockOfKilledProcess kills the process that holds a lock. With its guard the
// lock is free at once, also when the process leads the stream; without a guard,
// within the lease and 300 ms.
func TestLockOfKilledProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{ttl: 6 * time.Second, library: &librarySpec{Keeps: "kept"}}).start()
	for _, c := range []struct {
		what  string
		kill  func(*host) int64
		bound time.Duration
	}{
		{"kill -9 of the holder until the lock is held again", (*host).kill, w.o.ttl / 2},
		{"kill -9 of the holder and its guard until the lock is held again", (*host).killWithGuard, w.o.ttl + 300*time.Millisecond + noise},
	} {
		var all []time.Duration
		for range times(3, 20) {
			var victim *host
			all = append(all, within(t, c.bound, c.what, func() time.Duration {
				if victim != nil {
					victim.start()
					w.settle()
				}
				victim = w.keeper("kept")
				at := c.kill(victim)
				return time.Duration(w.awaitHeld(5*w.o.ttl, "kept", at, victim.name).T - at)
			}))
			victim.start()
			w.settle()
		}
		report(t, c.what, all)
	}
	w.judgeLocks()
}

// lockFault is something that happens to a node while it holds a lock.
type lockFault struct {
	name string
	do   func(w *world, victim *host)
}

// lockFaults are followed by the recovery of the node.
func lockFaults() []lockFault {
	return []lockFault{
		{"killed", func(w *world, h *host) { h.kill(); w.goesOn(h); h.start() }},
		{"killed with its guard", func(w *world, h *host) { h.killWithGuard(); w.goesOn(h); h.start() }},
		{"frozen for two leases", func(w *world, h *host) {
			at := h.freeze()
			w.goesOn(h)
			w.passed(at + int64(2*w.o.ttl))
			h.thaw()
		}},
		{"frozen for a moment", func(w *world, h *host) { at := h.freeze(); w.passed(at + int64(w.o.ttl/3)); h.thaw() }},
		{"cut off", func(w *world, h *host) { w.cutOff(h); w.goesOn(h); w.net("heal") }},
		{"deaf", func(w *world, h *host) {
			for _, o := range w.others(h.name) {
				w.net("cut1", w.host(o).link(), h.link())
			}
			w.goesOn(h)
			w.net("heal")
		}},
		{"asked to step down", func(w *world, h *host) { w.asks(h, askStepDown) }},
	}
}

// TestLockHistories: three nodes on machines of their own take, try and give two
// locks, while processes are killed and frozen, machines are cut off, and the
// stream of the locks loses its leader. What all of them did, as they know it,
// must be what one lock could have done.
func TestLockHistories(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{machines: true, library: &librarySpec{Locks: []string{"x", "y"}, Clients: 2}}).start()
	for round := range times(1, 10) {
		for i, fault := range lockFaults() {
			leader := w.lockLeader()
			victim := leader
			if (i+round)%2 == 1 {
				victim = w.host(w.others(leader.name)[0])
			}
			w.holds(victim)
			fault.do(w, victim)
			t.Logf("%s, which holds a lock, while %s leads the stream: %s", victim.name, leader.name, fault.name)
			w.settle()
			w.goesOn(nil)
		}
	}
	w.judgeLocks()
}

// holds waits until a host holds a lock at this moment, as far as can be seen.
func (w *world) holds(h *host) {
	w.t.Helper()
	w.await(settleTime, h.name+" holds a lock", func() bool {
		last := map[string]entry{}
		for _, e := range w.tail(w.now() - int64(time.Second)) {
			if e.Kind == kindLock && e.Text != lockRefused && e.T > last[e.About].T {
				last[e.About] = e
			}
		}
		for _, e := range last {
			if e.Node == h.name && e.Text == lockSeen {
				return true
			}
		}
		return false
	})
}

// cutOff lets nothing pass between a host and all others.
func (w *world) cutOff(h *host) {
	w.t.Helper()
	for _, o := range w.others(h.name) {
		w.net("cut", h.link(), w.host(o).link())
	}
}

// goesOn waits until both locks are taken several times by another node than one.
func (w *world) goesOn(but *host) {
	w.t.Helper()
	since := w.now()
	for _, lock := range w.o.library.Locks {
		w.await(settleTime, lock+" goes on", func() bool {
			n := 0
			for _, e := range w.lockActs(lock, lockHeld, since) {
				if but == nil || e.Node != but.name {
					n++
				}
			}
			return n >= 5
		})
	}
}

// asks sends a signal to a library node and returns its answer.
func (w *world) asks(h *host, s syscall.Signal) (answer string) {
	w.t.Helper()
	since := w.now()
	h.signal(s)
	w.await(10*time.Second, h.name+" answers", func() bool {
		for _, e := range w.tail(since) {
			if e.Kind == kindAsked && e.Node == h.name {
				answer = e.Text
				return true
			}
		}
		return false
	})
	return answer
}

// lockLeader is the host whose server leads the stream of locks.
func (w *world) lockLeader() (h *host) {
	w.t.Helper()
	w.await(settleTime, "the stream of locks has a leader", func() bool {
		name := w.asks(w.hosts[0], askLeader)
		for _, other := range w.hosts {
			if other.name == name {
				h = other
			}
		}
		return h != nil
	})
	return h
}

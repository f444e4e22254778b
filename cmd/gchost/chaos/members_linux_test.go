package chaos

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// TestMemberLeavesOnce lets a node die with its guard, so that nobody says
// good-bye for it. Every other node is told once, within the lease and some
// room, and once that it is back.
func TestMemberLeavesOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{library: &librarySpec{Acts: true}}).start()
	victim := w.hosts[2]
	told := func(what string, since int64) (times map[string][]int64) {
		times = map[string][]int64{}
		for _, e := range w.tail(since) {
			if e.Kind == kindTold && e.Text == what && e.About == victim.name {
				times[e.Node] = append(times[e.Node], e.T)
			}
		}
		return times
	}
	for range times(1, 5) {
		at := w.now()
		within(t, w.o.ttl+300*time.Millisecond+noise, "loss of a node until every node is told", func() time.Duration {
			if !victim.runs() {
				victim.start()
				w.settle()
			}
			at = victim.killWithGuard()
			w.await(5*w.o.ttl, "both others are told", func() bool { return len(told("OnMemberLeave", at)) == 2 })
			last := int64(0)
			for _, all := range told("OnMemberLeave", at) {
				last = max(last, all[0])
			}
			return time.Duration(last - at)
		})
		victim.start()
		w.settle()
		for _, what := range []string{"OnMemberLeave", "OnMemberJoin"} {
			for node, all := range told(what, at) {
				if len(all) != 1 {
					t.Errorf("%s is called %d times on %s", what, len(all), node)
				}
			}
		}
		joined := told("OnMemberJoin", at)
		w.await(5*time.Second, "both others are told of the return", func() bool {
			joined = told("OnMemberJoin", at)
			return len(joined[w.hosts[0].name]) == 1 && len(joined[w.hosts[1].name]) == 1
		})
	}
}

// killWithGuard kills a host and its guard at the same moment.
func (h *host) killWithGuard() (at int64) {
	h.w.t.Helper()
	guards := h.guards()
	if len(guards) == 0 {
		h.w.t.Fatalf("%s has no guard", h.name)
	}
	at = h.w.now()
	for _, g := range guards {
		if err := syscall.Kill(g.pid, syscall.SIGKILL); err != nil {
			h.w.t.Fatal(err)
		}
	}
	h.kill()
	return at
}

// TestFrozenLibraryNode freezes a program that leads by the library and acts
// inside of its own process: when it goes on it finds out before it acts.
func TestFrozenLibraryNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{library: &librarySpec{Acts: true, SlowHooks: 200 * time.Millisecond}}).start()
	victim := w.leader(webApp)
	at := victim.freeze()
	first := w.awaitAct(4*w.o.ttl, webApp, at, victim.name)
	w.passed(at + int64(2*w.o.ttl))
	back := w.now()
	victim.thaw()
	w.settle()
	if w.leader(webApp) == victim {
		t.Errorf("%s was frozen and leads again", victim.name)
	}
	for _, e := range w.tail(back) {
		if e.Node == victim.name && e.Kind == kindAct {
			t.Errorf("%s acted after it was frozen for two leases: %+v", victim.name, e)
			break
		}
	}
	t.Logf("frozen: %s acts after %v", first.Node, time.Duration(first.T-at))
}

// TestManyApps kills a node that leads 200 apps. All of them are active
// elsewhere in one go: renewals and revocation are of the node, not of each app.
func TestManyApps(t *testing.T) {
	t.Parallel()
	const apps = 200
	names := make([]string, apps)
	for i := range names {
		names[i] = fmt.Sprintf("app-%03d", i)
	}
	w := newWorld(t, options{apps: names, ttl: 12 * time.Second, library: &librarySpec{}})
	for _, h := range w.hosts {
		h.start()
	}
	w.settle()
	victim := w.hosts[0]
	w.moveAll(victim)
	var all []time.Duration
	within(t, w.o.ttl, "kill -9 of the leader of 200 apps until the last is active", func() time.Duration {
		if !victim.runs() {
			victim.start()
			w.settle()
			w.moveAll(victim)
		}
		at := victim.kill()
		all = nil
		w.await(30*time.Second, "200 apps are active elsewhere", func() bool {
			active := map[string]time.Duration{}
			for _, e := range w.tail(at) {
				if _, again := active[e.App]; e.Text == "OnActive" && e.Node != victim.name && !again {
					active[e.App] = time.Duration(e.T - at)
				}
			}
			if len(active) < apps {
				return false
			}
			for _, d := range active {
				all = append(all, d)
			}
			return true
		})
		last := time.Duration(0)
		for _, d := range all {
			last = max(last, d)
		}
		return last
	})
	report(t, "kill -9 of the leader of 200 apps until each is active", all)
	first := all[0] // sorted by report: the session is free a moment before
	for i := range all {
		all[i] -= first
	}
	report(t, "the same, since the first of them", all)
	victim.start()
	w.settle()
}

// moveAll makes one node the leader of every app: the others are ended, and
// come back when it leads.
func (w *world) moveAll(to *host) {
	w.t.Helper()
	for _, name := range w.others(to.name) {
		if code, out := to.command("node", "cordon", name); code != 0 {
			w.t.Fatalf("cordon: %d %s", code, out)
		}
	}
	for _, name := range w.others(to.name) {
		h := w.host(name)
		h.ask()
		h.end()
		h.start()
		w.settle()
	}
	for _, a := range to.status().Apps {
		if a.Leader != to.name {
			w.t.Fatalf("%s leads %s, want %s", a.Leader, a.Name, to.name)
		}
	}
	for _, name := range w.others(to.name) {
		if code, out := to.command("node", "uncordon", name); code != 0 {
			w.t.Fatalf("uncordon: %d %s", code, out)
		}
	}
}

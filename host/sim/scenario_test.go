package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/core"
)

// calm is a world without faults that has settled.
func calm(t *testing.T, cfg Config) *world {
	t.Helper()
	cfg.Faults = Calm()
	w := newWorld(cfg)
	for _, m := range w.nodes {
		w.after(w.upTo(time.Second), m.start)
	}
	w.awaitWell(t, 10*time.Second)
	return w
}

func (w *world) awaitWell(t *testing.T, most time.Duration) {
	t.Helper()
	for end := w.now + most; w.err == nil; w.play(time.Millisecond) {
		why := w.unwell()
		if why == "" {
			return
		}
		if w.now > end {
			t.Fatalf("seed %d: not well after %v: %s", w.cfg.Seed, most, why)
		}
	}
	t.Fatal(w.err)
}

// network is what a few messages may take.
const network = 8 * delayMost

// TestSimMachineLost: G6. A machine dies with its guard; after its lease and
// 300 ms it is out of the table everywhere and what it led is led by another.
func TestSimMachineLost(t *testing.T) {
	var worst time.Duration
	for seed := uint64(1); seed <= manyWorlds; seed++ {
		w := calm(t, Config{Seed: seed, Nodes: 3 + int(seed%7), Apps: 4})
		victim := w.nodes[seed%uint64(len(w.nodes))] // the controller too
		w.play(time.Duration(seed) * 37 * time.Millisecond)
		victim.lost = true
		victim.crash()
		died := w.now
		w.awaitWell(t, 10*time.Second)
		worst = max(worst, w.now-died)
		if most := w.cfg.TTL + 300*time.Millisecond + network; w.now-died > most {
			t.Errorf("seed %d: took %v, allowed are %v", seed, w.now-died, most)
		}
	}
	t.Logf("worst of %d: %v", manyWorlds, worst)
}

// TestSimHostKilled: G5. The process dies, the machine lives: its guard gives the
// session back and nobody waits for a lease.
func TestSimHostKilled(t *testing.T) {
	var worst time.Duration
	for seed := uint64(1); seed <= manyWorlds; seed++ {
		w := calm(t, Config{Seed: seed, Nodes: 3, Apps: 4})
		victim := w.nodes[seed%3]
		victim.lost = true
		victim.kill("kill -9")
		died := w.now
		w.awaitWell(t, 10*time.Second)
		worst = max(worst, w.now-died)
		// Up to 305 ms to notice, 15 to kill, then release, claim, start.
		if w.now-died > 450*time.Millisecond {
			t.Errorf("seed %d: took %v", seed, w.now-died)
		}
	}
	t.Logf("worst of %d: %v", manyWorlds, worst)
}

// silence is for how long the nodes that watch nobody wait for the controller's
// word before they look for themselves.
const silence = digest * 5 / 2

// crowd is a calm world with more nodes than watch, at some moment between two
// digests; it also returns the controller and its two watchers.
func crowd(t *testing.T, seed uint64) (w *world, controller *machine, watchers []*machine) {
	t.Helper()
	w = calm(t, Config{Seed: seed, Nodes: 4 + int(seed%5), Apps: 6})
	w.play(digest + time.Duration(seed)*37*time.Millisecond)
	controller = w.machine(w.nodes[0].proc.core.View().Controller)
	for _, m := range w.nodes {
		switch o := m.proc.observe; {
		case m == controller:
		case o.All:
			watchers = append(watchers, m)
		case len(o.Nodes) > 0:
			t.Errorf("seed %d: %s observes %v while the controller speaks", seed, m.name, o.Nodes)
		}
	}
	if len(watchers) != 2 {
		t.Fatalf("seed %d: %d nodes watch all sessions beside the controller: the traffic grows with the square of the nodes", seed, len(watchers))
	}
	return w, controller, watchers
}

// lose lets machines die in the same moment, and returns how long it took until
// the others were well.
func (w *world) lose(t *testing.T, lost ...*machine) time.Duration {
	t.Helper()
	died := w.now
	for _, m := range lost {
		m.lost = true
		m.crash()
	}
	w.awaitWell(t, 20*time.Second)
	return w.now - died
}

// TestSimTwoLost: the controller and one watcher die in the same moment. The
// other watcher needs no more than a lease.
func TestSimTwoLost(t *testing.T) {
	for seed := uint64(1); seed <= manyWorlds; seed++ {
		w, controller, watchers := crowd(t, seed)
		took := w.lose(t, controller, watchers[seed%2])
		if most := w.cfg.TTL + 300*time.Millisecond + network; took > most {
			t.Errorf("seed %d: took %v, allowed are %v", seed, took, most)
		}
	}
}

// TestSimMostLost: the controller and both watchers die in the same moment. The
// others miss the digests, then wait for a lease as any watcher does; all three
// leave together.
func TestSimMostLost(t *testing.T) {
	var worst time.Duration
	for seed := uint64(1); seed <= manyWorlds; seed++ {
		w, controller, watchers := crowd(t, seed)
		took := w.lose(t, append(watchers, controller)...)
		if most := silence + w.cfg.TTL + 300*time.Millisecond + network; took > most {
			t.Errorf("seed %d: took %v, allowed are %v", seed, took, most)
		}
		worst = max(worst, took)
	}
	t.Logf("worst of %d: %v", manyWorlds, worst)
}

// TestSimMoreLost: as TestSimMostLost, and only one or two nodes are left. Nobody has looked
// after the rest before there is a new controller: one more lease.
func TestSimMoreLost(t *testing.T) {
	var worst time.Duration
	for seed := uint64(1); seed <= manyWorlds; seed++ {
		w, controller, watchers := crowd(t, seed)
		lost := append(watchers, controller)
		for _, m := range w.nodes {
			if !slices.Contains(lost, m) && len(lost) < len(w.nodes)-1-int(seed%2) {
				lost = append(lost, m)
			}
		}
		took := w.lose(t, lost...)
		if most := silence + 2*(w.cfg.TTL+300*time.Millisecond+network); took > most {
			t.Errorf("seed %d: %d of %d lost: took %v, allowed are %v", seed, len(lost), len(w.nodes), took, most)
		}
		worst = max(worst, took)
	}
	t.Logf("worst of %d: %v", manyWorlds, worst)
}

// TestSimIdleTraffic: G11. What an idle platform sends and gets does not grow
// faster than its nodes.
func TestSimIdleTraffic(t *testing.T) {
	perNode := func(nodes int) float64 {
		w := calm(t, Config{Seed: 11, Nodes: nodes, Apps: 3})
		w.play(2 * silence) // who has just joined looks at the controller until it hears it
		before := w.stats.Messages
		const seconds = 30
		w.play(seconds * time.Second)
		if w.err != nil {
			t.Fatal(w.err)
		}
		return float64(w.stats.Messages-before) / seconds / float64(nodes)
	}
	few := perNode(3)
	for _, nodes := range []int{20, manyNodes} {
		many := perNode(nodes)
		t.Logf("messages a second and node: %.2f with 3 nodes, %.2f with %d", few, many, nodes)
		if many > few*1.02 || many < few*0.8 {
			t.Errorf("%.2f messages a second and node with %d nodes, %.2f with 3: not flat", many, nodes, few)
		}
	}
}

// TestSimRenewals: G11. Many apps are renewed as often as one.
func TestSimRenewals(t *testing.T) {
	count := func(apps int) int {
		w := calm(t, Config{Seed: 7, Nodes: 3, Apps: apps})
		before := w.stats.Renewals
		all := w.stats.Writes
		w.play(60 * time.Second)
		if w.err != nil {
			t.Fatal(w.err)
		}
		if rest := w.stats.Writes - all - (w.stats.Renewals - before); rest != 0 {
			t.Errorf("%d apps: %d writes beside renewals while nothing happens", apps, rest)
		}
		return w.stats.Renewals - before
	}
	one, many := count(1), count(manyApps)
	t.Logf("renewals of 3 nodes in a minute: %d with 1 app, %d with %d", one, many, manyApps)
	if one != many || one < 3*75 || one > 3*82 {
		t.Errorf("%d renewals with one app, %d with %d, expected some %d", one, many, manyApps, 3*80)
	}
}

// TestSimSlowStop: a planned stop may take much longer than a lease.
func TestSimSlowStop(t *testing.T) {
	w := calm(t, Config{Seed: 3, Nodes: 3, Apps: 1})
	lead := w.machine(w.leader("a0"))
	w.faults.Work = 1 // every step takes up to two leases, fails or hangs
	w.ask(lead.proc, wish{app: "a0"}, func(id uint64) core.Input { return core.StepDown{ID: id, App: "a0"} })
	w.play(time.Millisecond)
	w.faults.Work = 0
	life := lead.proc
	w.play(5 * w.cfg.TTL)
	w.awaitWell(t, 10*time.Second)
	if lead.proc != life || w.stats.Revoked > 0 || w.stats.GuardFired > 0 {
		t.Errorf("a slow stop cost the session: %+v", w.stats)
	}
	if now := w.leader("a0"); now == lead.name {
		t.Errorf("%s still leads", now)
	}
}

// TestSimSeesWeakGuards: the checks find a platform whose guards are missing, or
// give the session of a frozen host back before its lease has ended.
func TestSimSeesWeakGuards(t *testing.T) {
	for name, c := range map[string]struct {
		guard  Guard
		faults Faults
		want   string
	}{
		"none":  {Guard{None: true}, Deaths(), "G3"},
		"early": {Guard{Early: true}, Frozen(), "G1"},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= 60; seed++ {
				_, err := Run(Config{Seed: seed, Faults: c.faults, Guard: c.guard}, 45*time.Second)
				if err != nil {
					what, _, _ := strings.Cut(err.Error(), "\n")
					t.Log(what)
					if !strings.Contains(what, c.want) {
						t.Errorf("found otherwise than by %s", c.want)
					}
					return
				}
			}
			t.Error("not found in 60 seeds")
		})
	}
}

package sim

import (
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/membership"
)

// wish is what a process was asked for and has to answer.
type wish struct {
	at         time.Duration
	node       string // EditNode: whose labels
	key, value string
	app        string // StepDown
}

// unleash lets each kind of fault happen at random, around its mean time.
func (w *world) unleash() {
	f := w.faults
	w.plague(f.Cut, w.cutSome)
	w.plague(f.Slow, w.slowSome)
	w.plague(f.Stale, w.cutLeader)
	w.plague(f.Outage, w.outageNow)
	w.plague(f.Pause, func(m *machine) { m.pause(w.spell()) })
	w.plague(f.Kill, func(m *machine) { w.killSome(m) })
	w.plague(f.Crash, func(m *machine) {
		m.crash()
		w.restart(m, w.between(100*time.Millisecond, 3*w.cfg.TTL))
	})
	w.plague(f.Leave, w.leaveSome)
	w.plague(f.StepDown, w.stepDownSome)
	w.plague(f.Fail, w.failSome)
	w.plague(f.Edit, w.editSome)
	w.plague(f.Jump, func(m *machine) { m.wall = w.upTo(48*time.Hour) - 24*time.Hour })
}

func (w *world) plague(mean time.Duration, strike func(*machine)) {
	if mean == 0 {
		return
	}
	w.every(func() time.Duration { return w.upTo(2 * mean) }, func() bool {
		if w.over {
			return false
		}
		w.stats.Faults++
		strike(w.nodes[w.rnd.IntN(len(w.nodes))])
		return true
	})
}

// spell is how long something lasts: mostly shorter than a lease, sometimes
// about as long, sometimes longer.
func (w *world) spell() time.Duration {
	switch w.rnd.IntN(4) {
	case 0:
		return w.upTo(w.cfg.TTL / 4)
	case 1, 2:
		return w.between(w.cfg.TTL*7/10, w.cfg.TTL*12/10)
	}
	return w.upTo(3 * w.cfg.TTL)
}

func (w *world) cutSome(m *machine) {
	way := w.rnd.IntN(3)
	m.cut(way != 0, way != 1, w.spell())
}

func (w *world) cutLeader(*machine) {
	if w.behind > 0 {
		return
	}
	w.note("store", "one server is cut off", nil)
	w.behind = w.now
	w.after(w.upTo(staleMost), func() { w.behind = 0 })
}

func (w *world) slowSome(m *machine) {
	if m.slow {
		return
	}
	w.note(m.name, "link slows", nil)
	m.slow = true
	w.after(w.spell(), func() {
		w.note(m.name, "link is fast again", nil)
		m.slow = false
	})
}

// trap strikes a node in the moment that hurts most.
func (w *world) trap(m *machine) {
	if !w.chance(w.faults.Trap) {
		return
	}
	w.stats.Faults++
	switch w.rnd.IntN(4) {
	case 0, 1:
		m.pause(w.spell())
	case 2:
		w.cutSome(m)
	case 3:
		w.after(w.upTo(5*time.Millisecond), func() { w.killSome(m) })
	}
}

func (w *world) outageNow(*machine) {
	if w.outage {
		return
	}
	d := w.between(time.Second, 30*time.Second)
	w.note("store", "is gone", func() any { return d })
	w.outage = true
	w.after(d, w.restore)
}

func (w *world) restore() {
	if !w.outage {
		return
	}
	w.note("store", "is back", nil)
	w.outage = false
	for _, m := range w.nodes {
		w.after(w.upTo(500*time.Millisecond), func() {
			if m.proc != nil {
				m.proc.reread()
			}
		})
	}
}

func (w *world) killSome(m *machine) {
	m.kill("kill -9")
	w.restart(m, w.between(20*time.Millisecond, 2*w.cfg.TTL))
}

func (w *world) restart(m *machine, d time.Duration) {
	w.after(d, func() {
		m.down = false
		m.start()
	})
}

func (w *world) leaveSome(m *machine) {
	if p := m.proc; p != nil {
		p.tell(core.Shutdown{})
		w.comeBack(m, p, w.between(time.Millisecond, w.cfg.TTL))
	}
}

// comeBack starts a node again some time after it has left.
func (w *world) comeBack(m *machine, p *process, d time.Duration) {
	w.every(func() time.Duration { return 100 * time.Millisecond }, func() bool {
		if p.ended {
			w.restart(m, d)
		}
		return !p.dead
	})
}

func (w *world) ask(p *process, x wish, in func(id uint64) core.Input) {
	w.wishes++
	x.at = w.now
	p.wishes[w.wishes] = x
	p.tell(in(w.wishes))
}

// stepDownSome asks whoever leads an app, and sometimes one who does not.
func (w *world) stepDownSome(m *machine) {
	a := w.apps[w.rnd.IntN(w.cfg.Apps)]
	for _, o := range w.nodes {
		if o.proc != nil && !w.chance(0.1) {
			if _, leads := o.proc.leads[a.name]; leads {
				m = o
			}
		}
	}
	if m.proc != nil {
		w.stats.StepDowns++
		w.ask(m.proc, wish{app: a.name}, func(id uint64) core.Input { return core.StepDown{ID: id, App: a.name} })
	}
}

func (w *world) failSome(m *machine) {
	if m.proc == nil {
		return
	}
	for _, a := range w.apps {
		if m.backends[a.name] != nil && w.chance(0.5) {
			m.proc.tell(core.BackendFailed{App: a.name, Reason: "it cannot be kept alive"})
		}
	}
}

// editSome sets a label of a node from any node, each label once, or cordons it
// for a while.
func (w *world) editSome(m *machine) {
	p := w.nodes[w.rnd.IntN(len(w.nodes))].proc
	if p == nil || w.edits > 55 {
		return
	}
	if w.chance(0.3) {
		on := w.chance(0.5)
		w.ask(p, wish{node: m.name}, func(id uint64) core.Input {
			return core.EditNode{ID: id, Node: m.name, Edit: membership.Edit{Cordon: &on}}
		})
		return
	}
	w.edits++
	x := wish{node: m.name, key: fmt.Sprintf("k%d", w.edits), value: p.m.name}
	w.ask(p, x, func(id uint64) core.Input {
		return core.EditNode{ID: id, Node: m.name, Edit: membership.Edit{Set: map[string]string{x.key: x.value}}}
	})
}

// answered takes the answer to a wish.
func (w *world) answered(p *process, e core.Reply) {
	x, ok := p.wishes[e.ID]
	if !ok {
		w.fail("%s answers a wish that nobody has: %+v", p.m.name, e)
		return
	}
	delete(p.wishes, e.ID)
	if x.app != "" && e.Err != nil {
		w.stats.StepDownErr++
	}
	if x.key == "" || e.Err != nil {
		return
	}
	if w.labels[x.node] == nil {
		w.labels[x.node] = map[string]string{}
	}
	w.labels[x.node][x.key] = x.value
}

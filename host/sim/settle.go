package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/lifecycle"
	"github.com/ozanturksever/go-cluster/host/core/membership"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// heal ends all faults.
func (w *world) heal() {
	w.over = true
	w.note("all", "faults end", nil)
	w.faults = Faults{Skew: w.faults.Skew}
	w.restore()
	w.behind = 0
	for _, m := range w.nodes {
		m.mend()
		m.slow = false
		if m.paused {
			m.wake()
		}
		w.restart(m, w.upTo(time.Second))
	}
	w.after(time.Second, func() {
		for _, i := range w.rnd.Perm(len(w.nodes))[:w.cfg.Lost] {
			w.nodes[i].lost = true
			w.nodes[i].crash()
		}
	})
}

// living are the machines that are there to stay.
func (w *world) living() []*machine {
	return slices.DeleteFunc(slices.Clone(w.nodes), func(m *machine) bool { return m.lost })
}

// settle heals the world and waits until all is well, and stays well.
func (w *world) settle() {
	if w.err != nil {
		return
	}
	w.heal()
	began := w.now
	w.play(2 * time.Second)
	w.uncordon()
	most := 3*w.cfg.TTL + 20*time.Second
	for why := ""; w.err == nil; {
		w.play(100 * time.Millisecond)
		if why = w.unwell(); why == "" {
			break
		}
		if w.now-began > most {
			w.fail("not well %v after the faults have ended: %s", most, why)
		}
	}
	w.stats.Settled = w.now - began
	w.play(w.cfg.TTL + time.Second)
	if why := w.unwell(); why != "" {
		w.fail("all was well, and then it was not: %s", why)
	}
}

// uncordon lets every node lead again.
func (w *world) uncordon() {
	off := false
	for _, m := range w.nodes {
		if p := m.proc; p != nil {
			w.ask(p, wish{node: m.name}, func(id uint64) core.Input {
				return core.EditNode{ID: id, Node: m.name, Edit: membership.Edit{Cordon: &off}}
			})
		}
	}
}

// unwell says what is not as it has to be when nothing is wrong with the world.
func (w *world) unwell() string {
	for _, m := range w.living() {
		if why := w.unwellNode(m); why != "" {
			return m.name + ": " + why
		}
	}
	for _, a := range w.apps {
		if why := w.unwellApp(a); why != "" {
			return a.name + ": " + why
		}
	}
	return ""
}

func (w *world) unwellNode(m *machine) string {
	p := m.proc
	if p == nil {
		return "is down"
	}
	v := p.core.View()
	rec, err := election.DecodeSession(m.name, w.store[core.Sessions].newest(m.name).value)
	switch {
	case v.Session != election.Live.String():
		return "its session is " + v.Session
	case err != nil || rec.Ended() || rec.Inc != v.Inc:
		return fmt.Sprintf("its session %d is stored as %+v", v.Inc, rec)
	case len(v.Members) != len(w.living()):
		return fmt.Sprintf("it knows %d members", len(v.Members))
	case v.Controller == "" || v.Controller != w.living()[0].proc.core.View().Controller:
		return fmt.Sprintf("its controller is %q", v.Controller)
	case len(p.wishes) > 0:
		return fmt.Sprintf("it has not answered %+v", p.wishes)
	}
	for _, e := range v.Members {
		if o := w.machine(e.NodeID); o == nil || o.proc == nil || o.proc.core.View().Inc != e.Inc {
			return fmt.Sprintf("member %s/%d is not the living one", e.NodeID, e.Inc)
		}
		if e.NodeID != m.name && !p.told[e.NodeID] {
			return e.NodeID + " was not told as joined"
		}
		for k, val := range w.labels[e.NodeID] {
			if e.Labels[k] != val {
				return fmt.Sprintf("label %s of %s is %q and was acknowledged as %q", k, e.NodeID, e.Labels[k], val)
			}
		}
	}
	return ""
}

func (w *world) machine(name string) *machine {
	for _, m := range w.nodes {
		if m.name == name {
			return m
		}
	}
	return nil
}

func (w *world) unwellApp(a app) string {
	leaders := 0
	for _, m := range w.living() {
		v := m.proc.core.View().Apps[a.name]
		epoch, leads := m.proc.core.Leads(m.now(), a.name)
		active := v.Phase == lifecycle.Active
		if leads {
			leaders++
		}
		switch {
		case (leads || !a.spec.Singleton) != active:
			return fmt.Sprintf("%s leads: %v, and is %v", m.name, leads, v.Phase)
		case a.spec.Singleton && v.Leader != w.leader(a.name):
			return fmt.Sprintf("%s takes %q for the leader", m.name, v.Leader)
		case active && a.spec.Backend != (m.backends[a.name] != nil):
			return m.name + " is active and its backend does not run"
		case leads && w.backendEpoch(m, a) != epoch:
			return m.name + " has a backend of another epoch"
		}
	}
	if a.spec.Singleton && leaders != 1 {
		return fmt.Sprintf("%d leaders", leaders)
	}
	return ""
}

func (w *world) backendEpoch(m *machine, a app) pluginapi.Epoch {
	if s := m.backends[a.name]; s != nil {
		return s.epoch
	}
	epoch, _ := m.proc.core.Leads(m.now(), a.name)
	return epoch
}

func (w *world) leader(app string) string {
	for _, m := range w.nodes {
		if m.proc != nil {
			if _, ok := m.proc.core.Leads(m.now(), app); ok {
				return m.name
			}
		}
	}
	return ""
}

// leave shuts the nodes down, one after the other and the last ones together,
// and checks that each comes to its end.
func (w *world) leave() {
	if w.err != nil {
		return
	}
	w.closing = true
	for i, m := range w.living() {
		p := m.proc
		p.tell(core.Shutdown{})
		if i < len(w.living())/2 {
			w.awaitEnd(p)
		}
	}
	for _, m := range w.nodes {
		if m.proc != nil {
			w.awaitEnd(m.proc)
		}
	}
}

func (w *world) awaitEnd(p *process) {
	began := w.now
	for !p.ended && w.err == nil {
		w.play(10 * time.Millisecond)
		if w.now-began > w.cfg.TTL+2*time.Second {
			w.fail("%s does not come to its end: %+v", p.m.name, p.core.View())
		}
	}
}

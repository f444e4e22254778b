package sim

import (
	"time"

	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/lifecycle"
)

// app is what every node of the simulation has.
type app struct {
	name string
	spec lifecycle.Spec
}

// step is the code of an app that runs.
type step struct {
	core.Run
	p      *process
	inc    uint64 // session in which it began
	obeys  bool   // it ends soon when its context does
	fails  bool
	ending bool
	done   bool
}

// run starts a step. How long it takes, whether it fails, and whether it heeds
// its context is chance.
func (p *process) run(e core.Run) {
	w := p.m.w
	w.checkRun(p, e)
	s := &step{Run: e, p: p, inc: p.core.View().Inc, obeys: !w.chance(w.faults.Work), fails: w.chance(w.faults.Work)}
	p.steps[e.App] = s
	took := w.upTo(10 * time.Millisecond)
	switch {
	case w.chance(w.faults.Work):
		took = w.upTo(2 * w.cfg.TTL) // slow, also slower than a lease
	case w.chance(5 * w.faults.Work):
		took = w.upTo(w.cfg.TTL / 4)
	}
	p.later(e.Timeout, s.cancel)
	switch e.Step {
	case lifecycle.StartBackend:
		p.later(took/4, func() { s.startBackend(took / 2) })
		return
	case lifecycle.KillBackend:
		s.fails = w.faults.Work > 0 && w.chance(0.4)
		took = w.upTo(10 * time.Millisecond)
	}
	p.later(took, s.end)
}

// startBackend asks for the lease right before the clone. The clone itself
// comes a moment later; a guard that has struck meanwhile has removed the
// control group.
func (s *step) startBackend(ready time.Duration) {
	p, w := s.p, s.p.m.w
	if s.done || s.ending {
		return
	}
	if p.guard.strikes {
		p.later(time.Millisecond, func() { s.startBackend(ready) })
		return
	}
	if epoch, ok := p.core.Leads(p.m.now(), s.App); s.Epoch != 0 && (!ok || epoch != s.Epoch) {
		s.finish("not leader")
		return
	}
	p.later(w.upTo(time.Millisecond), func() {
		switch {
		case s.done || s.ending:
			return
		case p.guard.fired:
			s.finish("the guard has ended this incarnation")
			return
		case s.fails && w.chance(0.5):
			s.finish("start: it does not start")
			return
		}
		p.m.backends[s.App] = &service{p, s.Epoch, s.inc}
		w.note(p.m.name, "backend runs", func() any { return line{s.App, s.Epoch} })
		w.checkBackend(p.m, s.App, s.Epoch)
		p.later(ready, s.end)
	})
}

// cancel is the end of the step's context.
func (s *step) cancel() {
	if s.done || s.ending || !s.obeys && s.Step != lifecycle.StopBackend {
		return
	}
	s.ending = true
	s.p.later(s.p.m.w.upTo(5*time.Millisecond), func() {
		if s.Step == lifecycle.StopBackend || s.Step == lifecycle.KillBackend {
			s.end() // what did not stop by itself is killed
			return
		}
		s.finish("context ended")
	})
}

func (p *process) cancel(app string, id uint64) {
	if s := p.steps[app]; s != nil && s.ID == id {
		s.cancel()
	}
}

// end is the step's natural end.
func (s *step) end() {
	if s.done {
		return
	}
	p := s.p
	switch s.Step {
	case lifecycle.StopBackend, lifecycle.KillBackend:
		if s.fails {
			s.finish("it does not die")
			return
		}
		if p.m.backends[s.App] != nil {
			p.m.w.note(p.m.name, "backend ends", func() any { return s.App })
		}
		delete(p.m.backends, s.App)
	case lifecycle.SaveEpoch:
		if s.Epoch < p.m.floors[s.App] {
			s.finish("the epoch is lower than one that this node has led in")
			return
		}
		p.m.floors[s.App] = s.Epoch
	}
	if s.fails && s.Step != lifecycle.SaveEpoch {
		s.finish("it failed")
		return
	}
	s.finish("")
}

func (s *step) finish(err string) {
	if s.done {
		return
	}
	s.done = true
	s.p.tell(core.StepDone{App: s.App, ID: s.ID, Err: err})
}

// act is what an app does all the time while it leads: each act asks for the
// lease at the moment of use and carries its epoch.
func (p *process) act() {
	w := p.m.w
	w.every(func() time.Duration { return w.between(2*time.Millisecond, 12*time.Millisecond) }, func() bool {
		if p.dead {
			return false
		}
		if p.m.paused || len(p.leads) == 0 {
			return true
		}
		for _, a := range w.apps {
			if _, led := p.leads[a.name]; !led {
				continue
			}
			epoch, ok := p.core.Leads(p.m.now(), a.name)
			if !ok {
				w.stats.Refused++
				delete(p.leads, a.name)
				continue
			}
			w.acted(p, a.name, epoch)
		}
		return true
	})
}

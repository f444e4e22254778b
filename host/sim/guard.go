package sim

import (
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/election"
)

// guard is the watchman of one process. It runs on when the process stands
// still or is dead.
type guard struct {
	p *process
	m *machine

	inc     uint64
	until   time.Time // zero: no deadline
	fired   bool      // it has acted on inc
	strikes bool      // it is killing: no backend is to be started meanwhile
	planned bool      // the host gives its session back itself
	gone    bool      // the host is dead
	over    bool
}

// renewed takes a lease: of the incarnation that is watched, or of a newer one.
func (g *guard) renewed(e core.Renewed) {
	if g.m.w.cfg.Guard.None || e.Inc < g.inc || e.Inc == g.inc && g.fired {
		return
	}
	if e.Inc > g.inc {
		g.inc, g.fired = e.Inc, false
	}
	g.until = e.Until
	if e.Until.IsZero() {
		return
	}
	at := g.m.real(e.Until.Add(-g.m.w.cfg.margin()))
	g.m.w.after(at-g.m.w.now, func() {
		if !g.over && !g.gone && !g.fired && !g.planned && g.inc == e.Inc && g.until.Equal(e.Until) {
			g.fire()
		}
	})
}

// released is the planned end; what it is about to give back it gives back.
func (g *guard) released() {
	g.planned = true
	if !g.fired {
		g.end()
	}
}

func (g *guard) end() {
	g.over = true
	g.m.guards = slices.DeleteFunc(g.m.guards, func(o *guard) bool { return o == g })
}

// fire is the deadline of a host that is frozen, or cannot renew.
func (g *guard) fire() {
	w := g.m.w
	g.fired, g.strikes = true, true
	w.stats.GuardFired++
	w.note(g.m.name, "guard fires", func() any { return g.inc })
	inc := g.inc
	g.p.tell(core.GuardFired{Inc: inc})
	w.after(w.between(time.Millisecond, 15*time.Millisecond), func() {
		if g.over {
			return
		}
		g.strike()
		g.strikes = false
		wait := max(0, g.m.real(g.until)-w.now)
		if w.cfg.Guard.Early {
			wait = 0
		}
		if g.inc == inc {
			w.after(wait, func() { g.giveBack(inc, w.now+3*w.cfg.TTL, func() bool { return !g.fired || g.inc != inc }) })
		}
	})
}

// strike kills what the process has started.
func (g *guard) strike() {
	for _, a := range g.m.w.apps {
		if s := g.m.backends[a.name]; s != nil && s.p == g.p {
			g.m.w.note(g.m.name, "guard kills", func() any { return a.name })
			delete(g.m.backends, a.name)
		}
	}
}

// hostDied cleans up after a dead host: at once, or later where its memory
// takes long to be torn down.
func (g *guard) hostDied() {
	w := g.m.w
	find := w.between(time.Millisecond, 5*time.Millisecond)
	if w.chance(0.1) {
		find += w.upTo(300 * time.Millisecond)
	}
	w.after(find, func() {
		if g.over || g.planned {
			return
		}
		g.gone = true
		w.after(w.between(time.Millisecond, 15*time.Millisecond), func() {
			if g.over {
				return
			}
			g.strike()
			if g.inc == 0 {
				g.end()
				return
			}
			g.giveBack(g.inc, w.now+3*w.cfg.TTL, func() bool { return false })
			w.after(2*w.cfg.TTL, g.end)
		})
	})
}

// giveBack releases the session by compare-and-set, unless it is over, and
// looks again for one TTL for a late write that brought it back.
func (g *guard) giveBack(inc uint64, until time.Duration, stop func() bool) {
	w := g.m.w
	if g.over || stop() || w.now > until {
		return
	}
	next := w.between(2*time.Millisecond, 20*time.Millisecond) + 60*time.Millisecond
	done := false
	w.request(g.m, func() {
		v := w.store[core.Sessions].newest(g.m.name)
		w.reply(g.m, func() {
			rec, err := election.DecodeSession(g.m.name, v.value)
			if done || g.over || stop() || err != nil || rec.Inc != inc || rec.Ended() || rec.Home != g.p.home {
				return
			}
			rec.State, rec.By = election.StateReleased, "the guard of "+g.m.name
			w.request(g.m, func() {
				if r, _ := w.cas(core.Sessions, g.m.name, v.seq, election.Encode(rec)); r == election.Done {
					w.broadcast(g.m, func(o *process) { o.tell(core.Gone{Node: g.m.name}) })
				}
			})
		})
	})
	w.after(next, func() {
		done = true
		g.giveBack(inc, until, stop)
	})
}

package sim

import (
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/lifecycle"
	"github.com/ozanturksever/go-cluster/host/core/membership"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// process is one life of a node: a core and the shell around it.
type process struct {
	m     *machine
	home  string
	core  *core.Core
	guard *guard
	dead  bool
	ended bool // it has left as planned

	inbox []any // what came while it stood still: inputs, and code that goes on
	batch []core.Effect

	tickAt   time.Duration
	tickGen  uint64
	loopTick time.Duration // start of the second in which ticks are counted
	ticks    int
	asked    map[string]int // writes and reads of each key in that second

	records bool // the watch of the records is open
	observe core.Observe
	gen     uint64 // counts what was asked to observe

	steps  map[string]*step
	active map[string]bool // OnActive or OnStart has been called
	leads  map[string]pluginapi.Epoch
	told   map[string]bool // members told as joined
	wishes map[uint64]wish
	looks  int
}

func newProcess(m *machine) *process {
	p := &process{
		m: m, home: m.home, steps: map[string]*step{}, active: map[string]bool{}, leads: map[string]pluginapi.Epoch{},
		told: map[string]bool{}, wishes: map[uint64]wish{},
	}
	p.core = core.New(m.w.coreConfig(m))
	p.guard = &guard{p: p, m: m}
	m.guards = append(m.guards, p.guard)
	return p
}

// coreConfig is the timing that package host derives from a TTL.
func (w *world) coreConfig(m *machine) core.Config {
	c := core.Config{
		Platform: "p", Node: m.name, Home: m.home,
		Self: membership.NodeRecord{Address: m.name, Labels: map[string]string{"zone": m.name}},
		TTL:  w.cfg.TTL, Every: w.cfg.every(), Budget: w.cfg.budget(), Margin: w.cfg.margin(),
		Retry: 15 * time.Millisecond, Rank: 8 * time.Millisecond, Digest: digest,
	}
	for _, a := range w.apps {
		spec := a.spec
		spec.Durable = m.durable && spec.Singleton
		c.Apps = append(c.Apps, core.App{Name: a.name, Spec: spec, Floor: m.floors[a.name]})
	}
	return c
}

// begin opens the watch of the records and reads again every five seconds.
func (p *process) begin() {
	w := p.m.w
	p.records = true
	loaded := false
	var open func()
	open = func() {
		if p.dead || loaded {
			return
		}
		p.list(core.Records, func() {
			if !loaded {
				loaded = true
				p.tell(core.Loaded{Bucket: core.Records})
			}
		})
		w.after(300*time.Millisecond, open)
	}
	open()
	w.every(func() time.Duration { return w.between(4500*time.Millisecond, 5500*time.Millisecond) }, func() bool {
		p.reread()
		return !p.dead
	})
	p.act()
}

func (p *process) reread() {
	if !p.dead {
		p.list(core.Records, nil)
		p.list(core.Sessions, nil)
	}
}

func (p *process) watches(b core.Bucket, key string) bool {
	if b == core.Records {
		return p.records
	}
	return p.observe.All || slices.Contains(p.observe.Nodes, key)
}

// startObserving follows other sessions from now on.
func (p *process) startObserving(e core.Observe) {
	p.observe = e
	p.gen++
	gen, loaded := p.gen, false
	var open func()
	open = func() {
		if p.dead || loaded || gen != p.gen {
			return
		}
		p.list(core.Sessions, func() {
			if !loaded && gen == p.gen {
				loaded = true
				p.tell(core.Loaded{Bucket: core.Sessions})
			}
		})
		p.m.w.after(300*time.Millisecond, open)
	}
	open()
}

// tell hands an input to the core, now or when the process wakes.
func (p *process) tell(in core.Input) {
	switch {
	case p.dead:
	case p.m.paused:
		p.inbox = append(p.inbox, in)
	default:
		p.step(in)
		p.turn()
	}
}

// later runs code of the process after some time; while it stands still its
// code does too.
func (p *process) later(d time.Duration, do func()) {
	p.m.w.after(d, func() {
		switch {
		case p.dead:
		case p.m.paused:
			p.inbox = append(p.inbox, do)
		default:
			do()
		}
	})
}

// wake hands over in order what came meanwhile, in one batch as the host's
// loop does; its timer may come before or after it.
func (p *process) wake() {
	inbox := p.inbox
	p.inbox = nil
	early := p.m.w.chance(0.5)
	if early {
		p.step(core.Tick{Wall: p.wall()})
	}
	for i, in := range inbox {
		if p.dead {
			return
		}
		switch in := in.(type) {
		case core.Input:
			p.step(in)
		case func():
			if p.m.w.chance(0.5) {
				in()
				continue
			}
			p.m.w.after(time.Duration(i)*time.Microsecond, func() {
				if !p.dead {
					in()
				}
			})
		}
	}
	if !early {
		p.step(core.Tick{Wall: p.wall()})
	}
	p.turn()
}

func (p *process) wall() time.Time { return p.m.now().Add(p.m.wall) }

// step tells the core one thing and keeps what it wants for the end of the
// batch.
func (p *process) step(in core.Input) {
	w := p.m.w
	w.stats.Steps++
	if telling(in) {
		w.note(p.m.name, "<-", func() any { return in })
	}
	effects := p.core.Step(p.m.now(), in)
	w.checkSteps(p, effects)
	p.batch = append(p.batch, effects...)
	if len(effects) > 0 {
		w.checkLeads(p)
	}
	w.checkView(p)
}

// turn does what the batch asked for and sets the alarm.
func (p *process) turn() {
	batch := p.batch
	p.batch = nil
	for _, e := range batch {
		if p.dead {
			return
		}
		p.do(e)
	}
	if p.dead {
		return
	}
	next := p.core.Next()
	if next.IsZero() {
		p.tickAt = 0
		p.tickGen++
		return
	}
	at := max(p.m.w.now+100*time.Microsecond, p.m.real(next))
	if at == p.tickAt {
		return
	}
	p.tickAt = at
	p.tickGen++
	gen := p.tickGen
	p.m.w.after(at-p.m.w.now, func() {
		if p.dead || gen != p.tickGen || p.m.paused {
			return // a paused process finds its alarm when it wakes
		}
		p.tickAt = 0
		p.m.w.countTick(p)
		p.tell(core.Tick{Wall: p.wall()})
	})
}

// do begins an effect.
func (p *process) do(e core.Effect) {
	w := p.m.w
	if loud(e) {
		w.note(p.m.name, "->", func() any { return e })
	}
	switch e := e.(type) {
	case core.Write:
		w.countAsk(p, e.Bucket, e.Key)
		w.checkWrite(p, e)
		p.write(e)
		w.trap(p.m)
	case core.Read:
		w.countAsk(p, e.Bucket, e.Key)
		p.read(e)
	case core.Observe:
		p.startObserving(e)
	case core.Run:
		p.run(e)
		w.trap(p.m)
	case core.Cancel:
		p.cancel(e.App, e.ID)
	case core.Overrun:
		w.stats.Overruns++
		p.m.kill("a step of " + e.App + " did not come back: " + e.Step.String())
		w.restart(p.m, w.between(50*time.Millisecond, time.Second))
	case core.Renewed:
		p.guard.renewed(e)
	case core.SayGone:
		w.broadcast(p.m, func(o *process) { o.tell(core.Gone(e)) })
	case core.SayDigest:
		w.broadcast(p.m, func(o *process) { o.tell(core.DigestSeen(e)) })
	case core.MemberJoined:
		w.checkJoined(p, e.Member.NodeID)
	case core.MemberLeft:
		w.checkLeft(p, e.Member.NodeID)
	case core.Reply:
		w.answered(p, e)
	case core.Fatal:
		w.fail("%s: fatal: %v", p.m.name, e.Err)
	case core.Finished:
		p.finished()
	}
}

// finished is the planned end: nothing may be left.
func (p *process) finished() {
	p.ended, p.dead, p.m.proc = true, true, nil
	p.guard.released()
	p.m.w.checkNothingRuns(p)
}

// spec is what an app of the simulation has.
func spec(i int, singleton bool) lifecycle.Spec {
	hooks := map[lifecycle.Step]bool{
		lifecycle.CallActive: singleton, lifecycle.CallPassive: singleton && i%3 != 2,
		lifecycle.CallStart: !singleton, lifecycle.CallStop: i%2 == 1 || !singleton,
	}
	return lifecycle.Spec{
		Singleton: singleton, Backend: i%2 == 0, Hooks: hooks,
		HookTimeout: 5 * time.Second, StartTimeout: 10 * time.Second, StopTimeout: 10 * time.Second,
	}
}

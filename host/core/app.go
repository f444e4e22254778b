package core

import (
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/lifecycle"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Pauses of a node that failed to be active: it stands back as a candidate,
// longer each time.
const (
	avoidFirst = time.Second
	avoidMost  = time.Minute
)

// yieldRanks is for how many ranks a node that has given an app away lets others
// claim it, should the one that got it not be able to lead.
const yieldRanks = 20

// app is one app on this node: who owns it, and what runs here.
type app struct {
	c       *Core
	name    string
	key     string
	single  bool
	own     *election.Ownership // nil for an app that is active everywhere
	machine *lifecycle.Machine

	since    time.Time // of the present phase, wall clock
	notified pluginapi.Epoch
	owned    string    // node that the record names, for the count of leads
	avoid    time.Time // after a failure: it is not led here before this
	yield    time.Time // after it was given away: others go first, but it may be handed back
	fails    int
	waiting  []uint64 // step-downs to be answered
	refusal  string   // why the last leadership was given away
	stale    bool     // the last view does not show it as it is
}

func newApp(c *Core, a App) *app {
	n := &app{c: c, name: a.Name, key: KeyApp(a.Name), single: a.Spec.Singleton, machine: lifecycle.New(a.Spec)}
	if n.single {
		n.own = c.newOwnership(n.key, a.Floor)
	}
	return n
}

func (c *Core) toApp(name string, do func(*app)) {
	if a := c.apps[name]; a != nil {
		do(a)
	}
}

// owner tells the ownership one thing and does what it wants.
func (a *app) owner(in election.Input) {
	a.c.touched(a)
	for _, e := range a.own.Step(a.c.now, in) {
		a.c.dirty, a.stale = true, true
		switch e := e.(type) {
		case election.Write:
			a.c.put(Records, e.Key, e.After, election.Encode(e.Record), func(r election.Result, seq uint64) {
				a.owner(election.Written{Result: r, Seq: seq})
			})
		case election.Read:
			a.c.emit(Read{Records, e.Key})
		case election.Acquired:
			a.c.note("leader-acquired", a.name, "epoch %d", e.Epoch)
			a.life(lifecycle.Lead{Epoch: e.Epoch})
		case election.Lost:
			a.c.warn("leader-lost", a.name, "epoch %d: %s", e.Epoch, e.Reason)
			a.life(lifecycle.Cease{Reason: e.Reason, By: a.c.now.Add(a.c.cfg.Budget)})
			a.answer("", fmt.Errorf("step down %s: %w: %s", a.name, pluginapi.ErrNotLeader, e.Reason))
		case election.Resigned:
			a.c.note("leader-resigned", a.name, "epoch %d: %s, to %s", e.Epoch, a.refusal, orNobody(e.To.Node))
			a.answer(e.To.Node, nil)
		case election.OwnerChanged:
			a.ownerChanged(e.Record)
		}
	}
}

func orNobody(node string) string {
	if node == "" {
		return "nobody"
	}
	return node
}

// ownerChanged counts who leads what, and tells each new leader once.
func (a *app) ownerChanged(r election.OwnerRecord) {
	a.c.leads[a.owned]--
	a.owned = r.Holder.Node
	a.c.leads[a.owned]++
	if r.Holder.Node != "" && r.Epoch > a.notified {
		a.notified = r.Epoch
		a.c.emit(LeaderChanged{a.name, r.Holder.Node, r.Epoch})
	}
}

// life tells the lifecycle one thing and does what it wants.
func (a *app) life(in lifecycle.Input) {
	a.c.touched(a)
	before := a.machine.Phase()
	for _, e := range a.machine.Step(a.c.now, in) {
		a.c.dirty, a.stale = true, true
		a.c.dirty, a.stale = true, true
		switch e := e.(type) {
		case lifecycle.Run:
			a.c.emit(Run{a.name, e})
		case lifecycle.Cancel:
			a.c.emit(Cancel{a.name, e.ID})
		case lifecycle.Overrun:
			a.c.emit(Overrun{a.name, e.Step})
		case lifecycle.BecameActive:
			a.c.note("active", a.name, "epoch %d", e.Epoch)
		case lifecycle.BecamePassive:
			a.becamePassive(e)
		case lifecycle.Ended:
			a.c.note("stopped", a.name, "")
		}
	}
	if a.machine.Phase() != before {
		a.since = a.c.now.Add(a.c.wall)
		a.c.dirty, a.stale = true, true
	}
}

// becamePassive gives the leadership away: nothing of the app runs any more.
func (a *app) becamePassive(e lifecycle.BecamePassive) {
	a.refusal = e.Reason
	if e.Failed {
		a.c.warn("app-failed", a.name, "%s", e.Reason)
		pause := min(avoidFirst<<min(a.fails, 6), avoidMost)
		a.fails++
		a.avoid = a.c.now.Add(pause)
	} else {
		a.fails = 0
	}
	if a.own == nil || !a.own.Held() {
		return
	}
	to := a.best()
	if to != (election.Holder{}) {
		a.yield = a.c.now.Add(yieldRanks * a.c.cfg.Rank)
	}
	a.owner(election.Resign{To: to, Reason: e.Reason})
}

// best is the standby that the leadership is handed to: nobody if there is none.
func (a *app) best() election.Holder {
	for _, node := range a.c.candidates(a.name) {
		if node == a.c.cfg.Node {
			continue
		}
		if e, ok := a.c.members.Table().Find(node); ok {
			return election.Holder{Node: e.Node, Inc: e.Inc}
		}
	}
	return election.Holder{}
}

// settle says whether this node wants the app now.
func (a *app) settle() {
	c := a.c
	if !a.single {
		if c.session.Phase() == election.Live && !c.shutdown && a.machine.Phase() == lifecycle.Passive && !c.now.Before(a.avoid) {
			a.life(lifecycle.Lead{})
		}
		return
	}
	if a.own.Busy() {
		a.giveBack()
		return
	}
	self := c.session.Self()
	rec := a.own.Record().Record
	mine := self != (election.Holder{}) && rec.Holder == self
	able := !c.shutdown && !c.cordoned(c.cfg.Node) && !c.now.Before(a.avoid) && !c.ranked[a.name].unfit[c.cfg.Node]
	if !mine && c.now.Before(a.yield) {
		able = false
	}
	if !mine && rec.Holder != (election.Holder{}) && !c.watch.Over(c.now, rec.Holder) {
		c.ask(rec.Holder)
		if a.own.Wants() {
			a.owner(election.Want{}) // what is wanted of a free app is decided when it is free: rank and cordon may have changed
		}
		return // it has a living owner
	}
	if mine && !able {
		// To nobody: the next best may stand back too, and the two would hand it
		// to and fro as fast as the store can write.
		a.owner(election.Decline{Reason: "handed to a node that cannot lead it now"})
		return
	}
	want := election.Want{Want: able && a.machine.Phase() == lifecycle.Passive, Rank: c.rank(a.name)}
	a.owner(want)
}

// giveBack gives away what was won by a claim that came through after the app
// had ended on this node.
func (a *app) giveBack() {
	switch a.machine.Phase() {
	case lifecycle.Passive, lifecycle.Finishing, lifecycle.Finished:
		if a.own.Held() {
			a.owner(election.Resign{To: a.best(), Reason: "the app is stopped"})
		}
	}
}

// stepDown is the wish that this node gives an app away.
func (c *Core) stepDown(in StepDown) {
	a := c.apps[in.App]
	switch {
	case a == nil:
		c.emit(Reply{ID: in.ID, Err: fmt.Errorf("step down %.70q: %w", in.App, pluginapi.ErrAppNotFound)})
	case a.own == nil:
		c.emit(Reply{ID: in.ID, Err: fmt.Errorf("step down %s: %w: the app is active on every node, it has no leader", in.App, pluginapi.ErrInvalid)})
	case c.shutdown:
		c.emit(Reply{ID: in.ID, Err: fmt.Errorf("step down %s: %w", in.App, pluginapi.ErrShuttingDown)})
	case !a.own.Busy():
		c.emit(Reply{ID: in.ID, Err: fmt.Errorf("step down %s: %w: %s leads", in.App, pluginapi.ErrNotLeader, orNobody(a.own.Owner(c.now).Node))})
	case a.own.Held() && a.best() == election.Holder{}:
		c.emit(Reply{ID: in.ID, Err: fmt.Errorf("step down %s: %w: no other living node has the app and is not cordoned", in.App, pluginapi.ErrNoStandby)})
	default:
		a.waiting = append(a.waiting, in.ID)
		a.life(lifecycle.Cease{Reason: "step down"})
	}
}

func (a *app) answer(to string, err error) {
	if err == nil && to == "" {
		err = fmt.Errorf("step down %s: %w: the last one went away meanwhile", a.name, pluginapi.ErrNoStandby)
	}
	for _, id := range a.waiting {
		a.c.emit(Reply{ID: id, Err: err, To: to, Epoch: a.own.Record().Record.Epoch})
	}
	a.waiting = nil
}

func (c *Core) forget(id uint64) {
	delete(c.edits, id)
	for _, a := range c.apps {
		for i, w := range a.waiting {
			if w == id {
				a.waiting = append(a.waiting[:i], a.waiting[i+1:]...)
				break
			}
		}
	}
}

// Leads reports whether this node may act for an app at this very moment, and
// in which epoch. It is the only thing that may guard an act.
func (c *Core) Leads(now time.Time, app string) (pluginapi.Epoch, bool) {
	if a := c.apps[app]; a != nil && a.own != nil {
		return a.own.Leads(now)
	}
	return 0, false
}

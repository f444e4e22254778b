package core

import (
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/lifecycle"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// toSession tells the session one thing and does what it wants.
func (c *Core) toSession(in election.Input) {
	if c.edits[0] != nil {
		return // it begins after what is known of this node is stored
	}
	for _, e := range c.session.Step(c.now, in) {
		c.dirty, c.all = true, true
		switch e := e.(type) {
		case election.Write:
			c.writeSession(e)
		case election.Read:
			c.emit(Read{Sessions, e.Key})
		case election.Joined:
			c.note("session-joined", "", "incarnation %d", e.Inc)
		case election.Renewed:
			c.deadline = e.Until
			c.emit(Renewed{e.Inc, e.Seq, e.Until})
		case election.MustStop:
			c.warn("lease-running-out", "", "renewals are not acknowledged: all work stops before the lease ends")
			c.ceaseAll("the lease is running out", e.Deadline.Add(-c.cfg.Margin))
		case election.Ended:
			c.sessionEnded(e)
		case election.Duplicate:
			c.fatal = true
			c.emit(Fatal{fmt.Errorf("join as node %s: %w: its session is alive in incarnation %d: stop the other node or give this one another id",
				c.cfg.Node, pluginapi.ErrNodeAlreadyPresent, e.Record.Inc)})
		}
	}
}

func (c *Core) writeSession(e election.Write) {
	rec := e.Record.(election.SessionRecord)
	c.put(Sessions, e.Key, e.After, election.Encode(rec), func(r election.Result, seq uint64) {
		c.toSession(election.Written{Result: r, Seq: seq})
		if r == election.Done {
			c.toWatch(election.SessionSeen{Node: e.Key, Seq: seq, Record: rec})
			if rec.Ended() {
				c.emit(SayGone{e.Key})
			}
		}
	})
}

// sessionEnded stops all work. Where the deadline has passed already, a process
// that was frozen, nothing may take longer than the budget.
func (c *Core) sessionEnded(e election.Ended) {
	if c.shutdown && e.Reason == "left" {
		return
	}
	c.warn("session-over", "", "incarnation %d: %s", e.Inc, e.Reason)
	by := c.now.Add(c.cfg.Budget)
	if t := c.deadline.Add(-c.cfg.Margin); t.Before(by) && t.After(c.now.Add(c.cfg.Budget/2)) {
		by = t
	}
	c.ceaseAll("the session is over: "+e.Reason, by)
	c.freed() // what was owned in it is owned no more
}

// guardFired ends the incarnation on which the guard has acted. The guard has
// killed every backend, also those of apps that need no lease: they begin anew.
func (c *Core) guardFired(inc uint64) {
	if c.session.Self().Inc == inc {
		c.toSession(election.Drop{Reason: "the guard has acted"})
	}
	for _, a := range c.order {
		if a.own == nil {
			a.life(lifecycle.Cease{Reason: "the guard has killed the backends"})
		}
	}
}

func (c *Core) ceaseAll(reason string, by time.Time) {
	for _, a := range c.order {
		if a.own != nil {
			a.life(lifecycle.Cease{Reason: reason, By: by})
		}
	}
}

// settleSession begins a new incarnation when nothing of the last one runs.
func (c *Core) settleSession() {
	if c.session.Phase() == election.Reading && c.session.Next().IsZero() {
		c.toSession(election.Tick{})
	}
	if c.session.Phase() != election.Over || c.shutdown {
		return
	}
	for _, a := range c.order {
		if a.own != nil && a.machine.Phase() != lifecycle.Passive {
			return
		}
	}
	c.toSession(election.Rejoin{})
}

func (c *Core) seenSession(in Seen) {
	var rec election.SessionRecord
	if in.Seq > 0 {
		var err error
		if rec, err = election.DecodeSession(in.Key, in.Value); err != nil {
			c.badRecord(in, err)
			c.seenUnreadable(in)
			return
		}
	}
	if in.Key == c.cfg.Node {
		c.toSession(election.Seen{Seq: in.Seq, Record: rec})
	}
	if in.Seq == 0 {
		return
	}
	over := c.watch.Over(c.now, rec.Holder())
	c.toWatch(election.SessionSeen{Node: in.Key, Seq: in.Seq, Record: rec})
	if !over && c.watch.Over(c.now, rec.Holder()) {
		// The watch says so only of a session that it knew alive. This may be the
		// first sight of one: of a node that this one does not observe.
		c.dirty, c.all = true, true
		c.freed()
	}
}

// seenUnreadable takes a session record that no node would have written. What was
// known of the session stays true for others: it can be revoked after silence,
// at the new sequence. This node begins a new life, far above every incarnation
// that the lost record may have had.
func (c *Core) seenUnreadable(in Seen) {
	rec, known := c.watch.Record(in.Key)
	if in.Key == c.cfg.Node {
		lost := election.SessionRecord{Node: in.Key, Inc: rec.Inc + badJump, State: election.StateReleased, By: "an unreadable record"}
		c.toSession(election.Seen{Seq: in.Seq, Record: lost})
	}
	if known {
		c.toWatch(election.SessionSeen{Node: in.Key, Seq: in.Seq, Record: rec})
	}
}

// toWatch tells the watch one thing and does what it wants.
func (c *Core) toWatch(in election.Input) {
	for _, e := range c.watch.Step(c.now, in) {
		switch e := e.(type) {
		case election.Revoke:
			c.put(Sessions, e.Node, e.After, election.Encode(e.Record), func(r election.Result, seq uint64) {
				c.toWatch(election.RevokeDone{Node: e.Node, Result: r, Seq: seq})
				if r == election.Done {
					c.warn("session-silent", "", "node %s was silent for its ttl: its session is revoked", e.Node)
					c.emit(SayGone{e.Node})
				}
			})
		case election.Reread:
			c.emit(Read{Sessions, e.Node})
		case election.SessionOver:
			c.dirty, c.staleApps, c.all = true, true, true
			c.why[e.Holder.Node] = e.Reason
			c.freed()
		case election.SessionBegan:
			c.dirty, c.staleApps, c.all = true, true, true
		}
	}
}

// freed lets every ownership look again: the session of a holder is over.
func (c *Core) freed() {
	c.toControl(election.Tick{})
	for _, a := range c.order {
		if a.own != nil {
			a.owner(election.Tick{})
		}
	}
}

// gone looks at once at a session that is said to be over, if it is not known
// to be. The hint itself proves nothing.
func (c *Core) gone(node string) {
	if pluginapi.CheckName("node", node) != nil {
		return
	}
	e, member := c.members.Table().Find(node)
	if c.watch.Alive(node) != (election.Holder{}) || member && !c.watch.Over(c.now, election.Holder{Node: e.Node, Inc: e.Inc}) {
		c.emit(Read{Sessions, node})
	}
}

// askPause is the time between two reads of the session of the same node.
const askPause = time.Second

// ask reads the session of a holder that is no member: nobody else may be left
// to tell that it is over.
func (c *Core) ask(h election.Holder) {
	if e, ok := c.members.Table().Find(h.Node); c.members.Table().Version == 0 || ok && e.Inc == h.Inc {
		return
	}
	if at, ok := c.asked[h.Node]; ok && c.now.Before(at.Add(askPause)) {
		return
	}
	c.asked[h.Node] = c.now
	if !c.askAgain.After(c.now) {
		c.askAgain = c.now.Add(askPause)
	}
	c.emit(Read{Sessions, h.Node})
}

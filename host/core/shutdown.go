package core

import (
	"maps"
	"slices"

	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/lifecycle"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// beginShutdown stops every app; what is led is handed over when its work has
// stopped. The session goes on being renewed until then.
func (c *Core) beginShutdown() {
	if c.shutdown {
		return
	}
	c.shutdown, c.all = true, true
	c.note("shutting-down", "", "")
	for _, a := range c.order {
		a.life(lifecycle.Finish{})
	}
	for _, id := range slices.Sorted(maps.Keys(c.edits)) {
		if id != 0 {
			c.endEdit(id, c.edits[id], nil, pluginapi.ErrShuttingDown)
		}
	}
}

// settleShutdown goes through the last steps: apps, controller role, session.
func (c *Core) settleShutdown() {
	if !c.shutdown {
		return
	}
	for _, a := range c.order {
		if a.machine.Phase() != lifecycle.Finished || a.own != nil && a.own.Busy() {
			return
		}
	}
	if c.control.Held() {
		c.toControl(election.Resign{To: c.successor(), Reason: "shutting down"})
	}
	if c.control.Busy() {
		return
	}
	delete(c.edits, 0) // if the node never came to say who it is, it need not leave
	if c.session.Phase() != election.Over {
		c.toSession(election.Leave{})
	}
	if c.session.Phase() == election.Over {
		c.finished = true
		c.emit(Finished{})
	}
}

package core

import (
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/membership"
)

// watchers is how many nodes beside the controller observe every session.
const watchers = 2

// settleObserve decides whose sessions this node observes.
func (c *Core) settleObserve() {
	want := c.wantObserve()
	if want.All == c.observing.All && want.Delay == c.observing.Delay && slices.Equal(want.Nodes, c.observing.Nodes) {
		return
	}
	if want.All != c.observing.All || !slices.Equal(want.Nodes, c.observing.Nodes) {
		c.sessionsLoaded = false
		c.emit(Observe{want.All, want.Nodes})
	}
	c.observing = want
	c.toWatch(want)
}

// wantObserve: the controller and two watchers observe everybody. All others
// observe nobody while the controller speaks: its digests say that it lives, and
// the watchers end its session when it does not. When the digests stop the
// watchers may be gone as well, so the others look after all three.
func (c *Core) wantObserve() election.Observe {
	if c.control.Busy() {
		return election.Observe{All: true}
	}
	owner := c.control.Record().Record.Holder.Node
	if owner == "" || owner == c.cfg.Node {
		return election.Observe{All: true}
	}
	place := c.place(owner)
	delay := time.Duration(place+1) * c.cfg.Rank
	switch {
	case place < watchers:
		return election.Observe{All: true, Delay: delay}
	case c.now.Before(c.silentAt()):
		return election.Observe{}
	}
	return election.Observe{Nodes: append([]string{owner}, c.eldest(owner)...), Delay: delay}
}

// silentAt is when the controller has not been heard for too long: two of its
// digests are missing, and a third has half of its time left.
func (c *Core) silentAt() time.Time { return c.heard.Add(c.cfg.Digest * 5 / 2) }

// place is this node's place in the order of the members by age, without the
// named one.
func (c *Core) place(without string) int {
	self, known := c.members.Table().Find(c.cfg.Node)
	place := 0
	for _, m := range c.members.Table().Members {
		if c.peer(m, without) && (!known || older(m, self)) {
			place++
		}
	}
	return place
}

// eldest are the members that watch every session when the named one is the
// controller, if this node does not.
func (c *Core) eldest(without string) []string {
	var peers []membership.Entry
	for _, m := range c.members.Table().Members {
		if c.peer(m, without) {
			peers = append(peers, m)
		}
	}
	slices.SortFunc(peers, func(a, b membership.Entry) int {
		if older(a, b) {
			return -1
		}
		return 1
	})
	var out []string
	for _, m := range peers[:min(watchers, len(peers))] {
		out = append(out, m.Node)
	}
	return out
}

// peer reports whether a member is neither this node nor the named one, and
// lives as far as is known.
func (c *Core) peer(m membership.Entry, without string) bool {
	return m.Node != without && m.Node != c.cfg.Node && !c.watch.Over(c.now, election.Holder{Node: m.Node, Inc: m.Inc})
}

func older(a, b membership.Entry) bool {
	return a.JoinedAt.Before(b.JoinedAt) || a.JoinedAt.Equal(b.JoinedAt) && a.Node < b.Node
}

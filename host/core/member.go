package core

import (
	"cmp"
	"encoding/json"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/membership"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// toControl tells the ownership of the controller role one thing.
func (c *Core) toControl(in election.Input) {
	for _, e := range c.control.Step(c.now, in) {
		c.dirty = true
		switch e := e.(type) {
		case election.Write:
			c.put(Records, e.Key, e.After, election.Encode(e.Record), func(r election.Result, seq uint64) {
				c.toControl(election.Written{Result: r, Seq: seq})
			})
		case election.Read:
			c.emit(Read{Records, e.Key})
		case election.Acquired:
			c.note("controller-acquired", "", "epoch %d", e.Epoch)
			c.digestAt = c.now
		case election.OwnerChanged:
			if c.recordsLoaded { // what was there before this node may have been silent for long
				c.heard = c.now
			}
		case election.Lost:
			c.note("controller-lost", "", "epoch %d: %s", e.Epoch, e.Reason)
		}
	}
}

func (c *Core) settleControl() {
	if c.control.Busy() {
		return
	}
	rec := c.control.Record().Record
	self := c.session.Self()
	if c.shutdown && self != (election.Holder{}) && rec.Holder == self {
		c.toControl(election.Decline{To: c.successor(), Reason: "shutting down"})
		return
	}
	c.toControl(election.Want{Want: !c.shutdown, Rank: c.place(rec.Holder.Node)})
}

// successor is the oldest other living member.
func (c *Core) successor() election.Holder {
	var best membership.Entry
	for _, m := range c.members.Table().Members {
		if m.Node == c.cfg.Node || c.watch.Over(c.now, election.Holder{Node: m.Node, Inc: m.Inc}) {
			continue
		}
		if best.Node == "" || m.JoinedAt.Before(best.JoinedAt) {
			best = m
		}
	}
	return election.Holder{Node: best.Node, Inc: best.Inc}
}

// settleTable is the controller's work: to write the difference between the
// table and the living sessions, and to publish the digest.
func (c *Core) settleTable() {
	epoch, leads := c.control.Leads(c.now)
	if !leads || !c.recordsLoaded || !c.sessionsLoaded {
		return
	}
	if !c.now.Before(c.digestAt) {
		c.digestAt = c.now.Add(c.cfg.Digest)
		c.sayDigest(epoch)
	}
	table := c.members.Table()
	if c.tablePut || c.now.Before(c.tableWait) || table.Epoch > epoch {
		return
	}
	next, changed := membership.Diff(table, c.alive(), epoch, c.now.Add(c.wall), func(e membership.Entry) string { return c.why[e.Node] })
	if !changed && !c.tableBad {
		return
	}
	if c.tableBad {
		next.Version += badJump // whoever has seen a later one than we have takes it too
	}
	c.tablePut = true
	value := membership.Encode(next)
	c.put(Records, KeyMembers, c.tableSeq, value, func(r election.Result, seq uint64) {
		c.tablePut = false
		switch r {
		case election.Done:
			c.seen(Seen{Records, KeyMembers, seq, value})
		case election.Refused:
			c.tableWait = c.now.Add(c.cfg.Retry)
		default:
			c.tableWait = c.now.Add(c.cfg.Retry)
			c.emit(Read{Records, KeyMembers})
		}
	})
}

// badJump is by how much a number that replaces an unreadable one is higher than
// the highest that was seen.
const badJump = 1 << 20

// alive is who belongs into the table. A member goes only when its session is
// known to be over: what was not seen yet, or is seen late, lets nobody go.
func (c *Core) alive() []membership.Alive {
	living := map[string]uint64{}
	for _, h := range c.watch.Living() {
		living[h.Node] = h.Inc
	}
	for _, m := range c.members.Table().Members {
		if !c.watch.Over(c.now, election.Holder{Node: m.Node, Inc: m.Inc}) {
			living[m.Node] = m.Inc
		}
	}
	var out []membership.Alive
	for _, node := range slices.Sorted(maps.Keys(living)) {
		out = append(out, membership.Alive{Node: node, Inc: living[node]})
	}
	return out
}

// seenTable tells every join and leave that was not told yet.
func (c *Core) seenTable(in Seen) error {
	if in.Seq <= c.tableSeq {
		return nil
	}
	table, err := membership.DecodeTable(in.Value)
	c.tableSeq, c.tableBad = in.Seq, err != nil
	if err != nil {
		return err // the controller writes it anew
	}
	c.dirty, c.all = true, true
	before := c.members.Table()
	for _, e := range c.members.See(table) {
		at, known := table.Find(e.Node)
		if e.Left {
			at, known = before.Find(e.Node)
		}
		if !known || at.Inc != e.Inc {
			at = membership.Entry{Node: e.Node, Inc: e.Inc}
		}
		if e.Node == c.cfg.Node {
			continue // a node knows of itself
		}
		if e.Left {
			c.note("member-left", "", "%s: %s", e.Node, e.Reason)
			c.emit(MemberLeft{c.member(at), e.Reason})
		} else {
			c.note("member-joined", "", "%s", e.Node)
			c.emit(MemberJoined{c.member(at)})
		}
	}
	return nil
}

// member is what the platform knows of a node.
func (c *Core) member(e membership.Entry) pluginapi.Member {
	m := pluginapi.Member{NodeID: e.Node, Platform: c.cfg.Platform, JoinedAt: e.JoinedAt, LastSeen: c.lastSeen[e.Node], Apps: []string{}}
	if age, ok := c.watch.Age(c.now, e.Node); ok {
		m.LastSeen = c.now.Add(c.wall - age)
	}
	if m.LastSeen.IsZero() {
		m.LastSeen = e.JoinedAt
	}
	if e.Node == c.cfg.Node {
		m.LastSeen = c.now.Add(c.wall)
	}
	m.LastSeen = m.LastSeen.UTC()
	m.IsHealthy = c.up(e, m.LastSeen)
	if n := c.nodes[e.Node]; n != nil {
		m.IsHealthy = m.IsHealthy && len(n.rec.Failing) == 0
		m.Address, m.Labels, m.Apps = n.rec.Address, maps.Clone(n.rec.Labels), slices.Clone(n.rec.Apps)
	}
	return m
}

// up reports whether the session of a member holds and it was heard of lately.
func (c *Core) up(e membership.Entry, lastSeen time.Time) bool {
	h := election.Holder{Node: e.Node, Inc: e.Inc}
	return !c.watch.Over(c.now, h) && lastSeen.After(c.now.Add(c.wall-c.cfg.TTL-2*c.cfg.Digest))
}

// digestBody is what the controller says every few seconds.
type digestBody struct {
	Epoch pluginapi.Epoch  `json:"epoch"`
	AgeMS map[string]int64 `json:"age_ms"` // node -> how long ago its session changed
}

func (c *Core) sayDigest(epoch pluginapi.Epoch) {
	d := digestBody{epoch, map[string]int64{}}
	for _, m := range c.members.Table().Members {
		if age, ok := c.watch.Age(c.now, m.Node); ok {
			d.AgeMS[m.Node] = age.Milliseconds()
		}
	}
	c.emit(SayDigest{membership.Encode(d)})
}

// digest takes the controller's word on when each node was last seen. That is
// shown to people and decides nothing. That it spoke at all says that it lives.
func (c *Core) digest(value []byte) {
	var d digestBody
	if len(value) > maxDigest || json.Unmarshal(value, &d) != nil || d.Epoch < c.control.Record().Record.Epoch {
		return
	}
	c.heard = c.now
	for _, m := range c.members.Table().Members {
		if age, ok := d.AgeMS[m.Node]; ok && age >= 0 && age < int64(24*time.Hour/time.Millisecond) {
			c.lastSeen[m.Node] = c.now.Add(c.wall - time.Duration(age)*time.Millisecond)
			c.dirty = true
		}
	}
}

const maxDigest = 256 << 10

// ranking is what a placement policy has said of the nodes for one app.
type ranking struct {
	place map[string]int // from 1; 0: it was not ranked
	unfit map[string]bool
}

// policyRanked takes the word of a policy.
func (c *Core) policyRanked(in Ranked) {
	if c.apps[in.App] == nil {
		return
	}
	r := ranking{map[string]int{}, map[string]bool{}}
	for i, node := range in.Nodes {
		r.place[node] = i + 1
	}
	for _, node := range in.Unfit {
		r.unfit[node] = true
	}
	c.ranked[in.App] = r
}

// candidates are the living nodes that may lead an app, the best first: in the
// order of its policy; without one, or between nodes that it has not ranked,
// fewer leaderships win, then a hash of app and node, the same on every node.
func (c *Core) candidates(app string) []string {
	var out []string
	r := c.ranked[app]
	for _, name := range c.can[app] {
		if c.candidate(name) && !r.unfit[name] {
			out = append(out, name)
		}
	}
	last := len(r.place) + 1
	place := func(node string) int { return cmp.Or(r.place[node], last) }
	slices.SortFunc(out, func(a, b string) int {
		if d := place(a) - place(b); d != 0 {
			return d
		}
		if d := c.leads[a] - c.leads[b]; d != 0 {
			return d
		}
		if weight(app, a) < weight(app, b) {
			return -1
		}
		return 1
	})
	return out
}

// candidate reports whether a node lives and may lead what it has.
func (c *Core) candidate(node string) bool {
	e, ok := c.members.Table().Find(node)
	return ok && !c.cordoned(node) && !c.watch.Over(c.now, election.Holder{Node: e.Node, Inc: e.Inc})
}

func weight(app, node string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(app + "/" + node))
	return h.Sum64()
}

// rank is how many living candidates are better than this node.
func (c *Core) rank(app string) int {
	list := c.candidates(app)
	if i := slices.Index(list, c.cfg.Node); i >= 0 {
		return i
	}
	return len(list)
}

func (c *Core) cordoned(node string) bool {
	n := c.nodes[node]
	return n != nil && n.rec.Cordoned
}

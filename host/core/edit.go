package core

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/membership"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// edit is a change of a node record that is not written yet.
type edit struct {
	node     string
	edit     membership.Edit
	create   bool // the record may be new
	reply    bool
	inflight bool
	pause    time.Time
}

// settleEdits writes what is not on its way. A conflict is read and tried
// again: an edit is merged, never lost and never written over another's.
func (c *Core) settleEdits() {
	if !c.recordsLoaded {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(c.edits)) {
		if e := c.edits[id]; !e.inflight && !c.now.Before(e.pause) {
			c.tryEdit(id, e)
		}
	}
}

func (c *Core) tryEdit(id uint64, e *edit) {
	n := c.nodes[e.node]
	if n == nil && !e.create {
		c.endEdit(id, e, nil, fmt.Errorf("change node %.70q: %w", e.node, pluginapi.ErrNodeNotFound))
		return
	}
	if n == nil {
		n = &node{}
	}
	rec, changed := e.edit.Apply(n.rec)
	if err := membership.CheckLabels(rec.Labels); err != nil {
		c.endEdit(id, e, nil, fmt.Errorf("change node %s: %w", e.node, err))
		return
	}
	if !changed && n.seq > 0 { // a node without anything to say is stored too: it can then be labelled
		c.endEdit(id, e, rec.Labels, nil)
		return
	}
	e.inflight = true
	key, value := prefixNode+e.node, membership.Encode(rec)
	c.put(Records, key, n.seq, value, func(r election.Result, seq uint64) {
		e.inflight = false
		if r == election.Done {
			c.seen(Seen{Records, key, seq, value})
			c.endEdit(id, e, rec.Labels, nil)
			return
		}
		e.pause = c.now.Add(c.cfg.Retry)
		if r != election.Refused {
			c.emit(Read{Records, key})
		}
	})
}

func (c *Core) endEdit(id uint64, e *edit, labels map[string]string, err error) {
	if c.edits[id] != e {
		return // it was answered, or nobody waits any more
	}
	delete(c.edits, id)
	if e.reply {
		c.emit(Reply{ID: id, Err: err, Labels: maps.Clone(labels)})
	}
	if id == 0 && err != nil {
		c.fatal = true
		c.emit(Fatal{err})
	}
}

// seenNode takes a node record.
func (c *Core) seenNode(name string, in Seen) error {
	if in.Seq == 0 || pluginapi.CheckName("node", name) != nil {
		return nil
	}
	n := c.nodes[name]
	if n == nil {
		n = &node{}
		c.nodes[name] = n
	}
	if in.Seq <= n.seq {
		return nil
	}
	rec, err := membership.DecodeNode(in.Value)
	if err != nil {
		n.seq = in.Seq // the next edit puts it right
		return err
	}
	before, first := n.rec, n.seq == 0
	n.seq, n.rec = in.Seq, rec
	c.dirty, c.all = true, true
	if !slices.Equal(before.Apps, rec.Apps) {
		c.indexApps(name, before.Apps, rec.Apps)
	}
	if !maps.Equal(before.Labels, rec.Labels) && !first {
		c.emit(LabelsChanged{name, maps.Clone(rec.Labels)})
	}
	if before.Cordoned != rec.Cordoned {
		word := "node-uncordoned"
		if rec.Cordoned {
			word = "node-cordoned"
		}
		c.note(word, "", "%s", name)
	}
	return nil
}

func (c *Core) indexApps(name string, before, after []string) {
	for _, a := range before {
		c.can[a] = slices.DeleteFunc(c.can[a], func(n string) bool { return n == name })
	}
	for _, a := range after {
		if !slices.Contains(c.can[a], name) {
			c.can[a] = append(c.can[a], name)
		}
	}
}

package plan

import (
	"fmt"
	"slices"
	"time"
)

// World is what the controller knows.
type World struct {
	Now   time.Time
	Since time.Time // when it first saw the present phase of this rollout
	Nodes []Report  // of the living nodes that take part, by name
	Rules Rules
}

// Key tells a phase of a rollout from all others: the controller counts the time
// since it saw it first. "" while there is no rollout.
func (p Plugin) Key() string {
	if p.Rollout == nil {
		return ""
	}
	return fmt.Sprintf("%d.%s.%s", p.Serial, p.Rollout.Phase, p.Rollout.Node)
}

// Next is what the controller does now: the record as it has to be, and whether
// that is another one.
func Next(p Plugin, w World) (Plugin, bool) {
	w.Rules = w.Rules.withDefaults()
	if p.Rollout == nil || len(w.Nodes) == 0 {
		return p, false
	}
	to := p.Rollout.To
	for _, n := range w.Nodes {
		if h := n.Has(p.Name, to); h.Stage == Failed && h.Try == p.Serial {
			return p.clone().abort(fmt.Sprintf("node %s cannot have it: %s", n.Node, h.Reason)), true
		}
	}
	if reason := worse(p, w); reason != "" {
		return p.clone().abort(reason), true
	}
	return p.clone().advance(w)
}

// Swept is the record after these blobs were deleted.
func (p Plugin) Swept(blobs []string) Plugin {
	p = p.clone()
	p.Garbage = slices.DeleteFunc(p.Garbage, func(b string) bool { return slices.Contains(blobs, b) })
	return p
}

// advance goes to the next phase when the present one has done its work; p is
// the caller's own.
func (p Plugin) advance(w World) (Plugin, bool) {
	switch r := p.Rollout; r.Phase {
	case Canary, Trial:
		return p.tryOut(w)
	case Prepare:
		if late := p.behind(w, Prepared); late != "" {
			return p.waitFor(w, late)
		}
		r.Phase = Activate
		return p, true
	case Activate:
		if late := p.behind(w, Active); late != "" {
			return p.waitFor(w, late)
		}
		if p.Current == "" { // there is nothing to go back to
			return p.finish(), true
		}
		r.Phase = Watch
		return p, true
	}
	if w.Now.Sub(w.Since) < w.Rules.Watch {
		return p, false
	}
	return p.finish(), true
}

// tryOut is canary and trial.
func (p Plugin) tryOut(w World) (Plugin, bool) {
	r := p.Rollout
	i := slices.IndexFunc(w.Nodes, func(n Report) bool { return n.Node == r.Node })
	if i < 0 { // not chosen yet, or lost
		r.Phase, r.Node = Canary, w.Nodes[0].Node
		return p, true
	}
	h := w.Nodes[i].Has(p.Name, r.To)
	if r.Phase == Canary {
		if !reached(h, Prepared, p.Serial) {
			return p.waitFor(w, lateness(r.Node, h))
		}
		r.Phase = Trial
		return p, true
	}
	if !reached(h, Active, p.Serial) {
		return p.waitFor(w, lateness(r.Node, h))
	}
	if p.Current != "" && w.Now.Sub(w.Since) < w.Rules.Trial {
		return p, false
	}
	r.Phase = Prepare
	return p, true
}

// reached says whether a node has come so far in this rollout.
func reached(h Held, want Stage, serial uint64) bool {
	return h.Try == serial && (h.Stage == Active || h.Stage == want)
}

// behind names a node that has not come so far; "" for none.
func (p Plugin) behind(w World, want Stage) string {
	for _, n := range w.Nodes {
		if h := n.Has(p.Name, p.Rollout.To); !reached(h, want, p.Serial) {
			return lateness(n.Node, h)
		}
	}
	return ""
}

func lateness(node string, h Held) string {
	if h.Reason != "" {
		return fmt.Sprintf("node %s: %s: %s", node, h.Stage, h.Reason)
	}
	return fmt.Sprintf("node %s: %s", node, h.Stage)
}

// waitFor waits for what is late, but not for ever.
func (p Plugin) waitFor(w World, late string) (Plugin, bool) {
	if w.Now.Sub(w.Since) < w.Rules.Patience {
		return p, false
	}
	return p.abort(fmt.Sprintf("%s was not over after %v: %s", p.Rollout.Phase, w.Rules.Patience, late)), true
}

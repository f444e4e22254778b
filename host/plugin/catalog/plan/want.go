package plan

import "slices"

// Want is what a node has to have of a plugin now.
type Want struct {
	Active string   // digest that calls go to; "": none
	Ready  []string // digests that wait loaded beside it
	Keep   []string // digests whose packages stay on the disk; the others go
	Try    uint64   // serial: what has failed is tried again when it has risen
}

// Want is what a node has to have of the plugin now.
func (p Plugin) Want(node string) Want {
	w := Want{Try: p.Serial}
	keep := func(digests ...string) {
		for _, d := range digests {
			if d != "" && !slices.Contains(w.Keep, d) {
				w.Keep = append(w.Keep, d)
			}
		}
	}
	keep(p.Current, p.Previous)
	if !p.Enabled {
		return w
	}
	w.Active = p.Current
	r := p.Rollout
	if r == nil {
		return w
	}
	chosen := r.Node == node && r.Node != ""
	switch {
	case r.Phase == Canary && !chosen, r.Phase == Trial && !chosen:
		return w
	case r.Phase == Canary, r.Phase == Prepare && !chosen:
		w.Ready = []string{r.To}
	default:
		w.Active = r.To
		if p.Current != "" {
			w.Ready = []string{p.Current}
		}
	}
	keep(r.To)
	return w
}

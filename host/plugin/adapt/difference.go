package adapt

import (
	"slices"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// difference is what makes a table of an older one, both sorted by node. It is
// small when it names at most half as many nodes as the new table has, and has
// an epoch to be the difference to.
func difference(old, table *pluginapi.Table) (change *wire.Candidates, small bool) {
	if old == nil || old.Epoch == 0 || old.Epoch == table.Epoch {
		return nil, false
	}
	change = &wire.Candidates{Base: old.Epoch, Epoch: table.Epoch}
	was := old.Candidates
	for i := range table.Candidates {
		c := &table.Candidates[i]
		for len(was) > 0 && was[0].Node < c.Node {
			change.Removed = append(change.Removed, was[0].Node)
			was = was[1:]
		}
		if len(was) > 0 && was[0].Node == c.Node {
			if !same(&was[0], c) {
				change.Upserts = append(change.Upserts, *c)
			}
			was = was[1:]
			continue
		}
		change.Upserts = append(change.Upserts, *c)
	}
	for _, c := range was {
		change.Removed = append(change.Removed, c.Node)
	}
	return change, len(change.Upserts)+len(change.Removed) <= len(table.Candidates)/2
}

func same(a, b *pluginapi.Candidate) bool {
	return a.Node == b.Node && a.Leads == b.Leads && a.Cores == b.Cores && a.Memory == b.Memory &&
		a.Load == b.Load && a.MemFree == b.MemFree && a.Joined == b.Joined &&
		a.Cordoned == b.Cordoned && a.Healthy == b.Healthy &&
		slices.Equal(a.Labels, b.Labels) && slices.Equal(a.Apps, b.Apps)
}

package policy

import (
	"context"
	"slices"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// What counts how much. A label outweighs any load, one app led outweighs all
// that is measured, and to stay is worth more than one app led: else two nodes
// would hand an app to and fro.
const (
	start      = 1_000_000 // so that no fit node comes below 0
	perLabel   = 10_000
	maxLabels  = 40 // of each list; more do not count
	perLead    = 200
	maxLeads   = 40 // more do not count
	stay       = 250
	loadPoints = 100 // for a node without load
	freePoints = 50  // for a node whose memory is free
)

// Spread puts apps where few are led already.
//
// A node that is cordoned, not healthy, lacks a label that the app requires, or
// is known to have less memory free than the app needs, is unfit. Among the
// others those with more of the preferred and fewer of the avoided labels come
// first; then those that lead fewer apps, where the one that leads the app now
// has a head start; then those with less load for each core and more memory
// free. The zero value is ready for use.
type Spread struct{}

// Rank scores each candidate. It never returns an error.
func (Spread) Rank(_ context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
	scores := make([]int64, len(table.Candidates))
	for i := range table.Candidates {
		scores[i] = score(&app, &table.Candidates[i])
	}
	return scores, nil
}

func score(app *pluginapi.AppSpec, c *pluginapi.Candidate) int64 {
	leads := bound(c.Leads, 0, maxLeads)
	s := int64(start)
	leader := app.Leader != "" && app.Leader == c.Node
	if leader {
		leads = max(0, leads-1) // this app itself
		s += stay
	}
	switch {
	case c.Cordoned, !c.Healthy, matches(c, app.Requires) < len(app.Requires):
		return pluginapi.Unfit
	case !leader && app.Memory > 0 && c.Memory > 0 && c.MemFree < app.Memory: // a leader has its memory already
		return pluginapi.Unfit
	}
	s += perLabel * int64(min(matches(c, app.Prefers), maxLabels))
	s -= perLabel * int64(min(matches(c, app.Avoids), maxLabels))
	s -= perLead * leads
	if c.Cores > 0 {
		s += loadPoints - share(c.Load, c.Cores, loadPoints)
	}
	return s + share(c.MemFree, c.Memory, freePoints)
}

// matches counts the labels of the list that the node has.
func matches(c *pluginapi.Candidate, list []pluginapi.Label) (n int) {
	for _, l := range list {
		if slices.Contains(c.Labels, l) {
			n++
		}
	}
	return n
}

// share is part/whole of points, between 0 and points; 0 when the whole is not
// known.
func share(part, whole, points int64) int64 {
	if whole <= 0 {
		return 0
	}
	part = bound(part, 0, whole)
	return int64(float64(part) / float64(whole) * float64(points))
}

func bound(v, low, high int64) int64 { return max(low, min(v, high)) }

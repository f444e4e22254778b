package fit

import (
	"slices"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Points of a score. A label outweighs whatever else a policy of this house
// gives, which is less than PerLabel for each node.
const (
	Start     = 1_000_000 // so that no fit node comes below 0
	PerLabel  = 10_000
	maxLabels = 40 // of each list; more do not count
)

// Runs says whether the app leads or runs on the node already. What it needs is
// then a part of what is in use there.
func Runs(app *pluginapi.AppSpec, c *pluginapi.Candidate) bool {
	return app.Leader != "" && app.Leader == c.Node || slices.Contains(c.Apps, app.Name)
}

// Unfit says whether the node must not be used: it is cordoned, not healthy,
// lacks a label that the app requires, or is known to have less memory free than
// the app needs and does not lead it. The rules are those of the built-in policy.
func Unfit(app *pluginapi.AppSpec, c *pluginapi.Candidate) bool {
	leads := app.Leader != "" && app.Leader == c.Node
	return c.Cordoned || !c.Healthy || matches(c, app.Requires) < len(app.Requires) ||
		!leads && app.Memory > 0 && c.Memory > 0 && c.MemFree < app.Memory
}

// Labels is Start with the points for labels that the app prefers, and without
// those for labels that it avoids.
func Labels(app *pluginapi.AppSpec, c *pluginapi.Candidate) int64 {
	return Start + PerLabel*int64(min(matches(c, app.Prefers), maxLabels)-min(matches(c, app.Avoids), maxLabels))
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

// Part is points * part / whole, between 0 and points, whatever the numbers are;
// 0 when the whole is not known. points is at most 10,000.
func Part(part, whole, points int64) int64 {
	if whole <= 0 {
		return 0
	}
	part = max(0, min(part, whole))
	if whole > 1<<40 { // keep the product within 64 bits; two digits fewer do not matter
		part, whole = part>>23, whole>>23
	}
	return points * part / whole
}

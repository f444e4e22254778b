// Package score is the scoring that all plugins of the benchmark do.
package score

import "github.com/ozanturksever/go-cluster/pluginapi"

// Score prefers labels, then free memory, then nodes that lead little.
func Score(app *pluginapi.AppSpec, c *pluginapi.Candidate) int64 {
	if c.Cordoned || !c.Healthy {
		return pluginapi.Unfit
	}
	for _, l := range app.Requires {
		if !has(c.Labels, l) {
			return pluginapi.Unfit
		}
	}
	sum := c.MemFree>>30 - c.Leads
	for _, l := range app.Prefers {
		if has(c.Labels, l) {
			sum += 100
		}
	}
	return max(0, sum)
}

func has(labels []pluginapi.Label, want pluginapi.Label) bool {
	for i := range labels {
		if labels[i].Key == want.Key {
			return labels[i].Value == want.Value
		}
	}
	return false
}

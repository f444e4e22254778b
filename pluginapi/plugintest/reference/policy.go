package reference

import (
	"context"
	"fmt"
	"slices"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Apps for which the reference plugins do something else.
const (
	AppVeto   = "veto"   // ErrRejected
	AppBusy   = "busy"   // ErrBusy, and that trying again may help
	AppTeapot = "teapot" // the code "teapot", which is no sentinel's
	AppEcho   = "echo"   // hooks: the code "echo", with the event's [Line]
)

// Policy is "label score". A node is unfit when it is cordoned, not healthy, or
// lacks a required label. The score of the others is 100 for each preferred
// label that it has, plus its free memory in whole GiB, minus the apps it leads,
// and never below 0.
type Policy struct{}

// Rank scores by labels, or fails for the apps that are named for it.
func (Policy) Rank(ctx context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := outcome(app.Name); err != nil {
		return nil, err
	}
	scores := make([]int64, 0, len(table.Candidates))
	for i := range table.Candidates {
		c := &table.Candidates[i]
		score := c.MemFree>>30 - c.Leads
		for _, l := range app.Prefers {
			if slices.Contains(c.Labels, l) {
				score += 100
			}
		}
		score = max(0, score)
		lacks := func(l pluginapi.Label) bool { return !slices.Contains(c.Labels, l) }
		if c.Cordoned || !c.Healthy || slices.ContainsFunc(app.Requires, lacks) {
			score = pluginapi.Unfit
		}
		scores = append(scores, score)
	}
	return scores, nil
}

// outcome is the error that an app is named for.
func outcome(app string) error {
	switch app {
	case AppVeto:
		return fmt.Errorf("app %s: %w", app, pluginapi.ErrRejected)
	case AppBusy:
		return &wire.Error{Code: string(pluginapi.ErrBusy), Text: "app busy: come again", Retry: true}
	case AppTeapot:
		return &wire.Error{Code: "teapot", Text: "short and stout"}
	}
	return nil
}

// AboutPolicy is what the policy says of itself.
func AboutPolicy() wire.Description {
	return wire.Description{Contract: wire.ContractPlacement, Name: "label-score", Version: "1.0.0", Deltas: true}
}

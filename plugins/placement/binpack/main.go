package main

import (
	"github.com/ozanturksever/go-cluster/plugins/placement/fit"
	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
)

// perPercent are the points for each percent that a node is full: 100 of them, and
// one step of at most 20 percent for the node where the app runs, are together
// less than one preferred label.
const perPercent = 80

var _ = newPlugin()

func main() {}

// policy is the plugin's configuration.
type policy struct {
	headroom int64 // percent of a node that stay free
	step     int64 // percent; nodes that differ by less are equally full
}

func newPlugin() *sdk.Guest {
	p := &policy{headroom: 10, step: 5}
	return sdk.Score(sdk.About{Name: "binpack", Version: "1.0.0", Configure: p.configure}, p.score)
}

func (p *policy) configure(c *sdk.Config) error {
	p.headroom = c.Int("headroom_percent", 10)
	p.step = c.Int("step_percent", 5)
	if p.headroom < 0 || p.headroom > 90 || p.step < 1 || p.step > 20 {
		return sdk.Fail(string(sdk.ErrInvalid), "headroom_percent is 0 to 90, step_percent 1 to 20")
	}
	return nil
}

// resource is one of those that a node has and an app needs, in its unit.
type resource struct{ total, used, need int64 }

// score prefers the fullest node that the app fits on. Where it runs already its
// needs are a part of what is in use.
func (p *policy) score(app *sdk.App, n *sdk.Candidate) int64 {
	if fit.Unfit(app, n) {
		return sdk.Unfit
	}
	runs := fit.Runs(app, n)
	full := int64(0)
	for _, r := range [2]resource{
		{n.Memory, n.Memory - min(n.Memory, max(0, n.MemFree)), app.Memory},
		{n.Cores, n.Load, app.CPU},
	} {
		if r.total <= 0 { // not known
			continue
		}
		room := r.total - r.total/100*p.headroom
		after := bound(r.used)
		if !runs {
			after += bound(r.need)
		}
		switch {
		case after <= room:
			full = max(full, fit.Part(after, room, 100))
		case runs:
			full = 100
		case r.need > 0:
			return sdk.Unfit
		default: // it does not say what it needs, and the node has no room: not unfit, but last
			return fit.Labels(app, n)
		}
	}
	s := fit.Labels(app, n) + perPercent*(full-full%p.step)
	if runs {
		s += perPercent*p.step + 1 // a node that is a step fuller is not worth a move
	}
	return s
}

// bound keeps sums of two within 64 bits, whatever a node reports.
func bound(v int64) int64 { return max(0, min(v, 1<<61)) }

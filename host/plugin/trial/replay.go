package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ozanturksever/go-cluster/builtin/policy"
	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/host/plugin/recording"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Difference is a recorded question for which the plugin would have chosen
// another node than the built-in policy, or none.
type Difference struct {
	Time    time.Time
	Epoch   uint64 // of the table
	App     string
	Leader  string // that the app had, "" for none
	BuiltIn string // node that the built-in policy prefers, "" when all are unfit
	Plugin  string
	Err     error // the plugin's, in the place of a node
}

// Replayed counts what a replay has compared.
type Replayed struct {
	Questions int // an app with a table each
	Same      int
	Different int
	Failed    int
	// Moves are how often the first choice is not the leader that the app had.
	MovesBuiltIn, MovesPlugin int
}

// Replay asks the plugin what was asked on a platform, and tells each question
// that it answers differently from the built-in policy.
//
// # Errors
//
// ErrInvalid for a plugin that is no policy and for what is no recording. What
// the plugin fails at is told, and is no error.
func (p *Plugin) Replay(ctx context.Context, r io.Reader, tell func(Difference)) (done Replayed, err error) {
	if p.Manifest.Contract != wire.ContractPlacement {
		return done, fmt.Errorf("replay recording: %w: %s is a %s: a recording is for policies", pluginapi.ErrInvalid, p.Manifest, p.Manifest.Contract)
	}
	i, err := p.Load(ctx)
	if err != nil {
		return done, err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
		defer cancel()
		err = errors.Join(err, i.Close(end))
	}()
	plugin, err := adapt.NewPolicy(ctx, i)
	if err != nil {
		return done, err
	}
	err = recording.Read(r, func(q recording.Question) error {
		for _, app := range q.Apps {
			d, err := compare(ctx, plugin, app, q)
			if err != nil {
				return err
			}
			if done.count(d) {
				tell(d)
			}
		}
		return ctx.Err()
	})
	return done, err
}

// compare asks both. Its error is that of the replay itself.
func compare(ctx context.Context, plugin pluginapi.Policy, app pluginapi.AppSpec, q recording.Question) (d Difference, err error) {
	d = Difference{Time: time.UnixMilli(q.Time).UTC(), Epoch: q.Table.Epoch, App: app.Name, Leader: app.Leader}
	builtIn, err := policy.Spread{}.Rank(ctx, app, q.Table)
	if err != nil {
		return d, err
	}
	d.BuiltIn = first(q.Table, builtIn)
	scores, err := plugin.Rank(ctx, app, q.Table)
	switch {
	case ctx.Err() != nil:
		return d, ctx.Err()
	case err != nil:
		d.Err = err
	default:
		d.Plugin = first(q.Table, scores)
	}
	return d, nil
}

// first is the node with the highest score, of equals the first by name.
func first(t *pluginapi.Table, scores []int64) (node string) {
	best := pluginapi.Unfit
	for i, s := range scores {
		if s >= 0 && s > best {
			best, node = s, t.Candidates[i].Node
		}
	}
	return node
}

// count counts a question, and says whether it is to be told.
func (r *Replayed) count(d Difference) bool {
	r.Questions++
	if d.Leader != "" && d.BuiltIn != d.Leader {
		r.MovesBuiltIn++
	}
	if d.Leader != "" && d.Err == nil && d.Plugin != d.Leader {
		r.MovesPlugin++
	}
	switch {
	case d.Err != nil:
		r.Failed++
	case d.Plugin == d.BuiltIn:
		r.Same++
		return false
	default:
		r.Different++
	}
	return true
}

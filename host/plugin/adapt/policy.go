package adapt

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// maxScores is the most scores of one answer. A score has at most 10 bytes on
// the wire, and by default an answer at most 1 MiB.
const maxScores = 100_000

// Policy is a policy that a plugin does. It remembers for each guest which table
// that one holds, and sends what has changed.
type Policy struct {
	i      plugin.Instance
	deltas bool
}

// NewPolicy asks the plugin whether it takes differences.
func NewPolicy(ctx context.Context, i plugin.Instance) (*Policy, error) {
	d, err := Describe(ctx, i, wire.ContractPlacement)
	if err != nil {
		return nil, err
	}
	return &Policy{i: i, deltas: d.Deltas}, nil
}

// Rank is [Policy.RankAll] for one app.
func (p *Policy) Rank(ctx context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
	all, err := p.RankAll(ctx, []pluginapi.AppSpec{app}, table)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// RankAll ranks the candidates for several apps, in as few calls as the size of
// an answer allows; the answer has the scores of each app. With no candidates
// the plugin is not asked.
//
// # Errors
//
// Those of [plugin.Instance]; one that wraps ErrPluginProtocol for a wrong number
// of scores; ErrStale from a plugin that does not keep the table it was given.
func (p *Policy) RankAll(ctx context.Context, apps []pluginapi.AppSpec, table *pluginapi.Table) ([][]int64, error) {
	out := make([][]int64, len(apps))
	n := len(table.Candidates)
	if n == 0 || len(apps) == 0 {
		for i := range out {
			out[i] = []int64{}
		}
		return out, nil
	}
	done := 0
	for part := range slices.Chunk(apps, max(1, maxScores/n)) {
		scores, err := p.ask(ctx, part, table)
		if err != nil {
			return nil, err
		}
		for row := range slices.Chunk(scores, n) {
			out[done] = row
			done++
		}
	}
	return out, nil
}

// ask makes one guest hold the table and rank by it.
func (p *Policy) ask(ctx context.Context, apps []pluginapi.AppSpec, table *pluginapi.Table) (scores []int64, err error) {
	question := (&wire.Rank{Epoch: table.Epoch, Apps: apps}).Append(nil)
	var answer []byte
	err = p.i.Do(ctx, func(g *plugin.Guest) error {
		if err := p.feed(ctx, g, table); err != nil {
			return err
		}
		answer, err = g.Call(ctx, wire.OpRank, question)
		if errors.Is(err, pluginapi.ErrStale) {
			if err := give(ctx, g, whole(table), table); err != nil {
				return err
			}
			answer, err = g.Call(ctx, wire.OpRank, question)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("rank by plugin: %w", err)
	}
	var r wire.Ranking
	if err := r.Decode(answer); err != nil {
		return nil, fmt.Errorf("rank by plugin: %w", err)
	}
	if want := len(apps) * len(table.Candidates); len(r.Scores) != want {
		return nil, fmt.Errorf("rank by plugin: %w: %d scores for %d apps and %d candidates, want %d",
			pluginapi.ErrPluginProtocol, len(r.Scores), len(apps), len(table.Candidates), want)
	}
	return r.Scores, nil
}

// feed sends the guest what it lacks of the table.
func (p *Policy) feed(ctx context.Context, g *plugin.Guest, table *pluginapi.Table) error {
	held, _ := g.Held.(*pluginapi.Table)
	if held == table {
		return nil
	}
	change, small := difference(held, table)
	if !p.deltas || !small {
		return give(ctx, g, whole(table), table)
	}
	err := give(ctx, g, change, table)
	if errors.Is(err, pluginapi.ErrStale) {
		return give(ctx, g, whole(table), table)
	}
	return err
}

// give sends a table, or a difference. After an error nobody knows what the
// guest holds.
func give(ctx context.Context, g *plugin.Guest, m *wire.Candidates, table *pluginapi.Table) error {
	g.Held = nil
	if _, err := g.Call(ctx, wire.OpCandidates, m.Append(nil)); err != nil {
		return fmt.Errorf("give table of %d candidates: %w", len(table.Candidates), err)
	}
	g.Held = table
	return nil
}

func whole(t *pluginapi.Table) *wire.Candidates {
	return &wire.Candidates{Epoch: t.Epoch, Upserts: t.Candidates}
}

package answer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// candidates takes a table, or the difference to the one that is held. The old
// table is not changed: a ranking may be reading it.
func (p *Plugin) candidates(in []byte) error {
	var m wire.Candidates
	if err := m.Decode(slices.Clone(in)); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.Base == 0 {
		p.table = &pluginapi.Table{Epoch: m.Epoch, Candidates: m.Upserts}
		return nil
	}
	if p.table == nil || p.table.Epoch != m.Base {
		return fmt.Errorf("%w: the difference is to epoch %d", pluginapi.ErrStale, m.Base)
	}
	p.table = &pluginapi.Table{Epoch: m.Epoch, Candidates: merge(p.table.Candidates, m.Upserts, m.Removed)}
	return nil
}

// merge makes a table of an old one and what has changed. Only the new rows are
// copied as deep as their text: a table must not keep every message alive that
// it once learned something from.
func merge(old, upserts []pluginapi.Candidate, removed []string) []pluginapi.Candidate {
	out := make([]pluginapi.Candidate, 0, len(old)+len(upserts))
	for _, c := range old {
		_, changed := slices.BinarySearchFunc(upserts, c.Node, byNode)
		_, gone := slices.BinarySearch(removed, c.Node)
		if !changed && !gone {
			out = append(out, c)
		}
	}
	for _, c := range upserts {
		out = append(out, clone(c))
	}
	slices.SortFunc(out, func(a, b pluginapi.Candidate) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

func byNode(c pluginapi.Candidate, node string) int { return cmp.Compare(c.Node, node) }

func clone(c pluginapi.Candidate) pluginapi.Candidate {
	c.Node = strings.Clone(c.Node)
	c.Labels = slices.Clone(c.Labels)
	for i, l := range c.Labels {
		c.Labels[i] = pluginapi.Label{Key: strings.Clone(l.Key), Value: strings.Clone(l.Value)}
	}
	c.Apps = slices.Clone(c.Apps)
	for i, a := range c.Apps {
		c.Apps[i] = strings.Clone(a)
	}
	return c
}

func (p *Plugin) rank(ctx context.Context, in []byte) ([]byte, error) {
	var m wire.Rank
	if err := m.Decode(slices.Clone(in)); err != nil {
		return nil, err
	}
	p.mu.Lock()
	table := p.table
	p.mu.Unlock()
	if table == nil || table.Epoch != m.Epoch {
		return nil, fmt.Errorf("%w: asked about epoch %d", pluginapi.ErrStale, m.Epoch)
	}
	var out wire.Ranking
	for _, app := range m.Apps {
		scores, err := p.Policy.Rank(ctx, app, table)
		if err != nil {
			return nil, err
		}
		if len(scores) != len(table.Candidates) {
			return nil, fmt.Errorf("%w: %d scores for %d candidates", pluginapi.ErrPluginProtocol, len(scores), len(table.Candidates))
		}
		out.Scores = append(out.Scores, scores...)
	}
	return out.Append(nil), nil
}

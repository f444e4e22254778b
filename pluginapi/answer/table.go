package answer

import (
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

// merge makes a table of an old one and what has changed, all of them sorted by
// node. Only the new rows are copied as deep as their text: a table must not keep
// every message alive that it once learned something from.
func merge(old, upserts []pluginapi.Candidate, removed []string) []pluginapi.Candidate {
	out := make([]pluginapi.Candidate, 0, len(old)+len(upserts))
	for len(old) > 0 || len(upserts) > 0 {
		if len(upserts) > 0 && (len(old) == 0 || upserts[0].Node <= old[0].Node) {
			if len(old) > 0 && old[0].Node == upserts[0].Node {
				old = old[1:]
			}
			out = append(out, clone(upserts[0]))
			upserts = upserts[1:]
			continue
		}
		for len(removed) > 0 && removed[0] < old[0].Node {
			removed = removed[1:]
		}
		if len(removed) == 0 || removed[0] != old[0].Node {
			out = append(out, old[0])
		}
		old = old[1:]
	}
	return out
}

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

package sdk

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Rank writes the score of each candidate of the table into scores, which has
// one for each, all zero: the higher the better, Unfit for a node that must not
// be used. It must decide by its arguments and its configuration alone, so that
// all nodes come to the same ranking.
type Rank func(c *Call, app *App, table *Table, scores []int64) error

// Policy makes a placement policy of a function that ranks all candidates.
func Policy(a About, rank Rank) *Guest {
	return newGuest(a, wire.Description{Contract: wire.ContractPlacement, Deltas: true}, &policy{rank: rank})
}

// Score makes a placement policy of a function that scores one candidate.
func Score(a About, score func(app *App, n *Candidate) int64) *Guest {
	return Policy(a, func(_ *Call, app *App, table *Table, scores []int64) error {
		for i := range table.Candidates {
			scores[i] = score(app, &table.Candidates[i])
		}
		return nil
	})
}

// policy holds the table between calls.
type policy struct {
	rank  Rank
	table Table
	held  bool
	spare []Candidate // memory of the table before this one
	ask   wire.Rank
	give  wire.Ranking
}

func (p *policy) do(c *Call, op string, in, dst []byte) ([]byte, error) {
	switch op {
	case wire.OpCandidates:
		return dst, p.candidates(in)
	case wire.OpRank:
		if err := p.rankAll(c, in); err != nil {
			return dst, err
		}
		return p.give.Append(dst), nil
	}
	return dst, pluginapi.ErrNoMethod
}

func (p *policy) candidates(in []byte) error {
	var m wire.Candidates
	if err := m.Decode(in); err != nil {
		return err
	}
	if m.Base == 0 {
		// The whole message is kept, and the rows lie in it.
		if err := m.Decode(slices.Clone(in)); err != nil {
			return err
		}
		p.table, p.held = Table{Epoch: m.Epoch, Candidates: m.Upserts}, true
		p.spare = nil
		return nil
	}
	if !p.held || p.table.Epoch != m.Base {
		return pluginapi.ErrStale
	}
	p.merge(m.Upserts, m.Removed)
	p.table.Epoch = m.Epoch
	return nil
}

// merge makes the next table in the memory of the one before the last. Rows that
// stay are taken over, new ones are copied as deep as their text.
func (p *policy) merge(upserts []Candidate, removed []string) {
	slices.SortFunc(upserts, byNode)
	slices.Sort(removed)
	next := p.spare[:0]
	row := 0
	for i := range p.table.Candidates {
		old := &p.table.Candidates[i]
		for row < len(upserts) && upserts[row].Node < old.Node {
			next = append(next, own(upserts[row]))
			row++
		}
		if row < len(upserts) && upserts[row].Node == old.Node {
			next = append(next, own(upserts[row]))
			row++
		} else if _, gone := slices.BinarySearch(removed, old.Node); !gone {
			next = append(next, *old)
		}
	}
	for ; row < len(upserts); row++ {
		next = append(next, own(upserts[row]))
	}
	last := p.table.Candidates
	p.table.Candidates = next
	clear(last)
	p.spare = last
}

func byNode(a, b Candidate) int { return cmp.Compare(a.Node, b.Node) }

// own is a candidate that shares no memory with the message that it came in.
func own(c Candidate) Candidate {
	c.Node = strings.Clone(c.Node)
	c.Labels = slices.Clone(c.Labels)
	for i, l := range c.Labels {
		c.Labels[i] = Label{Key: strings.Clone(l.Key), Value: strings.Clone(l.Value)}
	}
	c.Apps = slices.Clone(c.Apps)
	for i, a := range c.Apps {
		c.Apps[i] = strings.Clone(a)
	}
	return c
}

func (p *policy) rankAll(c *Call, in []byte) error {
	if err := p.ask.Decode(in); err != nil {
		return err
	}
	if !p.held || p.table.Epoch != p.ask.Epoch {
		return pluginapi.ErrStale
	}
	n := len(p.table.Candidates)
	p.give.Scores = slices.Grow(p.give.Scores[:0], n*len(p.ask.Apps))[:n*len(p.ask.Apps)]
	clear(p.give.Scores)
	for i := range p.ask.Apps {
		scores := p.give.Scores[i*n : (i+1)*n : (i+1)*n]
		if err := p.rank(c, &p.ask.Apps[i], &p.table, scores); err != nil {
			return err
		}
	}
	return nil
}

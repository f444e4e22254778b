package serve

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Policy serves a placement policy. The factory is called once, with the
// configuration; its error is what the host's start of the plugin ends with. The
// table of candidates is kept here, between the calls; the host sends what
// changes.
func Policy(about About, factory func(wire.Configure) (pluginapi.Policy, error)) {
	Operations(PolicyHandler(about, factory))
}

// PolicyHandler is the handler that [Policy] serves.
func PolicyHandler(about About, factory func(wire.Configure) (pluginapi.Policy, error)) Handler {
	s := &policyService{made: made[pluginapi.Policy]{factory: factory}}
	return dispatch(map[string]Handler{
		wire.OpDescribe:   describe(about, wire.ContractPlacement),
		wire.OpConfigure:  s.made.configure,
		wire.OpCandidates: s.candidates,
		wire.OpRank:       s.rank,
	})
}

type policyService struct {
	made made[pluginapi.Policy]

	mu    sync.Mutex
	table *pluginapi.Table // never changed, only replaced; nil before the first
}

func (s *policyService) held() *pluginapi.Table {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table
}

func (s *policyService) candidates(_ context.Context, _ string, in []byte) ([]byte, error) {
	var m wire.Candidates // new each time: the table keeps what is decoded
	if err := m.Decode(in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := map[string]pluginapi.Candidate{}
	if m.Base != 0 {
		if s.table == nil || s.table.Epoch != m.Base {
			return nil, fmt.Errorf("take changes to the table of epoch %d: %w", m.Base, pluginapi.ErrStale)
		}
		for _, c := range s.table.Candidates {
			next[c.Node] = c
		}
	}
	for _, node := range m.Removed {
		delete(next, node)
	}
	for _, c := range m.Upserts {
		next[c.Node] = c
	}
	t := &pluginapi.Table{Epoch: m.Epoch, Candidates: make([]pluginapi.Candidate, 0, len(next))}
	for _, c := range next {
		t.Candidates = append(t.Candidates, c)
	}
	slices.SortFunc(t.Candidates, func(a, b pluginapi.Candidate) int { return strings.Compare(a.Node, b.Node) })
	s.table = t
	return nil, nil
}

func (s *policyService) rank(ctx context.Context, _ string, in []byte) ([]byte, error) {
	var m wire.Rank
	p, err := s.made.get(m.Decode(in))
	if err != nil {
		return nil, err
	}
	t := s.held()
	if t == nil || t.Epoch != m.Epoch {
		return nil, fmt.Errorf("rank by the table of epoch %d: %w", m.Epoch, pluginapi.ErrStale)
	}
	out := wire.Ranking{Scores: make([]int64, 0, len(m.Apps)*len(t.Candidates))}
	for _, app := range m.Apps {
		scores, err := p.Rank(ctx, app, t)
		if err != nil {
			return nil, fmt.Errorf("rank for %s: %w", app.Name, err)
		}
		if len(scores) != len(t.Candidates) {
			return nil, fmt.Errorf("rank for %s: the policy gave %d scores for %d candidates", app.Name, len(scores), len(t.Candidates))
		}
		out.Scores = append(out.Scores, scores...)
	}
	return out.Append(nil), nil
}

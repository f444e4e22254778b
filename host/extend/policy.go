package extend

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/host/plugin/guarded"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// passes says whether an error of a plugin is one that passes by itself.
func passes(err error) bool {
	return errors.Is(err, pluginapi.ErrPluginNotFound) || errors.Is(err, pluginapi.ErrUnreachable) || errors.Is(err, pluginapi.ErrBusy)
}

// Policy ranks the nodes for one app by a plugin, and by what is built in when
// the plugin fails.
type Policy struct {
	l *late
	g *guarded.Policy
}

// NewPolicy returns the policy of an app.
func NewPolicy(use PluginUse, fallback pluginapi.Policy, open Open, told func(guarded.Report)) (*Policy, error) {
	if err := pluginapi.CheckName("plugin", use.Plugin); err != nil {
		return nil, err
	}
	p := &Policy{l: &late{name: use.Plugin, open: open}}
	g, err := guarded.NewPolicy(guarded.PolicyConfig{
		Name: use.Plugin, Plugin: &presentPolicy{l: p.l}, Fallback: fallback, Told: told,
	})
	if err != nil {
		return nil, err
	}
	p.g = g
	return p, nil
}

// Rank implements [pluginapi.Policy].
func (p *Policy) Rank(ctx context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
	return p.g.Rank(ctx, app, table)
}

// Close ends the use.
func (p *Policy) Close(ctx context.Context) error { return p.l.close(ctx) }

// presentPolicy is the version that is active at the moment.
type presentPolicy struct {
	l  *late
	mu sync.Mutex
	p  *adapt.Policy
}

func (p *presentPolicy) Rank(ctx context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
	a, err := p.adapter(ctx)
	if err != nil {
		return nil, err
	}
	scores, err := a.Rank(ctx, app, table)
	if err != nil {
		p.forget() // the next version may be another one
	}
	return scores, err
}

func (p *presentPolicy) adapter(ctx context.Context) (*adapt.Policy, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.p != nil {
		return p.p, nil
	}
	inst, err := p.l.instance()
	if err != nil {
		return nil, err
	}
	p.p, err = adapt.NewPolicy(ctx, inst)
	return p.p, err
}

func (p *presentPolicy) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.p = nil
}

// Order sorts the nodes of a table by their scores, the best first, equal ones
// by name; unfit are those that must not be used.
func Order(table *pluginapi.Table, scores []int64) (nodes, unfit []string) {
	score := map[string]int64{}
	for i, c := range table.Candidates {
		score[c.Node] = scores[i]
		if scores[i] < 0 {
			unfit = append(unfit, c.Node)
		} else {
			nodes = append(nodes, c.Node)
		}
	}
	slices.SortFunc(nodes, func(a, b string) int {
		switch {
		case score[a] > score[b], score[a] == score[b] && a < b:
			return -1
		}
		return 1
	})
	return nodes, unfit
}

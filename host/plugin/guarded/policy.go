package guarded

import (
	"context"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/failure"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Report tells people of an error whose end is not an error of the caller, or is.
type Report struct {
	Plugin string
	App    string
	Kind   pluginapi.HookKind // "" for a ranking
	Calls  int                // that were made
	Then   failure.Outcome    // what the error did
	Err    error
}

// PolicyConfig says which policy is guarded, and how.
type PolicyConfig struct {
	Name     string           // of the plugin, for people
	Plugin   pluginapi.Policy // as an adapter
	Fallback pluginapi.Policy // what is built in
	Rule     failure.Rule     // the zero rule: [failure.ForPlacement]
	Deadline time.Duration    // of a ranking by the plugin; 0: 500 ms
	Circuit  *Circuit         // nil: one of its own
	Told     func(Report)     // told of each error that the fallback covers; nil: nobody
}

// Policy ranks by a plugin, and by what is built in when the plugin cannot.
type Policy struct {
	c     PolicyConfig
	calls *calls
}

// DefaultDeadline is how long a ranking by a plugin may take.
const DefaultDeadline = 500 * time.Millisecond

// NewPolicy guards a policy.
//
// # Errors
//
// One that wraps ErrInvalid: for a rule that makes no sense, that ignores errors
// (a ranking is needed), or that falls back to a policy that is not there.
func NewPolicy(c PolicyConfig) (*Policy, error) {
	if c.Rule == (failure.Rule{}) {
		c.Rule = failure.ForPlacement()
	}
	if c.Deadline == 0 {
		c.Deadline = DefaultDeadline
	}
	if err := c.Rule.Check(); err != nil {
		return nil, fmt.Errorf("policy %s: %w", c.Name, err)
	}
	if c.Rule.Then == failure.Ignore || c.Rule.Then == failure.Fallback && c.Fallback == nil {
		return nil, fmt.Errorf("%w: policy %s: outcome %s: give %s, with a policy to fall back to, or %s",
			pluginapi.ErrInvalid, c.Name, c.Rule.Then, failure.Fallback, failure.Fail)
	}
	if c.Told == nil {
		c.Told = func(Report) {}
	}
	return &Policy{c: c, calls: newCalls(c.Name, c.Circuit, c.Deadline)}, nil
}

// Rank ranks by the plugin; it takes the deadline at the most, retries and all.
//
// # Errors
//
// The context's; the plugin's when the rule says that it fails; the fallback's.
func (p *Policy) Rank(ctx context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, p.c.Deadline,
		fmt.Errorf("%w: plugin %s gave no ranking within %v", pluginapi.ErrPluginLimit, p.c.Name, p.c.Deadline))
	defer cancel()
	answer := make(chan []int64, p.c.Rule.Retries+1) // a call that was left behind writes here too
	n, then, err := p.calls.repeat(bounded, p.c.Rule, func(ctx context.Context, _ int) error {
		scores, err := p.c.Plugin.Rank(ctx, app, table)
		if err != nil {
			return err
		}
		if len(scores) != len(table.Candidates) {
			return fmt.Errorf("%w: %d scores for %d candidates", pluginapi.ErrPluginProtocol, len(scores), len(table.Candidates))
		}
		answer <- scores
		return nil
	})
	switch {
	case err == nil:
		return <-answer, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case then == failure.Fail:
		return nil, fmt.Errorf("rank by plugin %s: %w", p.c.Name, err)
	}
	p.c.Told(Report{Plugin: p.c.Name, App: app.Name, Calls: n, Then: then, Err: err})
	return p.c.Fallback.Rank(ctx, app, table)
}

// Close waits for rankings that were left behind. It does not close the plugin.
func (p *Policy) Close(ctx context.Context) error { return p.calls.close(ctx) }

package trial

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Candidates is how many nodes there are in the table that a policy is measured
// with.
const Candidates = 100

// maxSamples are the calls of one caller whose time is kept.
const maxSamples = 1 << 20

// Figures are what was measured of a plugin.
type Figures struct {
	What   string        // one call
	Mode   string        // compiled, interpreted, process
	Cold   time.Duration // from nothing to the first answer: compiled, started, configured
	Cached time.Duration // the same with the compiled code at hand; of a binary its second start
	Calls  int
	Rate   float64 // calls a second, of all callers together
	Lowest time.Duration
	P50    time.Duration
	P90    time.Duration
	P99    time.Duration
	Most   time.Duration
	Guests int
	Memory int64 // bytes of all guests after the calls
}

// Bench measures a plugin: its first call, and then calls one after the other by
// so many callers for so long. A policy ranks 100 candidates that it holds, a hook
// is told of a change of leader, or the first kind of event that it wants, a
// backend says its status.
//
// # Errors
//
// That of a start, and of the first call that fails.
func (p *Plugin) Bench(ctx context.Context, span time.Duration, callers int) (f Figures, err error) {
	if span <= 0 || callers < 1 {
		return f, fmt.Errorf("measure plugin: %w: %v by %d callers: give more than none", pluginapi.ErrInvalid, span, callers)
	}
	if f.Cold, err = p.firstCall(ctx); err != nil {
		return f, err
	}
	if f.Cached, err = p.firstCall(ctx); err != nil {
		return f, err
	}
	i, err := p.Load(ctx)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, closed(ctx, i)) }()
	what, call, err := p.oneCall(ctx, i)
	if err != nil {
		return f, err
	}
	f.What = what
	begin := time.Now()
	samples, err := callFor(ctx, span, callers, call)
	if err != nil {
		return f, fmt.Errorf("measure plugin: %w", err)
	}
	f.Calls = len(samples)
	f.Rate = float64(f.Calls) / time.Since(begin).Seconds()
	slices.Sort(samples)
	at := func(percent int) time.Duration { return samples[min(len(samples)-1, len(samples)*percent/100)] }
	f.Lowest, f.P50, f.P90, f.P99, f.Most = samples[0], at(50), at(90), at(99), samples[len(samples)-1]
	s := i.Stats()
	f.Mode, f.Guests, f.Memory = s.Mode, s.Guests, s.Memory
	return f, nil
}

func closed(ctx context.Context, i plugin.Instance) error {
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	return i.Close(end)
}

// firstCall is how long a new instance takes to answer.
func (p *Plugin) firstCall(ctx context.Context) (took time.Duration, err error) {
	begin := time.Now()
	i, err := p.Load(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, closed(ctx, i)) }()
	_, call, err := p.oneCall(ctx, i)
	if err == nil {
		err = call(ctx)
	}
	return time.Since(begin), err
}

// oneCall is what is measured, by the plugin's contract.
func (p *Plugin) oneCall(ctx context.Context, i plugin.Instance) (what string, call func(context.Context) error, err error) {
	switch p.Manifest.Contract {
	case wire.ContractPlacement:
		policy, err := adapt.NewPolicy(ctx, i)
		if err != nil {
			return "", nil, err
		}
		table, app := someNodes(), pluginapi.AppSpec{Name: App, Mode: "singleton", Leader: "node-007", Memory: 1 << 30, CPU: 500}
		return fmt.Sprintf("rank %d candidates", Candidates), func(ctx context.Context) error {
			_, err := policy.Rank(ctx, app, table)
			return err
		}, nil
	case wire.ContractHook:
		h, err := adapt.NewHook(ctx, i)
		if err != nil {
			return "", nil, err
		}
		e := pluginapi.HookEvent{ID: "trial.1", Kind: pluginapi.HookLeaderChange, Leader: Node, Platform: Platform, Node: Node, App: App, Epoch: 7, Attempt: 1, Time: 1_750_000_000_000}
		if !h.Wants(e.Kind) {
			kinds := pluginapi.HookKinds()
			e.Kind = kinds[max(0, slices.IndexFunc(kinds, h.Wants))]
		}
		return "event " + string(e.Kind), func(ctx context.Context) error { return h.Handle(ctx, e) }, nil
	}
	return "status", func(ctx context.Context) error {
		_, err := i.Call(ctx, wire.OpStatus, nil)
		return err
	}, nil
}

// someNodes are nodes as there could be.
func someNodes() *pluginapi.Table {
	t := &pluginapi.Table{Epoch: 1}
	for i := range int64(Candidates) {
		t.Candidates = append(t.Candidates, pluginapi.Candidate{
			Node: fmt.Sprintf("node-%03d", i), Healthy: i%17 != 0, Cordoned: i%13 == 0, Leads: i % 5, Cores: 8000, Load: i * 37 % 8000,
			Memory: 32 << 30, MemFree: i * 0x1357_0000 % (32 << 30), Joined: 1_750_000_000_000, Apps: []string{"api", "db"},
			Labels: []pluginapi.Label{{Key: "disk", Value: "ssd"}, {Key: "price", Value: fmt.Sprintf("0.%d", 1+i%7)}, {Key: "zone", Value: string(rune('a' + i%3))}},
		})
	}
	return t
}

// callFor calls for so long, and returns how long each call took.
func callFor(ctx context.Context, span time.Duration, callers int, call func(context.Context) error) (all []time.Duration, err error) {
	stop, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	var mu sync.Mutex
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			var mine []time.Duration
			var failed error
			for len(mine) < maxSamples && failed == nil && (stop.Err() == nil || len(mine) == 0) {
				begin := time.Now()
				failed = call(ctx)
				mine = append(mine, time.Since(begin))
			}
			mu.Lock()
			defer mu.Unlock()
			all, err = append(all, mine...), errors.Join(err, failed)
		})
	}
	group.Wait()
	return all, errors.Join(err, ctx.Err())
}

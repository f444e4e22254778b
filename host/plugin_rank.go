package host

import (
	"context"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/builtin/policy"
	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/extend"
	rules "github.com/ozanturksever/go-cluster/host/plugin/guarded"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// rankEvery is the time between two rankings when nothing has changed: what a
// policy goes by may be outside of the platform.
const rankEvery = time.Minute

// rankAgain is the time until a policy that could not be asked is asked again.
const rankAgain = time.Second

// ranker keeps the core told of what an app's policy thinks of the nodes.
type ranker struct {
	n    *Node
	app  App
	p    *extend.Policy
	said string // why the built-in policy was logged
	why  string // the policy could not be asked the last time; "": it was

	epoch uint64
	last  []pluginapi.Candidate
	lead  string
}

// serveRanks ranks the nodes for each app that has a policy.
func (n *Node) serveRanks(context.Context) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	var done []chan struct{}
	for _, a := range n.cfg.Apps {
		if a.Uses.Policy == nil {
			continue
		}
		use := *a.Uses.Policy
		r := &ranker{n: n, app: a}
		p, err := extend.NewPolicy(use, policy.Spread{}, n.opener(a.Name, use.Plugin, use.Config), r.told)
		if err != nil {
			cancel()
			return func() {}, err
		}
		r.p = p
		n.uses = append(n.uses, p)
		ended := make(chan struct{})
		done = append(done, ended)
		go func() { defer close(ended); r.run(ctx) }()
	}
	return func() {
		cancel()
		for _, d := range done {
			<-d
		}
	}, nil
}

func (r *ranker) run(ctx context.Context) {
	changed, cancel := r.n.Changes()
	defer cancel()
	tick := time.NewTicker(rankEvery)
	defer tick.Stop()
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		r.rank(ctx)
		if r.why != "" {
			again.Reset(rankAgain)
		}
		select {
		case <-again.C:
			r.last = nil
		case <-changed:
			if !r.differs() {
				continue
			}
		case <-tick.C:
			r.last = nil
		case <-ctx.Done():
			return
		}
	}
}

// differs says whether what a policy is told has changed since it was asked.
func (r *ranker) differs() bool {
	v := r.n.View()
	return !slices.EqualFunc(candidatesOf(v, r.app.Name), r.last, sameCandidate) || v.Apps[r.app.Name].Leader != r.lead
}

// told hears that what is built in has ranked the nodes. It is logged when the
// reason is a new one: it is tried again each second.
func (r *ranker) told(report rules.Report) {
	why := "it failed"
	if report.Err != nil {
		why = report.Err.Error()
	}
	if why != r.said {
		r.said = why
		r.n.log.Warn("the built-in policy ranks the nodes", "app", r.app.Name, "plugin", report.Plugin, "err", why)
	}
	r.why = why
}

// rank asks the policy and tells the core.
func (r *ranker) rank(ctx context.Context) {
	if !r.differs() {
		return
	}
	r.why = ""
	v := r.n.View()
	r.last, r.lead = candidatesOf(v, r.app.Name), v.Apps[r.app.Name].Leader
	if len(r.last) == 0 {
		return
	}
	r.epoch++
	table := &pluginapi.Table{Epoch: r.epoch, Candidates: r.last}
	spec := pluginapi.AppSpec{Name: r.app.Name, Mode: "singleton", Leader: r.lead}
	scores, err := r.p.Rank(ctx, spec, table) // it calls told before it returns
	if ctx.Err() != nil {
		return
	}
	if r.why == "" && err == nil {
		r.said = ""
	}
	if err != nil {
		r.last = nil
		r.n.log.Warn("rank nodes", "app", r.app.Name, "err", err)
		return
	}
	nodes, unfit := extend.Order(table, scores)
	r.n.in.put(core.Ranked{App: r.app.Name, Nodes: nodes, Unfit: unfit})
}

// candidatesOf are the nodes that have an app, by name.
func candidatesOf(v *core.View, app string) (out []pluginapi.Candidate) {
	for _, m := range v.Members {
		if !m.Up || !slices.Contains(m.Apps, app) {
			continue
		}
		c := pluginapi.Candidate{
			Node: m.NodeID, Apps: slices.Sorted(slices.Values(m.Apps)), Leads: int64(m.Leads),
			Joined: m.JoinedAt.UnixMilli(), Cordoned: m.Cordoned, Healthy: len(m.Failing) == 0,
		}
		for k, value := range m.Labels {
			c.Labels = append(c.Labels, pluginapi.Label{Key: k, Value: value})
		}
		slices.SortFunc(c.Labels, func(a, b pluginapi.Label) int {
			if a.Key < b.Key {
				return -1
			}
			return 1
		})
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b pluginapi.Candidate) int {
		if a.Node < b.Node {
			return -1
		}
		return 1
	})
	return out
}

func sameCandidate(a, b pluginapi.Candidate) bool {
	return a.Node == b.Node && slices.Equal(a.Labels, b.Labels) && slices.Equal(a.Apps, b.Apps) &&
		a.Leads == b.Leads && a.Cordoned == b.Cordoned && a.Healthy == b.Healthy
}

package trialtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/host/plugin/trial"
	"github.com/ozanturksever/go-cluster/pluginapi"
	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
	"github.com/ozanturksever/go-cluster/sdk-wasm/sdktest"
)

// Ranking is a question to a policy, and the order of the nodes that it has to
// come to.
type Ranking struct {
	Name   string
	Config string // JSON; "": the default
	App    pluginapi.AppSpec
	Nodes  []pluginapi.Candidate // sorted by name
	Want   string                // names of the fit nodes, the best first; of equals the first by name
}

// Order is the names of the fit nodes, as a host would prefer them.
func Order(nodes []pluginapi.Candidate, scores []int64) string {
	var best []int
	for i := range nodes {
		if scores[i] >= 0 {
			best = append(best, i)
		}
	}
	slices.SortStableFunc(best, func(a, b int) int { return int(scores[b] - scores[a]) })
	var names []string
	for _, i := range best {
		names = append(names, nodes[i].Node)
	}
	return strings.Join(names, " ")
}

// RankNative asks the questions of the plugin's code as it runs here.
func RankNative(t *testing.T, fresh func() *sdk.Guest, all []Ranking) {
	t.Helper()
	for _, r := range all {
		h := sdktest.New(t, fresh())
		if err := h.Configure(r.Config); err != nil {
			t.Fatal(err)
		}
		scores, err := h.Rank(r.App, r.Nodes...)
		if err != nil {
			t.Fatal(err)
		}
		if got := Order(r.Nodes, scores); got != r.Want {
			t.Errorf("%s: %s (%v), want %s", r.Name, got, scores, r.Want)
		}
	}
}

// RankModule asks the questions of the plugin in the runtime of a node.
func RankModule(t *testing.T, p *trial.Plugin, all []Ranking) {
	t.Helper()
	for _, r := range all {
		i, err := p.LoadWith(t.Context(), []byte(r.Config))
		if err != nil {
			t.Fatal(err)
		}
		policy, err := adapt.NewPolicy(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		scores, err := policy.Rank(t.Context(), r.App, &pluginapi.Table{Epoch: 1, Candidates: r.Nodes})
		if err != nil {
			t.Fatal(err)
		}
		if got := Order(r.Nodes, scores); got != r.Want {
			t.Errorf("%s: as a module: %s (%v), want %s", r.Name, got, scores, r.Want)
		}
		if err := i.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Bounded asks with whatever numbers nodes report: a fit node's score must lie
// within [base, base+span), and within the next span for each label that the app
// prefers.
func Bounded(t *testing.T, fresh func() *sdk.Guest, config string, base, span int64, zone []string) {
	t.Helper()
	h := sdktest.New(t, fresh())
	if err := h.Configure(config); err != nil {
		t.Fatal(err)
	}
	best := pluginapi.Label{Key: "best", Value: "yes"}
	for round := range uint64(500) {
		nodes := wild(round, best, zone)
		app := pluginapi.AppSpec{Name: "shop", Leader: "a", Prefers: []pluginapi.Label{best}, CPU: wildNumber(round), Weight: wildNumber(round + 1)}
		scores, err := h.Rank(app, nodes...)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range nodes {
			least := base
			if _, ok := c.Label(best.Key); ok {
				least += span
			}
			if scores[i] != pluginapi.Unfit && (scores[i] < least || scores[i] >= least+span) {
				t.Fatalf("%+v: score %d, want %d to %d", c, scores[i], least, least+span-1)
			}
		}
	}
}

package trial_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/builtin/policy"
	"github.com/ozanturksever/go-cluster/host/plugin/recording"
	"github.com/ozanturksever/go-cluster/host/plugin/trial"
	"github.com/ozanturksever/go-cluster/host/plugin/trial/trialtest"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// record asks the built-in policy through a recorder, as a host would.
func record(t *testing.T, questions ...func(ask func(app pluginapi.AppSpec, table *pluginapi.Table))) string {
	t.Helper()
	var out bytes.Buffer
	r := recording.NewRecorder(&out, 0)
	p := r.Policy(policy.Spread{})
	for _, q := range questions {
		q(func(app pluginapi.AppSpec, table *pluginapi.Table) {
			if _, err := p.Rank(t.Context(), app, table); err != nil {
				t.Fatal(err)
			}
		})
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func node(name, zone string, leads int64) pluginapi.Candidate {
	return pluginapi.Candidate{Node: name, Healthy: true, Leads: leads, Labels: []pluginapi.Label{{Key: "zone", Value: zone}}}
}

// TestPolicyOnTrial replays a recording of which the differences are known, and
// measures.
func TestPolicyOnTrial(t *testing.T) {
	p := trialtest.Open(t, trialtest.Build(t, "../../../plugins/placement/zone-spread"), "", nil)
	table := &pluginapi.Table{Epoch: 5, Candidates: []pluginapi.Candidate{node("a1", "a", 0), node("a2", "a", 9), node("b1", "b", 1), node("b2", "b", 1)}}
	none := &pluginapi.Table{Epoch: 6, Candidates: []pluginapi.Candidate{{Node: "x"}}}
	text := record(t, func(ask func(pluginapi.AppSpec, *pluginapi.Table)) {
		ask(pluginapi.AppSpec{Name: "shop"}, table)                // a1 leads nothing, but its zone leads much; b1 and b2 are equal
		ask(pluginapi.AppSpec{Name: "shop", Leader: "a2"}, table)  // both move it, to different nodes
		ask(pluginapi.AppSpec{Name: "shop", Leader: "b1"}, table)  // both leave it
		ask(pluginapi.AppSpec{Name: "shop", Leader: "gone"}, none) // nobody can have it
	})
	var told []trial.Difference
	done, err := p.Replay(t.Context(), strings.NewReader(text), func(d trial.Difference) { told = append(told, d) })
	if err != nil {
		t.Fatal(err)
	}
	if want := (trial.Replayed{Questions: 4, Same: 2, Different: 2, MovesBuiltIn: 2, MovesPlugin: 2}); done != want {
		t.Errorf("%+v, want %+v", done, want)
	}
	if len(told) != 2 || told[0].BuiltIn != "a1" || told[0].Plugin != "b1" || told[0].Epoch != 5 || told[0].App != "shop" || told[1].Leader != "a2" || told[1].Plugin != "b1" {
		t.Errorf("told %+v", told)
	}
	if _, err := p.Replay(t.Context(), strings.NewReader("{}"), nil); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("no recording: %v", err)
	}

	f, err := p.Bench(t.Context(), 100*time.Millisecond, 2)
	if err != nil {
		t.Fatal(err)
	}
	if f.Calls < 2 || f.Rate <= 0 || f.Lowest <= 0 || f.Lowest > f.P50 || f.P50 > f.P90 || f.P90 > f.P99 || f.P99 > f.Most ||
		f.Guests < 1 || f.Memory < 1<<20 || f.Mode == "" || f.Cold <= 0 || f.Cached <= 0 || f.What != "rank 100 candidates" {
		t.Errorf("figures %+v", f)
	}
	for _, bad := range []struct {
		span    time.Duration
		callers int
	}{{0, 1}, {time.Second, 0}} {
		if _, err := p.Bench(t.Context(), bad.span, bad.callers); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

package plugintest

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest/reference"
)

// Policy is the suite for policies.
type Policy struct {
	New       func(t T) pluginapi.Policy // a fresh one for each check, at least as far as what it has seen
	Reference bool                       // it is reference.Policy
}

// Run runs the suite.
func (s Policy) Run(t *testing.T) {
	t.Helper()
	run(t, s.Checks())
}

// Checks lists the suite: the laws, and the reference checks if they apply.
func (s Policy) Checks() []Check {
	with := func(fn func(t T, p pluginapi.Policy)) func(T) {
		return func(t T) { t.Helper(); fn(t, s.New(t)) }
	}
	checks := []Check{
		{"one score for each candidate", with(policyCounts)},
		{"the same question has the same answer", func(t T) { policyDecides(t, s.New(t), s.New(t)) }},
		{"what was asked before changes nothing", func(t T) { policyForgets(t, s.New(t), s.New) }},
		{"a table's changes are seen", func(t T) { policyFollows(t, s.New(t), s.New) }},
		{"the arguments are not changed", with(policyReadsOnly)},
		{"many at a time", with(policyConcurrent)},
		{"a context that has ended", with(policyCancelled)},
	}
	if s.Reference {
		checks = append(checks,
			Check{"label score, by hand", with(policyByHand)},
			Check{"label score, by the reference", with(policyByReference)},
			Check{"failures keep their code", with(policyFails)},
		)
	}
	return checks
}

func rank(t T, p pluginapi.Policy, app pluginapi.AppSpec, table *pluginapi.Table) []int64 {
	t.Helper()
	scores, err := p.Rank(t.Context(), app, table)
	if err != nil {
		t.Fatalf("rank %d candidates for %s: %v", len(table.Candidates), app.Name, err)
	}
	if len(scores) != len(table.Candidates) {
		t.Fatalf("rank for %s: %d scores for %d candidates", app.Name, len(scores), len(table.Candidates))
	}
	return scores
}

func policyCounts(t T, p pluginapi.Policy) {
	for i, n := range []int{0, 1, 2, 100, 1000} {
		for _, app := range apps() {
			rank(t, p, app, table(uint64(i+1), n, 7))
		}
	}
}

func policyDecides(t T, p, q pluginapi.Policy) {
	tab := table(1, 200, 3)
	for _, app := range apps() {
		first, again, other := rank(t, p, app, tab), rank(t, p, app, dup(tab)), rank(t, q, app, dup(tab))
		if !slices.Equal(first, again) {
			t.Errorf("%s: the second answer differs", app.Name)
		}
		if !slices.Equal(first, other) {
			t.Errorf("%s: another instance of the policy answers differently", app.Name)
		}
	}
}

func policyForgets(t T, p pluginapi.Policy, fresh func(T) pluginapi.Policy) {
	tables := []*pluginapi.Table{table(1, 100, 4), table(2, 60, 5)}
	var want [2][][]int64
	for i, tab := range tables {
		q := fresh(t) // it sees one table only
		for _, app := range apps() {
			want[i] = append(want[i], rank(t, q, app, tab))
		}
	}
	for i, app := range apps() {
		for _, k := range []int{0, 1, 0, 1} {
			if got := rank(t, p, app, tables[k]); !slices.Equal(got, want[k][i]) {
				t.Errorf("%s at epoch %d: one that has seen other tables answers differently", app.Name, tables[k].Epoch)
			}
		}
	}
}

// policyFollows changes the table in small steps, forth and back, as differences
// would.
func policyFollows(t T, p pluginapi.Policy, fresh func(T) pluginapi.Policy) {
	history := []*pluginapi.Table{table(1, 150, 6)}
	for i := range uint64(5) {
		history = append(history, changed(history[i], i+2, i))
	}
	history = append(history, history[3], &pluginapi.Table{Epoch: 20}, history[4], table(30, 1000, 8), history[0])
	app := apps()[1]
	for i, tab := range history {
		got := rank(t, p, app, tab)
		if want := rank(t, fresh(t), app, tab); !slices.Equal(got, want) {
			t.Fatalf("table %d of the history, epoch %d: scores %v, want %v", i, tab.Epoch, got, want)
		}
	}
}

func policyReadsOnly(t T, p pluginapi.Policy) {
	tab := table(1, 50, 9)
	before := dup(tab)
	for i, app := range apps() {
		rank(t, p, app, tab)
		if !reflect.DeepEqual(app, apps()[i]) || !reflect.DeepEqual(tab, before) {
			t.Fatalf("%s: the app or the table was changed", app.Name)
		}
	}
}

func policyConcurrent(t T, p pluginapi.Policy) {
	tables := []*pluginapi.Table{table(1, 100, 1), table(2, 100, 2), table(3, 10, 3)}
	var want [][]int64
	for _, tab := range tables {
		for _, app := range apps() {
			want = append(want, rank(t, p, app, tab))
		}
	}
	together(t, "rank by 16 goroutines", 16, func(g int) {
		for i := range 3 * len(want) {
			k := (i*5 + g) % len(want)
			got, err := p.Rank(t.Context(), apps()[k%len(apps())], tables[k/len(apps())])
			if err != nil || !slices.Equal(got, want[k]) {
				t.Errorf("rank at the same time as others: %v, %v, want %v", got, err, want[k])
				return
			}
		}
	})
}

func policyCancelled(t T, p pluginapi.Policy) {
	tab := table(1, 100, 1)
	want := rank(t, p, apps()[0], tab)
	ended(t, "rank with a context that has ended", func() {
		got, err := p.Rank(over(t), apps()[0], tab)
		if err == nil && !slices.Equal(got, want) {
			t.Errorf("with a context that has ended it answers %v and no error", got)
		}
	})
	if got := rank(t, p, apps()[0], tab); !slices.Equal(got, want) {
		t.Errorf("after a context that has ended it answers %v, want %v", got, want)
	}
}

func policyByHand(t T, p pluginapi.Policy) {
	label := func(k, v string) pluginapi.Label { return pluginapi.Label{Key: k, Value: v} }
	ssd, east, west := label("disk", "ssd"), label("zone", "east"), label("zone", "west")
	tab := &pluginapi.Table{Epoch: 1 << 40, Candidates: []pluginapi.Candidate{
		{Node: "a", Healthy: true},
		{Node: "b", Healthy: true, Labels: []pluginapi.Label{ssd, east}, MemFree: 5<<30 + 1, Leads: 2},
		{Node: "c", Healthy: true, Labels: []pluginapi.Label{ssd, west}, MemFree: 1<<30 - 1, Leads: 9},
		{Node: "d", Healthy: true, Labels: []pluginapi.Label{ssd, west}, MemFree: 300 << 30},
		{Node: "e", Labels: []pluginapi.Label{ssd, east}, MemFree: 5 << 30},
		{Node: "f", Healthy: true, Cordoned: true, Labels: []pluginapi.Label{ssd, east}},
		{Node: "g", Healthy: true, Labels: []pluginapi.Label{label("disk", "hdd"), east}},
	}}
	for _, c := range []struct {
		app  pluginapi.AppSpec
		want []int64
	}{
		{pluginapi.AppSpec{Name: "any"}, []int64{0, 3, 0, 300, -1, -1, 0}},
		{pluginapi.AppSpec{Name: "ssd", Requires: []pluginapi.Label{ssd}, Prefers: []pluginapi.Label{east}}, []int64{-1, 103, 0, 300, -1, -1, -1}},
		{pluginapi.AppSpec{Name: "two", Prefers: []pluginapi.Label{ssd, west}}, []int64{0, 103, 191, 500, -1, -1, 0}},
		{pluginapi.AppSpec{Name: "none", Requires: []pluginapi.Label{label("gpu", "yes")}}, []int64{-1, -1, -1, -1, -1, -1, -1}},
	} {
		if got := rank(t, p, c.app, tab); !slices.Equal(got, c.want) {
			t.Errorf("%s: scores %v, want %v", c.app.Name, got, c.want)
		}
	}
}

func policyByReference(t T, p pluginapi.Policy) {
	for seed := range uint64(5) {
		tab := table(seed+1, 1000, seed)
		for _, app := range apps() {
			want := rank(t, reference.Policy{}, app, tab)
			if got := rank(t, p, app, tab); !slices.Equal(got, want) {
				t.Fatalf("%s, seed %d: scores %v, want %v", app.Name, seed, got, want)
			}
		}
	}
}

func policyFails(t T, p pluginapi.Policy) {
	tab := table(1, 10, 1)
	for app, want := range failures() {
		_, err := p.Rank(t.Context(), pluginapi.AppSpec{Name: app}, tab)
		want(t, app, err)
	}
	if _, err := p.Rank(t.Context(), pluginapi.AppSpec{Name: "plain"}, tab); err != nil {
		t.Errorf("after failures it answers %v", err)
	}
	if _, err := p.Rank(t.Context(), pluginapi.AppSpec{Name: reference.AppVeto}, tab); !errors.Is(err, pluginapi.ErrRejected) {
		t.Errorf("the second veto is %v", err)
	}
}

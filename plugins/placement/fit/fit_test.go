package fit_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ozanturksever/go-cluster/builtin/policy"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/plugins/placement/fit"
)

// A node is unfit here where it is for the built-in policy: an operator who
// changes the policy of an app changes the order, not where it may run.
func TestUnfitAsBuiltIn(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	labels := func() (l []pluginapi.Label) {
		for _, k := range []string{"a", "b"} {
			if r.IntN(2) == 0 {
				l = append(l, pluginapi.Label{Key: k, Value: []string{"x", "y"}[r.IntN(2)]})
			}
		}
		return l
	}
	number := func() int64 { return []int64{0, 1, 2, 1 << 30, math.MaxInt64, -1}[r.IntN(6)] }
	both := [2]int{}
	for range 5000 {
		app := pluginapi.AppSpec{Name: "app", Requires: labels(), Memory: number(), Leader: []string{"", "n", "m"}[r.IntN(3)]}
		c := pluginapi.Candidate{
			Node: "n", Labels: labels(), Memory: number(), MemFree: number(), Leads: number(),
			Cordoned: r.IntN(4) == 0, Healthy: r.IntN(4) > 0,
		}
		scores, err := policy.Spread{}.Rank(context.Background(), app, &pluginapi.Table{Candidates: []pluginapi.Candidate{c}})
		if err != nil {
			t.Fatal(err)
		}
		want := scores[0] < 0
		if got := fit.Unfit(&app, &c); got != want {
			t.Fatalf("app %+v on %+v: unfit %v, the built-in policy says %v", app, c, got, want)
		}
		if want {
			both[0]++
		} else {
			both[1]++
		}
	}
	if both[0] < 500 || both[1] < 500 {
		t.Errorf("%d unfit and %d fit: the test does not ask much", both[0], both[1])
	}
}

func TestLabels(t *testing.T) {
	x, y := pluginapi.Label{Key: "k", Value: "x"}, pluginapi.Label{Key: "l", Value: "y"}
	c := pluginapi.Candidate{Labels: []pluginapi.Label{x, y}}
	for _, v := range []struct {
		app  pluginapi.AppSpec
		want int64
	}{
		{pluginapi.AppSpec{}, fit.Start},
		{pluginapi.AppSpec{Prefers: []pluginapi.Label{x, y}}, fit.Start + 2*fit.PerLabel},
		{pluginapi.AppSpec{Prefers: []pluginapi.Label{x, {Key: "k", Value: "z"}}, Avoids: []pluginapi.Label{y}}, fit.Start},
		{pluginapi.AppSpec{Avoids: []pluginapi.Label{x}}, fit.Start - fit.PerLabel},
	} {
		if got := fit.Labels(&v.app, &c); got != v.want {
			t.Errorf("%+v: %d, want %d", v.app, got, v.want)
		}
	}
}

func TestPart(t *testing.T) {
	for _, v := range [][4]int64{ // part, whole, points, want
		{1, 2, 100, 50}, {0, 2, 100, 0}, {3, 2, 100, 100}, {-1, 2, 100, 0}, {1, 0, 100, 0}, {1, -5, 100, 0},
		{math.MaxInt64, math.MaxInt64, 10_000, 10_000}, {math.MaxInt64 / 2, math.MaxInt64, 10_000, 4999},
		{1 << 39, 1 << 40, 10_000, 5000}, {math.MinInt64, math.MaxInt64, 10_000, 0},
	} {
		if got := fit.Part(v[0], v[1], v[2]); got != v[3] {
			t.Errorf("%d of %d: %d points of %d, want %d", v[0], v[1], got, v[2], v[3])
		}
	}
}

func TestRuns(t *testing.T) {
	c := pluginapi.Candidate{Node: "n", Apps: []string{"api", "db"}}
	for app, want := range map[*pluginapi.AppSpec]bool{
		{Name: "db"}: true, {Name: "web"}: false, {Name: "web", Leader: "n"}: true, {Name: "web", Leader: "m"}: false,
	} {
		if fit.Runs(app, &c) != want {
			t.Errorf("%+v: %v", app, !want)
		}
	}
	if fit.Runs(&pluginapi.AppSpec{Name: "web"}, &pluginapi.Candidate{}) {
		t.Error("a node without a name leads an app without a leader")
	}
}

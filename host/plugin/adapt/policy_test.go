package adapt_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/answer"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest/reference"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// scripted is an instance of one guest, whose calls are written down.
type scripted struct {
	do    func(ctx context.Context, op string, in []byte) ([]byte, error)
	guest plugin.Guest
	calls []string
}

func (s *scripted) Call(ctx context.Context, op string, in []byte) ([]byte, error) {
	out, err := s.do(ctx, op, in)
	s.calls = append(s.calls, told(op, in, err))
	return out, err
}

// told is a call as the tests write it.
func told(op string, in []byte, err error) string {
	text := op
	switch op {
	case wire.OpCandidates:
		var m wire.Candidates
		_ = m.Decode(in)
		text = fmt.Sprintf("%s %d>%d +%d -%d", op, m.Base, m.Epoch, len(m.Upserts), len(m.Removed))
	case wire.OpRank:
		var m wire.Rank
		_ = m.Decode(in)
		text = fmt.Sprintf("%s %d apps at %d", op, len(m.Apps), m.Epoch)
	}
	if err != nil {
		text += ": " + err.Error()
	}
	return text
}

func (s *scripted) Do(_ context.Context, fn func(*plugin.Guest) error) error {
	s.guest.Call = s.Call
	return fn(&s.guest)
}

func (s *scripted) Stats() plugin.Stats         { return plugin.Stats{} }
func (s *scripted) Close(context.Context) error { return nil }

// want compares the calls since the last time.
func (s *scripted) want(t *testing.T, calls ...string) {
	t.Helper()
	if !slices.Equal(s.calls, calls) {
		t.Errorf("calls\n%q\nwant\n%q", s.calls, calls)
	}
	s.calls = nil
}

// policyOver is a policy over a scripted instance that does what the reference
// policy does.
func policyOver(t *testing.T, deltas bool) (*adapt.Policy, *scripted) {
	t.Helper()
	about := reference.AboutPolicy()
	about.Deltas = deltas
	s := &scripted{do: (&answer.Plugin{About: about, Policy: reference.Policy{}}).Do}
	p, err := adapt.NewPolicy(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	s.want(t, "describe")
	return p, s
}

func nodes(epoch uint64, names ...string) *pluginapi.Table {
	tab := &pluginapi.Table{Epoch: epoch}
	for _, n := range names {
		tab.Candidates = append(tab.Candidates, pluginapi.Candidate{Node: n, Healthy: true, MemFree: int64(n[0]) << 30})
	}
	return tab
}

func mustRank(t *testing.T, p *adapt.Policy, tab *pluginapi.Table) {
	t.Helper()
	got, err := p.Rank(t.Context(), pluginapi.AppSpec{Name: "a"}, tab)
	want, _ := reference.Policy{}.Rank(t.Context(), pluginapi.AppSpec{Name: "a"}, tab)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("epoch %d: %v, %v, want %v", tab.Epoch, got, err, want)
	}
}

// TestOnlyChangesAreSent: nothing for the table that is held, a difference for
// another, a whole one where the difference would be large or cannot be named.
func TestOnlyChangesAreSent(t *testing.T) {
	p, s := policyOver(t, true)
	first := nodes(1, "a", "b", "c", "d", "e", "f")
	mustRank(t, p, first)
	s.want(t, "candidates 0>1 +6 -0", "rank 1 apps at 1")
	mustRank(t, p, first)
	s.want(t, "rank 1 apps at 1")

	second := nodes(2, "a", "b", "d", "e", "f", "g")
	mustRank(t, p, second)
	s.want(t, "candidates 1>2 +1 -1", "rank 1 apps at 2")

	third := nodes(3, "a", "b", "d", "e", "f", "g")
	third.Candidates[1].Labels = []pluginapi.Label{{Key: "k", Value: "v"}}
	third.Candidates[2].Apps = []string{"x"}
	mustRank(t, p, third)
	s.want(t, "candidates 2>3 +2 -0", "rank 1 apps at 3")

	mustRank(t, p, nodes(4, "a", "b", "d", "e", "f", "g"))
	s.want(t, "candidates 3>4 +2 -0", "rank 1 apps at 4")
	mustRank(t, p, nodes(4, "a", "b", "d", "e", "f", "z"))
	s.want(t, "candidates 0>4 +6 -0", "rank 1 apps at 4") // another table of the same epoch
	mustRank(t, p, nodes(41, "a", "b", "d", "e"))
	s.want(t, "candidates 4>41 +0 -2", "rank 1 apps at 41")
	mustRank(t, p, nodes(5, "p", "q", "r"))
	s.want(t, "candidates 0>5 +3 -0", "rank 1 apps at 5") // larger than half
	mustRank(t, p, nodes(0, "p", "q", "r"))
	s.want(t, "candidates 5>0 +0 -0", "rank 1 apps at 0")
	mustRank(t, p, nodes(6, "p", "q", "r"))
	s.want(t, "candidates 0>6 +3 -0", "rank 1 apps at 6") // epoch 0 is no base
}

func TestWholeTablesForWhoTakesNoDifferences(t *testing.T) {
	p, s := policyOver(t, false)
	mustRank(t, p, nodes(1, "a", "b", "c"))
	mustRank(t, p, nodes(2, "a", "b", "c"))
	s.want(t, "candidates 0>1 +3 -0", "rank 1 apps at 1", "candidates 0>2 +3 -0", "rank 1 apps at 2")
}

// TestStale: a guest that lost its table is given the whole one, once.
func TestStale(t *testing.T) {
	p, s := policyOver(t, true)
	first, second := nodes(1, "a", "b", "c", "d"), nodes(2, "a", "b", "c", "e")
	mustRank(t, p, first)
	s.calls = nil
	s.do = (&answer.Plugin{Policy: reference.Policy{}}).Do // a new guest, of which nobody was told
	mustRank(t, p, first)
	stale := ": stale table: asked about epoch 1"
	s.want(t, "rank 1 apps at 1"+stale, "candidates 0>1 +4 -0", "rank 1 apps at 1")
	s.do = (&answer.Plugin{Policy: reference.Policy{}}).Do
	mustRank(t, p, second)
	s.want(t, "candidates 1>2 +1 -1: stale table: the difference is to epoch 1", "candidates 0>2 +4 -0", "rank 1 apps at 2")

	forgetful := s.do
	s.do = func(ctx context.Context, op string, in []byte) ([]byte, error) {
		if op == wire.OpRank {
			return nil, pluginapi.ErrStale
		}
		return forgetful(ctx, op, in)
	}
	if _, err := p.Rank(t.Context(), pluginapi.AppSpec{}, second); !errors.Is(err, pluginapi.ErrStale) {
		t.Errorf("a guest that never holds a table: %v", err)
	}
	s.want(t, "rank 1 apps at 2: stale table", "candidates 0>2 +4 -0", "rank 1 apps at 2: stale table")
}

// TestAfterAFailedTableNothingIsHeld: what a guest made of a table that it
// refused is not known.
func TestAfterAFailedTableNothingIsHeld(t *testing.T) {
	p, s := policyOver(t, true)
	first, second := nodes(1, "a", "b", "c", "d"), nodes(2, "a", "b", "c", "e")
	mustRank(t, p, first)
	good := s.do
	s.do = func(context.Context, string, []byte) ([]byte, error) { return nil, pluginapi.ErrBusy }
	if _, err := p.Rank(t.Context(), pluginapi.AppSpec{}, second); !errors.Is(err, pluginapi.ErrBusy) {
		t.Errorf("%v", err)
	}
	s.do, s.calls = good, nil
	mustRank(t, p, first)
	s.want(t, "candidates 0>1 +4 -0", "rank 1 apps at 1")
}

// TestScoresAreCounted: too few, too many, or none are the plugin's fault.
func TestScoresAreCounted(t *testing.T) {
	p, s := policyOver(t, true)
	for _, n := range []int{0, 2, 4} {
		s.do = func(_ context.Context, op string, _ []byte) ([]byte, error) {
			if op == wire.OpRank {
				return (&wire.Ranking{Scores: make([]int64, n)}).Append(nil), nil
			}
			return nil, nil
		}
		if _, err := p.Rank(t.Context(), pluginapi.AppSpec{}, nodes(1, "a", "b", "c")); !errors.Is(err, pluginapi.ErrPluginProtocol) {
			t.Errorf("%d scores for 3 candidates: %v", n, err)
		}
	}
	s.do = func(context.Context, string, []byte) ([]byte, error) { return []byte{0xff}, nil }
	if _, err := p.Rank(t.Context(), pluginapi.AppSpec{}, nodes(1, "a")); !errors.Is(err, pluginapi.ErrPluginProtocol) {
		t.Errorf("no message: %v", err)
	}
}

// TestManyApps: as many apps in one call as the answer has room for.
func TestManyApps(t *testing.T) {
	p, s := policyOver(t, true)
	var names []string
	for i := range 30_000 {
		names = append(names, fmt.Sprintf("n%05d", i))
	}
	tab := nodes(1, names...)
	apps := make([]pluginapi.AppSpec, 7)
	for i := range apps {
		apps[i].Name = fmt.Sprint("app-", i)
	}
	apps[5].Requires = []pluginapi.Label{{Key: "none", Value: "such"}}
	all, err := p.RankAll(t.Context(), apps, tab)
	if err != nil || len(all) != len(apps) {
		t.Fatalf("%d rankings, %v", len(all), err)
	}
	for i, app := range apps {
		if want, _ := (reference.Policy{}).Rank(t.Context(), app, tab); !slices.Equal(all[i], want) {
			t.Errorf("%s: wrong scores", app.Name)
		}
	}
	s.want(t, "candidates 0>1 +30000 -0", "rank 3 apps at 1", "rank 3 apps at 1", "rank 1 apps at 1")
	if all, err = p.RankAll(t.Context(), nil, tab); err != nil || len(all) != 0 {
		t.Errorf("no apps: %v, %v", all, err)
	}
	if all, err = p.RankAll(t.Context(), apps, nodes(2)); err != nil || len(all) != 7 || len(all[6]) != 0 {
		t.Errorf("no candidates: %v, %v", all, err)
	}
	s.want(t)
}

// TestEveryFieldIsSeen: a candidate that differs in one field, any, is sent.
func TestEveryFieldIsSeen(t *testing.T) {
	fields := reflect.TypeFor[pluginapi.Candidate]()
	for i := range fields.NumField() {
		if fields.Field(i).Name == "Node" {
			continue
		}
		p, s := policyOver(t, true)
		mustRank(t, p, nodes(1, "a", "b", "c"))
		changed := nodes(2, "a", "b", "c")
		switch f := reflect.ValueOf(&changed.Candidates[1]).Elem().Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(!f.Bool())
		case reflect.Int64:
			f.SetInt(f.Int() + 1)
		default:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		}
		s.calls = nil
		mustRank(t, p, changed)
		s.want(t, "candidates 1>2 +1 -0", "rank 1 apps at 2")
		if t.Failed() {
			t.Fatalf("field %s", fields.Field(i).Name)
		}
	}
}

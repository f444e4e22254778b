package answer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/answer"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// seeing keeps the table that it is asked about.
type seeing struct{ table *pluginapi.Table }

func (s *seeing) Rank(_ context.Context, _ pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
	s.table = table
	return make([]int64, len(table.Candidates)), nil
}

// TestDifferencesMakeTheTable: a table that was built from differences is the
// one that was meant, and shares no memory with any message.
func TestDifferencesMakeTheTable(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	row := func(node int) pluginapi.Candidate {
		return pluginapi.Candidate{Node: fmt.Sprintf("n%03d", node), Leads: r.Int64N(100), Labels: []pluginapi.Label{{Key: "k", Value: fmt.Sprint(r.IntN(9))}}, Apps: []string{"a"}}
	}
	s := &seeing{}
	p := &answer.Plugin{Policy: s}
	want := map[string]pluginapi.Candidate{}
	do := func(op string, m interface{ Append([]byte) []byte }) error {
		in := m.Append(nil)
		_, err := p.Do(t.Context(), op, in)
		for i := range in {
			in[i] = 'X' // whoever still reads it is found out
		}
		return err
	}
	for epoch := range uint64(300) {
		m := &wire.Candidates{Base: epoch, Epoch: epoch + 1}
		for node := range 50 {
			name := fmt.Sprintf("n%03d", node)
			switch _, known := want[name]; {
			case r.IntN(10) == 0:
				m.Upserts = append(m.Upserts, row(node))
				want[name] = m.Upserts[len(m.Upserts)-1]
			case known && r.IntN(10) == 0:
				m.Removed = append(m.Removed, name)
				delete(want, name)
			}
		}
		if err := errors.Join(do(wire.OpCandidates, m), do(wire.OpRank, &wire.Rank{Epoch: epoch + 1, Apps: make([]pluginapi.AppSpec, 1)})); err != nil {
			t.Fatal(err)
		}
		if len(s.table.Candidates) != len(want) {
			t.Fatalf("%d candidates, want %d", len(s.table.Candidates), len(want))
		}
		for _, c := range s.table.Candidates {
			if !reflect.DeepEqual(c, want[c.Node]) {
				t.Fatalf("epoch %d: %+v, want %+v", epoch, c, want[c.Node])
			}
		}
		if !slices.IsSortedFunc(s.table.Candidates, func(a, b pluginapi.Candidate) int { return slices.Compare([]byte(a.Node), []byte(b.Node)) }) {
			t.Fatal("not sorted by node")
		}
	}
	for _, m := range []*wire.Candidates{{Base: 299, Epoch: 400}, {Base: 301, Epoch: 400}} {
		if err := do(wire.OpCandidates, m); !errors.Is(err, pluginapi.ErrStale) {
			t.Errorf("a difference to epoch %d: %v", m.Base, err)
		}
	}
	if err := do(wire.OpRank, &wire.Rank{Epoch: 299}); !errors.Is(err, pluginapi.ErrStale) {
		t.Errorf("rank at an old epoch: %v", err)
	}
}

// leased keeps the lease of its last start.
type leased struct {
	lease pluginapi.Lease
	ok    bool
	grace time.Duration
}

func (l *leased) Start(ctx context.Context) error {
	l.lease, l.ok = pluginapi.LeaseFrom(ctx)
	return nil
}

func (l *leased) Stop(ctx context.Context) error {
	end, _ := ctx.Deadline()
	l.grace = time.Until(end)
	return nil
}

func (l *leased) Health(context.Context) (pluginapi.BackendHealth, error) {
	return pluginapi.BackendHealth{Status: pluginapi.StatusRunning}, nil
}

// TestLeaseLastsUntilStop: it outlives the call of the start, for a backend that
// restarts its service asks it; it ends with the stop, and with another start.
func TestLeaseLastsUntilStop(t *testing.T) {
	l := &leased{}
	p := &answer.Plugin{Backend: l}
	start := func(epoch uint64) {
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := p.Do(ctx, wire.OpStart, (&wire.Start{Epoch: epoch}).Append(nil)); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	start(7)
	first := l.lease
	if !l.ok || first.Epoch != 7 || !first.Valid() {
		t.Errorf("after the start: %v, epoch %d", l.ok, first.Epoch)
	}
	start(8)
	second := l.lease
	if first.Valid() || !second.Valid() {
		t.Errorf("after another start: first %v, second %v", first.Valid(), second.Valid())
	}
	if _, err := p.Do(t.Context(), wire.OpStop, (&wire.Stop{GraceMS: 3_600_000}).Append(nil)); err != nil {
		t.Fatal(err)
	}
	if second.Valid() || l.grace < 50*time.Minute || l.grace > time.Hour {
		t.Errorf("after the stop: lease %v, grace %v", second.Valid(), l.grace)
	}
	if start(0); l.ok {
		t.Error("a start without leadership has a lease")
	}
	for _, ms := range []int64{-1, 1<<63 - 1} {
		if _, err := p.Do(t.Context(), wire.OpStop, (&wire.Stop{GraceMS: ms}).Append(nil)); err != nil {
			t.Errorf("a grace of %d ms: %v", ms, err)
		}
	}
}

// TestWhatItHasNot: a policy has no start, a backend that cannot be killed from
// outside no bind.
func TestWhatItHasNot(t *testing.T) {
	for _, c := range []struct {
		p   *answer.Plugin
		ops []string
	}{
		{&answer.Plugin{Policy: &seeing{}}, []string{wire.OpEvent, wire.OpStart, wire.OpStatus, "x"}},
		{&answer.Plugin{Backend: &leased{}}, []string{wire.OpEvent, wire.OpRank, wire.OpBind, "x"}},
		{&answer.Plugin{}, []string{wire.OpCandidates, wire.OpEvent, wire.OpStop, ""}},
	} {
		for _, op := range c.ops {
			if _, err := c.p.Do(t.Context(), op, nil); !errors.Is(err, pluginapi.ErrNoMethod) {
				t.Errorf("%+v: %s: %v", c.p.About, op, err)
			}
		}
	}
}

func TestConfigure(t *testing.T) {
	var got wire.Configure
	p := &answer.Plugin{Configure: func(_ context.Context, c wire.Configure) error { got = c; return answer.Fault("wrong", "no", true) }}
	in := (&wire.Configure{App: "a", Config: []byte("{}"), Seed: 9}).Append(nil)
	_, err := p.Do(t.Context(), wire.OpConfigure, in)
	clear(in)
	if !answer.IsRetry(err) || got.App != "a" || string(got.Config) != "{}" || got.Seed != 9 {
		t.Errorf("%+v, %v", got, err)
	}
	if answer.IsRetry(pluginapi.ErrBusy) || answer.IsRetry(nil) {
		t.Error("a plain error says that trying again helps")
	}
}

// TestFaultIsKeptUntilTheNextStart: whoever asks for the status is told, not only
// the first.
func TestFaultIsKeptUntilTheNextStart(t *testing.T) {
	b := &givesUp{failed: make(chan error, 1)}
	p := &answer.Plugin{Backend: b}
	failed := func() string {
		out, err := p.Do(t.Context(), wire.OpStatus, nil)
		var m wire.Status
		if err := errors.Join(err, m.Decode(out)); err != nil {
			t.Fatal(err)
		}
		return m.Failed
	}
	b.failed <- errors.New("worn out")
	if a, b := failed(), failed(); a != "worn out" || b != a {
		t.Errorf("status says %q, then %q", a, b)
	}
	if _, err := p.Do(t.Context(), wire.OpStart, nil); err != nil || failed() != "" {
		t.Errorf("after a start: %q, %v", failed(), err)
	}
}

type givesUp struct {
	leased
	failed chan error
}

func (g *givesUp) Failed() <-chan error { return g.failed }

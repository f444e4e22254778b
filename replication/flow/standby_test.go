package flow

import (
	"fmt"
	"testing"

	"github.com/ozanturksever/go-cluster/replication/page"
)

// chain is a change of one transaction from state tx-1 to state tx of a branch.
func chain(epoch, tx uint64, branch page.Sum) Change {
	return Change{Epoch: epoch, First: tx, Last: tx, Pre: page.Sum(tx-1) + branch, Post: page.Sum(tx) + branch}
}

// TestStandby: what a standby does with a message, when it stands at transaction
// 10 of epoch 2, message 20.
func TestStandby(t *testing.T) {
	following := func() *Standby {
		s := NewStandby(Position{Epoch: 1, TX: 3, Sum: 10}, 20)
		s.Step(Raised{Epoch: 2, Seq: 19})
		if out := fmt.Sprint(s.Step(Arrived{chain(2, 10, 0), 20})); out != "[{{2 10 10} 20}]" {
			t.Fatalf("it does not find its place: %s", out)
		}
		return s
	}
	const other = 1000 // the checksums of another branch
	for what, c := range map[string]struct {
		in   []Input
		want Effect
	}{
		"the next":            {[]Input{Arrived{chain(2, 11, 0), 21}}, Apply{chain(2, 11, 0)}},
		"the next epoch":      {[]Input{Raised{3, 21}, Arrived{chain(3, 11, 0), 22}}, Apply{chain(3, 11, 0)}},
		"an unheard epoch":    {[]Input{Arrived{chain(3, 11, 0), 22}}, Apply{chain(3, 11, 0)}},
		"an older epoch":      {[]Input{Raised{3, 21}, Arrived{chain(2, 11, 0), 22}}, Stale{chain(2, 11, 0)}},
		"a gap":               {[]Input{Arrived{chain(2, 12, 0), 21}}, Resync{WhyGap}},
		"another branch":      {[]Input{Arrived{chain(2, 11, other), 21}}, Resync{WhyGap}},
		"another past":        {[]Input{Raised{3, 21}, Arrived{chain(3, 9, 0), 22}}, Resync{WhyFork}},
		"the same again":      {[]Input{Arrived{chain(2, 10, 0), 20}}, nil},
		"the same once more":  {[]Input{Arrived{chain(2, 10, 0), 21}}, nil},
		"what was before":     {[]Input{Arrived{chain(2, 9, 0), 18}}, nil},
		"the end":             {[]Input{Reached{20}}, nil},
		"an old one, told":    {[]Input{Raised{3, 21}, Arrived{chain(2, 10, 0), 20}}, nil},
		"an old epoch, twice": {[]Input{Raised{3, 21}, Raised{2, 19}, Arrived{chain(3, 11, 0), 22}}, Apply{chain(3, 11, 0)}},
	} {
		s := following()
		var out []Effect
		for _, in := range c.in {
			out = append(out, s.Step(in)...)
		}
		var got Effect
		if len(out) > 0 {
			got = out[0]
		}
		if got != c.want || len(out) > 1 {
			t.Errorf("%s: %+v, want %+v", what, out, c.want)
		}
	}
}

// TestSearch: a standby finds its place by the checksum, whatever it remembers.
func TestSearch(t *testing.T) {
	for what, c := range map[string]struct {
		at   Position
		last uint64
		in   []Input
		want string
	}{
		"where a change ends":      {Position{1, 99, 11}, 30, []Input{Arrived{chain(2, 10, 0), 20}, Arrived{chain(2, 11, 0), 21}}, "[{{2 11 11} 21}]"},
		"where a change begins":    {Position{9, 5, 9}, 30, []Input{Arrived{chain(2, 10, 0), 20}}, fmt.Sprint([]Effect{Apply{chain(2, 10, 0)}})},
		"nowhere":                  {Position{2, 10, 7}, 21, []Input{Arrived{chain(2, 10, 0), 20}, Arrived{chain(2, 11, 0), 21}, Reached{21}}, "[{lost}]"},
		"not yet":                  {Position{2, 10, 7}, 21, []Input{Arrived{chain(2, 10, 0), 20}, Reached{20}}, "[]"},
		"nothing in both":          {Position{}, 0, []Input{Reached{0}}, "[]"},
		"an empty stream":          {Position{Sum: 5}, 0, []Input{Reached{0}}, "[{lost}]"},
		"an empty database, first": {Position{}, 30, []Input{Arrived{chain(1, 1, 0), 2}}, fmt.Sprint([]Effect{Apply{chain(1, 1, 0)}})},
	} {
		s := NewStandby(c.at, c.last)
		out := []Effect{}
		for _, in := range c.in {
			out = append(out, s.Step(in)...)
		}
		if got := fmt.Sprint(out); got != c.want {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
		if _, _, follows := s.Position(); follows != (what == "nothing in both" || len(out) == 1 && c.want != "[{lost}]") {
			t.Errorf("%s: follows: %v", what, follows)
		}
	}
}

// TestLateWords: what does not belong to the present state changes nothing.
func TestLateWords(t *testing.T) {
	s := NewStandby(Position{}, 0)
	p := NewPrimary(1, 1, Position{}, 0, 0)
	for _, in := range []Input{Applied{}, Failed{}} {
		if out := s.Step(in); out != nil {
			t.Errorf("%T: %v", in, out)
		}
	}
	for _, in := range []Input{Stored{5}, Refused{}, Unknown{}, Unreadable{}, Found{Epoch: 9}} {
		if out := p.Step(in); out != nil {
			t.Errorf("%T: %v", in, out)
		}
	}
	lost := NewStandby(Position{Sum: 5}, 0)
	lost.Step(Reached{0})
	for _, in := range []Input{Arrived{chain(1, 6, 0), 9}, Raised{1, 8}, Reached{9}, Applied{}} {
		if out := lost.Step(in); out != nil {
			t.Errorf("%T after the resync: %v", in, out)
		}
	}
	p.Step(Captured{chain(1, 1, 0)})
	p.Step(Refused{})
	if out := fmt.Sprint(p.Step(Found{Epoch: 2})); out != "[{2}]" {
		t.Errorf("fenced: %s", out)
	}
	if out := p.Step(Captured{chain(1, 2, 0)}); out != nil {
		t.Errorf("after its time: %v", out)
	}
}

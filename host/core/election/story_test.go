package election_test

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/story"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

var update = flag.Bool("update", false, "write what the machines did into the stories")

// TestStories plays every story in testdata. Run with -update and read the diff.
func TestStories(t *testing.T) {
	story.Play(t, *update, func(t *testing.T) func([]string) []string { return newActors(t).act })
}

// actors are the machines of one story: node a with a session of 1000 ms,
// renewed every 250, work stopped within 300, margin 20; a watch and an
// ownership on the same node.
type actors struct {
	t     *testing.T
	now   time.Time
	s     *election.Session
	w     *election.Watch
	o     *election.Ownership
	facts stubFacts
}

var start = time.Unix(1000, 0)

type stubFacts struct {
	self  election.Holder
	valid bool
	over  map[election.Holder]bool
}

func (f *stubFacts) Self(time.Time) (election.Holder, bool) { return f.self, f.valid }

func (f *stubFacts) Over(_ time.Time, h election.Holder) bool { return f.over[h] }

func newActors(t *testing.T) *actors {
	a := &actors{t: t, now: start, facts: stubFacts{self: election.Holder{Node: "a", Inc: 1}, valid: true, over: map[election.Holder]bool{}}}
	a.s = election.NewSession(election.SessionConfig{
		Node: "a", Home: "home", TTL: time.Second, Every: 250 * time.Millisecond, Budget: 300 * time.Millisecond,
		Margin: 20 * time.Millisecond, Retry: 10 * time.Millisecond,
	})
	a.w = election.NewWatch(election.WatchConfig{Self: "a", Margin: 20 * time.Millisecond, Retry: 10 * time.Millisecond})
	a.o = election.NewOwnership(election.OwnershipConfig{Key: "app", Retry: 10 * time.Millisecond, Rank: 5 * time.Millisecond, Floor: 0}, &a.facts)
	return a
}

func (a *actors) act(w []string) []string {
	switch w[0] {
	case "wait":
		a.now = a.now.Add(time.Duration(a.num(w[1])) * time.Millisecond)
		return nil
	case "session":
		return append(a.say(a.s.Step(a.now, a.sessionInput(w[1:]))), a.sessionState())
	case "watch":
		return a.watch(w[1:])
	case "self":
		a.facts.self, a.facts.valid = a.holder(w[1]), w[2] == "valid"
		return nil
	case "over":
		a.facts.over[a.holder(w[1])] = true
		return nil
	case "floor":
		a.o = election.NewOwnership(election.OwnershipConfig{Key: "app", Retry: 10 * time.Millisecond, Rank: 5 * time.Millisecond, Floor: pluginapi.Epoch(a.num(w[1]))}, &a.facts)
		return nil
	case "owner":
		return append(a.say(a.o.Step(a.now, a.ownerInput(w[1:]))), a.ownerState())
	}
	a.t.Fatalf("unknown step %q", w)
	return nil
}

func (a *actors) num(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		a.t.Fatal(err)
	}
	return n
}

// holder reads node/inc, or nobody.
func (a *actors) holder(s string) election.Holder {
	if s == "nobody" {
		return election.Holder{}
	}
	node, inc, _ := strings.Cut(s, "/")
	return election.Holder{Node: node, Inc: a.num(inc)}
}

func (a *actors) written(w []string) election.Written {
	for _, r := range []election.Result{election.Done, election.Conflict, election.Unknown, election.Refused} {
		if r.String() == w[0] {
			out := election.Written{Result: r}
			if len(w) > 1 {
				out.Seq = a.num(w[1])
			}
			return out
		}
	}
	a.t.Fatalf("unknown result %q", w)
	return election.Written{}
}

// record reads: node/inc n state home [by].
func (a *actors) record(w []string) election.SessionRecord {
	h := a.holder(w[0])
	r := election.SessionRecord{Node: h.Node, Inc: h.Inc, N: a.num(w[1]), TTLms: 1000, State: w[2], Home: w[3]}
	if len(w) > 4 {
		r.By = w[4]
	}
	return r
}

func (a *actors) sessionInput(w []string) election.Input {
	switch w[0] {
	case "tick":
		return election.Tick{}
	case "seen":
		if w[1] == "nothing" {
			return election.Seen{}
		}
		return election.Seen{Seq: a.num(w[1]), Record: a.record(w[2:])}
	case "written":
		return a.written(w[1:])
	case "leave":
		return election.Leave{}
	case "rejoin":
		return election.Rejoin{}
	case "drop":
		return election.Drop{Reason: strings.Join(w[1:], " ")}
	}
	a.t.Fatalf("unknown step %q", w)
	return nil
}

func (a *actors) ownerInput(w []string) election.Input {
	switch w[0] {
	case "tick":
		return election.Tick{}
	case "seen":
		if w[1] == "nothing" {
			return election.OwnerSeen{}
		}
		return election.OwnerSeen{Seq: a.num(w[1]), Record: election.OwnerRecord{Holder: a.holder(w[2]), Epoch: pluginapi.Epoch(a.num(w[3]))}}
	case "written":
		return a.written(w[1:])
	case "want":
		return election.Want{Want: true, Rank: int(a.num(w[1]))}
	case "unwant":
		return election.Want{}
	case "resign":
		return election.Resign{To: a.holder(w[1]), Reason: strings.Join(w[2:], " ")}
	case "decline":
		return election.Decline{To: a.holder(w[1]), Reason: strings.Join(w[2:], " ")}
	}
	a.t.Fatalf("unknown step %q", w)
	return nil
}

func (a *actors) watch(w []string) []string {
	switch w[0] {
	case "over?":
		return []string{fmt.Sprint(a.w.Over(a.now, a.holder(w[1])))}
	case "tick":
		return append(a.say(a.w.Step(a.now, election.Tick{})), a.next(a.w.Next()))
	case "observe":
		in := election.Observe{Nodes: w[1:]}
		if w[1] == "all" {
			in = election.Observe{All: true}
			if len(w) > 2 {
				in.Delay = time.Duration(a.num(w[2])) * time.Millisecond
			}
		}
		return append(a.say(a.w.Step(a.now, in)), a.next(a.w.Next()))
	case "seen":
		rec := a.record(w[2:])
		return append(a.say(a.w.Step(a.now, election.SessionSeen{Node: rec.Node, Seq: a.num(w[1]), Record: rec})), a.next(a.w.Next()))
	case "revoked":
		r := a.written(w[2:])
		return append(a.say(a.w.Step(a.now, election.RevokeDone{Node: w[1], Result: r.Result, Seq: r.Seq})), a.next(a.w.Next()))
	}
	a.t.Fatalf("unknown step %q", w)
	return nil
}

func (a *actors) say(effects []election.Effect) []string {
	var out []string
	for _, e := range effects {
		switch e := e.(type) {
		case election.Write:
			out = append(out, fmt.Sprintf("write %s after %d: %s", e.Key, e.After, election.Encode(e.Record)))
		case election.Renewed:
			out = append(out, fmt.Sprintf("renewed %d seq %d until %v", e.Inc, e.Seq, e.Until.Sub(start)))
		case election.MustStop:
			out = append(out, fmt.Sprintf("must stop before %v", e.Deadline.Sub(start)))
		case election.Revoke:
			out = append(out, fmt.Sprintf("revoke %s after %d: %s", e.Node, e.After, election.Encode(e.Record)))
		default:
			out = append(out, strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T%+v", e, e), "election.")))
		}
	}
	return out
}

func (a *actors) next(t time.Time) string {
	if t.IsZero() {
		return "no alarm"
	}
	return fmt.Sprintf("alarm %v", t.Sub(start))
}

func (a *actors) sessionState() string {
	valid := ""
	if a.s.Valid(a.now) {
		valid = ", valid"
	}
	return fmt.Sprintf("  [%v %v%s, %s]", a.now.Sub(start), a.s.Phase(), valid, a.next(a.s.Next()))
}

func (a *actors) ownerState() string {
	leads := "does not lead"
	if e, ok := a.o.Leads(a.now); ok {
		leads = fmt.Sprintf("leads in epoch %d", e)
	}
	return fmt.Sprintf("  [%v %s, %s]", a.now.Sub(start), leads, a.next(a.o.Next()))
}

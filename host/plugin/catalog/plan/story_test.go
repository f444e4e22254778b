package plan_test

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/host/story"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

var update = flag.Bool("update", false, "write what was decided into the stories")

// TestStories plays every story in testdata. Run with -update and read the diff.
func TestStories(t *testing.T) {
	story.Play(t, *update, func(t *testing.T) func([]string) []string {
		s := &stage{t: t, now: time.Unix(1000, 0), nodes: map[string]*plan.Report{}}
		return s.act
	})
}

// stage is one plugin, nodes that do at once what is wanted of them unless they
// are told otherwise, and a controller.
type stage struct {
	t     *testing.T
	now   time.Time
	p     plan.Plugin
	nodes map[string]*plan.Report
	slow  map[string]string // node -> why it does not come further
	fails map[string]string // "node version" -> why it cannot have it
	tally map[string]plan.Tally
	key   string
	since time.Time
	hoard bool // packages that nobody needs cannot be deleted
}

func version(v string) plan.Version {
	sum := sha256.Sum256([]byte(v))
	return plan.Version{Version: strings.TrimSuffix(v, "bis"), Digest: hex.EncodeToString(sum[:]), Blob: plan.BlobPrefix + strings.ReplaceAll(v, ".", "-"), Size: 100, Contract: wire.ContractHook}
}

func (s *stage) act(w []string) (told []string) {
	edit := func(p plan.Plugin, err error) []string {
		if err != nil {
			return []string{"refused: " + err.Error()}
		}
		s.p = p
		return s.settle()
	}
	switch w[0] {
	case "join":
		for _, n := range w[1:] {
			s.nodes[n] = &plan.Report{Node: n, Inc: 1}
		}
	case "die":
		delete(s.nodes, w[1])
	case "slow": // node why...
		s.put(&s.slow, w[1], strings.Join(w[2:], " "))
	case "quick":
		delete(s.slow, w[1])
	case "fails": // node version why...
		s.put(&s.fails, w[1]+" "+w[2], strings.Join(w[3:], " "))
	case "mend":
		clear(s.fails)
	case "calls": // node version calls faults slow
		slow, err := time.ParseDuration(w[5])
		if err != nil {
			s.t.Fatal(err)
		}
		if s.tally == nil {
			s.tally = map[string]plan.Tally{}
		}
		s.tally[w[1]+" "+w[2]] = plan.Tally{Calls: s.num(w[3]), Faults: s.num(w[4]), SlowUS: slow.Microseconds()}
	case "run":
		d, err := time.ParseDuration(w[1])
		if err != nil {
			s.t.Fatal(err)
		}
		for end := s.now.Add(d); s.now.Before(end); s.now = s.now.Add(time.Second) {
			told = append(told, s.settle()...)
		}
		return append(told, s.settle()...)
	case "controller": // another one takes over, and begins to count anew
		s.key = ""
	case "install":
		return edit(s.p.Install("greet", version(w[1])))
	case "upgrade":
		return edit(s.p.Upgrade("greet", version(w[1])))
	case "rollback":
		return edit(s.p.Rollback("greet"))
	case "remove":
		return edit(s.p.Remove("greet"))
	case "enable":
		return edit(s.p.SetEnabled("greet", true))
	case "disable":
		return edit(s.p.SetEnabled("greet", false))
	case "hoard":
		s.hoard = w[1] == "on"
	case "show":
		return s.show()
	default:
		s.t.Fatalf("unknown step %q", w)
	}
	return s.settle()
}

func (s *stage) put(m *map[string]string, k, v string) {
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[k] = v
}

func (s *stage) num(word string) uint64 {
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// settle lets nodes and controller act until nothing changes any more.
func (s *stage) settle() (told []string) {
	for range 50 {
		for _, n := range s.nodes {
			s.follow(n)
		}
		if k := s.p.Key(); k != s.key {
			s.key, s.since = k, s.now
		}
		var nodes []plan.Report
		for _, n := range s.nodes {
			nodes = append(nodes, *n)
		}
		slices.SortFunc(nodes, func(a, b plan.Report) int { return strings.Compare(a.Node, b.Node) })
		if len(s.p.Garbage) > 0 && !s.hoard {
			told = append(told, fmt.Sprintf("%3ds deletes %s", s.now.Unix()-1000, strings.ReplaceAll(strings.Join(s.p.Garbage, " "), plan.BlobPrefix, "")))
			s.p = s.p.Swept(s.p.Garbage)
		}
		p, changed := plan.Next(s.p, plan.World{Now: s.now, Since: s.since, Nodes: nodes})
		if !changed {
			return told
		}
		if _, err := plan.DecodePlugin("greet", p.Encode()); err != nil {
			s.t.Fatalf("the controller writes what it cannot read: %v", err)
		}
		s.p = p
		told = append(told, fmt.Sprintf("%3ds %s", s.now.Unix()-1000, s.line()))
	}
	s.t.Fatal("the controller does not come to rest")
	return nil
}

// follow is what a node does.
func (s *stage) follow(n *plan.Report) {
	want := s.p.Want(n.Node)
	st := plan.State{Name: "greet"}
	for _, d := range want.Keep {
		v, _ := s.p.Find(d)
		h := plan.Held{Digest: d, Version: v.Version, Stage: plan.Verified, Try: want.Try, Tally: s.tally[n.Node+" "+v.Version]}
		switch {
		case d == want.Active:
			h.Stage = plan.Active
		case slices.Contains(want.Ready, d):
			h.Stage = plan.Prepared
		}
		if why := s.fails[n.Node+" "+v.Version]; why != "" {
			h.Stage, h.Reason = plan.Failed, why
		}
		if why := s.slow[n.Node]; why != "" && s.p.Rollout != nil && d == s.p.Rollout.To {
			h.Stage, h.Reason = plan.Missing, why
		}
		st.Held = append(st.Held, h)
	}
	n.Plugins = []plan.State{st}
	if _, err := plan.DecodeReport(n.Node, n.Encode()); err != nil {
		s.t.Fatalf("a node reports what cannot be read: %v", err)
	}
}

func (s *stage) label(digest string) string {
	if v, ok := s.p.Find(digest); ok {
		return v.Version
	}
	return "-"
}

func (s *stage) line() string {
	out := fmt.Sprintf("current %s", s.label(s.p.Current))
	if s.p.Previous != "" {
		out += ", previous " + s.label(s.p.Previous)
	}
	if r := s.p.Rollout; r != nil {
		out += fmt.Sprintf(", %s of %s", r.Phase, s.label(r.To))
		if r.Node != "" {
			out += " on " + r.Node
		}
	}
	if l := s.p.Last; l != nil && s.p.Rollout == nil {
		out += fmt.Sprintf(", last: to %s done=%v %s", l.To, l.Done, l.Reason)
	}
	if n := len(s.p.Garbage); n > 0 {
		out += fmt.Sprintf(", garbage %d", n)
	}
	return strings.TrimSpace(out)
}

// show tells what each node runs.
func (s *stage) show() (told []string) {
	for _, name := range []string{"n1", "n2", "n3"} {
		n := s.nodes[name]
		if n == nil {
			continue
		}
		line := name + ":"
		for _, h := range n.Plugins[0].Held {
			line += " " + h.Version + "=" + string(h.Stage)
		}
		told = append(told, line)
	}
	return told
}

package membership_test

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/membership"
	"github.com/ozanturksever/go-cluster/host/story"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

var update = flag.Bool("update", false, "write what happened into the stories")

// TestStories plays every story in testdata. Run with -update and read the diff.
func TestStories(t *testing.T) {
	story.Play(t, *update, func(t *testing.T) func([]string) []string {
		return (&actor{t: t, followers: map[string]*membership.Follower{}}).act
	})
}

// actor is a controller that writes tables, and followers who miss some.
type actor struct {
	t         *testing.T
	table     membership.Table
	followers map[string]*membership.Follower
	node      membership.NodeRecord
}

func (a *actor) act(w []string) []string {
	switch w[0] {
	case "alive": // epoch node/inc ...
		return a.alive(w[1], w[2:])
	case "show": // follower
		return a.show(w[1])
	case "set", "remove", "cordon", "uncordon", "self", "failing":
		return a.edit(w[0], w[1:])
	case "crowd": // rounds in which one node comes and goes
		n, err := strconv.Atoi(w[1])
		if err != nil {
			a.t.Fatal(err)
		}
		for i := range n {
			a.alive("1", []string{"a/1", fmt.Sprintf("x/%d", i+1)})
		}
		return []string{fmt.Sprintf("version %d, %d events", a.table.Version, len(a.table.Events))}
	}
	a.t.Fatalf("unknown step %q", w)
	return nil
}

func (a *actor) alive(epoch string, words []string) []string {
	var alive []membership.Alive
	for _, s := range words {
		node, inc, _ := strings.Cut(s, "/")
		n, err := strconv.ParseUint(inc, 10, 64)
		if err != nil {
			a.t.Fatal(err)
		}
		alive = append(alive, membership.Alive{Node: node, Inc: n})
	}
	e, err := strconv.ParseUint(epoch, 10, 64)
	if err != nil {
		a.t.Fatal(err)
	}
	next, changed := membership.Diff(a.table, alive, pluginapi.Epoch(e), time.Unix(1000, 0), func(m membership.Entry) string { return "why of " + m.Node })
	if !changed {
		return []string{"no change"}
	}
	decoded, err := membership.DecodeTable(membership.Encode(next))
	if err != nil {
		a.t.Fatal(err)
	}
	a.table = decoded
	return []string{string(membership.Encode(next))}
}

func (a *actor) show(who string) []string {
	f := a.followers[who]
	if f == nil {
		f = &membership.Follower{}
		a.followers[who] = f
	}
	out := []string{}
	for _, e := range f.See(a.table) {
		if e.Left {
			out = append(out, fmt.Sprintf("%s/%d left: %s", e.Node, e.Inc, e.Reason))
		} else {
			out = append(out, fmt.Sprintf("%s/%d joined", e.Node, e.Inc))
		}
	}
	if len(out) == 0 {
		out = append(out, "nothing new")
	}
	return out
}

func (a *actor) edit(verb string, words []string) []string {
	yes, no := true, false
	e := membership.Edit{}
	switch verb {
	case "set":
		e.Set = map[string]string{}
		for _, w := range words {
			k, v, _ := strings.Cut(w, "=")
			e.Set[k] = v
		}
	case "remove":
		e.Remove = words
	case "failing":
		e.Failing = &words
	case "cordon":
		e.Cordon = &yes
	case "uncordon":
		e.Cordon = &no
	case "self":
		e.Self = &membership.NodeRecord{Address: words[0], Apps: words[1:], Labels: map[string]string{"not": "taken"}, Cordoned: true}
	}
	rec, changed := e.Apply(a.node)
	a.node = rec
	return []string{fmt.Sprintf("%s, changed: %v", membership.Encode(rec), changed)}
}

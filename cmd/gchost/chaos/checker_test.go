package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// check returns what in a journal breaks a promise, but for the hooks. All that it cannot
// understand breaks one too. frozen are the hosts, by pid, that stood still
// past their lease: nobody can call their OnPassive in time.
func check(entries []entry, frozen map[int]bool) []string {
	sorted := slices.Clone(entries)
	slices.SortStableFunc(sorted, byTime)
	var faults []string
	for _, e := range sorted {
		if e.T <= 0 || e.Node == "" || e.App == "" || e.PID <= 0 || e.Kind == "" {
			faults = append(faults, fmt.Sprintf("an entry that says too little: %+v", e))
		}
	}
	acting := slices.DeleteFunc(slices.Clone(sorted), func(e entry) bool {
		return !e.leads() || frozen[e.PID] && e.Text == "OnPassive"
	})
	faults = append(faults, checkOverlap(acting)...)
	faults = append(faults, checkEpochs(acting)...)
	return append(faults, checkMembers(sorted)...)
}

func byTime(a, b entry) int { return cmp.Compare(a.T, b.T) }

// leads says whether the entry is something that only a leader does.
func (e entry) leads() bool {
	switch e.Kind {
	case kindStart, kindAct:
		return true
	case kindHook:
		return e.Text == "OnActive" || e.Text == "OnPassive"
	}
	return false
}

// span is the time from the first to the last act of one process.
type span struct {
	first, last entry
}

func (s span) String() string {
	return fmt.Sprintf("%s on %s pid %d epoch %d from %v to %v", s.first.App, s.first.Node, s.first.PID, s.first.Epoch, time.Duration(s.first.T), time.Duration(s.last.T))
}

// spans returns when each process acted, in the order of the first act.
func spans(acting []entry) []span {
	type key struct {
		app, node string
		epoch     uint64
		pid       int
	}
	at := map[key]int{}
	var out []span
	for _, e := range acting {
		k := key{e.App, e.Node, e.Epoch, e.PID}
		i, known := at[k]
		if !known {
			i = len(out)
			at[k] = i
			out = append(out, span{first: e})
		}
		out[i].last = e
	}
	return out
}

// checkOverlap: of one app no two nodes act at the same time.
func checkOverlap(acting []entry) (faults []string) {
	all := spans(acting)
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.first.App == b.first.App && a.first.Node != b.first.Node && b.first.T <= a.last.T {
				faults = append(faults, fmt.Sprintf("overlap of %v: %v and %v", time.Duration(min(a.last.T, b.last.T)-b.first.T), a, b))
			}
		}
	}
	return faults
}

// checkEpochs: whoever leads has an epoch, it never goes down, and it belongs to
// one node.
func checkEpochs(acting []entry) (faults []string) {
	highest := map[string]entry{}
	owner := map[string]map[uint64]string{}
	for _, e := range acting {
		if e.Epoch == 0 {
			faults = append(faults, fmt.Sprintf("no epoch: %+v", e))
			continue
		}
		if owner[e.App] == nil {
			owner[e.App] = map[uint64]string{}
		}
		was, known := owner[e.App][e.Epoch]
		owner[e.App][e.Epoch] = e.Node
		switch h := highest[e.App]; {
		case known && was != e.Node:
			faults = append(faults, fmt.Sprintf("epoch %d of %s belongs to %s and %s", e.Epoch, e.App, was, e.Node))
		case e.Epoch < h.Epoch:
			faults = append(faults, fmt.Sprintf("an epoch goes down: %+v after %+v", e, h))
		default:
			highest[e.App] = e
		}
	}
	return slices.Compact(faults)
}

// checkHooks: in the life of a host OnActive and OnPassive take turns. Only the
// end of the process may leave an OnActive alone.
func checkHooks(entries []entry) (faults []string) {
	sorted := slices.Clone(entries)
	slices.SortStableFunc(sorted, byTime)
	type key struct {
		app, node string
		pid       int
	}
	active := map[key]bool{}
	stopped := map[key]bool{}
	for _, e := range sorted {
		if e.Kind != kindHook {
			continue
		}
		k := key{e.App, e.Node, e.PID}
		switch {
		case stopped[k]:
			faults = append(faults, fmt.Sprintf("a hook after OnStop: %+v", e))
		case e.Text == "OnActive" && active[k]:
			faults = append(faults, fmt.Sprintf("OnActive twice without OnPassive: %+v", e))
		case e.Text == "OnPassive" && !active[k]:
			faults = append(faults, fmt.Sprintf("OnPassive without OnActive: %+v", e))
		case e.Text == "OnStop" && active[k]:
			faults = append(faults, fmt.Sprintf("OnStop without OnPassive: %+v", e))
		}
		switch e.Text {
		case "OnActive", "OnPassive":
			active[k] = e.Text == "OnActive"
		case "OnStop":
			stopped[k] = true
		}
	}
	return faults
}

// checkMembers: each host is told joins and leaves of a node in turns, a join
// first.
func checkMembers(sorted []entry) (faults []string) {
	type key struct {
		app, node, about string
		pid              int
	}
	present := map[key]bool{}
	for _, e := range sorted {
		if e.Kind != kindTold || !strings.HasPrefix(e.Text, "OnMember") {
			continue
		}
		k := key{e.App, e.Node, e.About, e.PID}
		joins := e.Text == "OnMemberJoin"
		if e.About == "" || present[k] == joins {
			faults = append(faults, fmt.Sprintf("%s twice, or without its other half: %+v", e.Text, e))
		}
		present[k] = joins
	}
	return faults
}

// TestChecker plants violations: a checker that cannot find them proves nothing.
func TestChecker(t *testing.T) {
	act := func(at int64, node string, epoch uint64, pid int) entry {
		return entry{T: at, Node: node, App: "web", Epoch: epoch, PID: pid, Kind: kindAct}
	}
	hook := func(at int64, name string) entry {
		return entry{T: at, Node: "n1", App: "web", Epoch: 1, PID: 9, Kind: kindHook, Text: name}
	}
	told := func(at int64, name, about string) entry {
		return entry{T: at, Node: "n1", App: "web", PID: 9, Kind: kindTold, Text: name, About: about}
	}
	good := []entry{
		act(10, "n1", 1, 5), act(20, "n1", 1, 5), act(15, "n1", 1, 6), act(30, "n2", 2, 7), act(40, "n2", 2, 7), act(41, "n1", 3, 8),
		hook(5, "OnActive"), hook(21, "OnPassive"), hook(22, "OnStop"),
		told(1, "OnMemberJoin", "n2"), told(2, "OnMemberLeave", "n2"), told(3, "OnMemberJoin", "n2"),
	}
	if faults := append(check(good, nil), checkHooks(good)...); len(faults) > 0 {
		t.Errorf("a good journal: %v", faults)
	}
	late := []entry{act(1, "n1", 1, 5), hook(2, "OnActive"), act(3, "n2", 2, 6), hook(4, "OnPassive")}
	if faults := check(late, map[int]bool{9: true}); len(faults) > 0 {
		t.Errorf("OnPassive of a frozen host: %v", faults)
	}
	if faults := check(late, nil); len(faults) == 0 {
		t.Error("OnPassive of a host that was not frozen came late, and nobody noticed")
	}
	for name, c := range map[string]struct {
		want  string
		plant []entry
	}{
		"two act":               {"overlap", []entry{act(19, "n3", 2, 11), act(50, "n3", 2, 11)}},
		"one act within":        {"overlap", []entry{act(16, "n3", 2, 11)}},
		"at the same moment":    {"overlap", []entry{act(20, "n3", 2, 11)}},
		"only started":          {"overlap", []entry{{T: 16, Node: "n3", App: "web", Epoch: 2, PID: 11, Kind: kindStart}}},
		"hook while another":    {"overlap", []entry{{T: 35, Node: "n1", App: "web", Epoch: 1, PID: 9, Kind: kindHook, Text: "OnPassive"}}},
		"epoch goes down":       {"goes down", []entry{act(60, "n2", 2, 12)}},
		"epoch of two nodes":    {"belongs to", []entry{act(60, "n2", 3, 12)}},
		"no epoch":              {"no epoch", []entry{act(60, "n2", 0, 12)}},
		"says nothing":          {"too little", []entry{{T: 60}}},
		"active twice":          {"OnActive twice", []entry{hook(6, "OnActive")}},
		"passive twice":         {"OnPassive without", []entry{hook(21, "OnPassive")}},
		"passive first":         {"OnPassive without", []entry{hook(2, "OnPassive")}},
		"after the end":         {"after OnStop", []entry{hook(23, "OnActive")}},
		"stop of an active one": {"OnStop without", []entry{hook(7, "OnStop")}},
		"left twice":            {"twice", []entry{told(2, "OnMemberLeave", "n2")}},
		"left first":            {"twice", []entry{told(2, "OnMemberLeave", "n3")}},
		"joined twice":          {"twice", []entry{told(4, "OnMemberJoin", "n2")}},
		"nobody joined":         {"twice", []entry{told(4, "OnMemberJoin", "")}},
	} {
		t.Run(name, func(t *testing.T) {
			all := append(slices.Clone(good), c.plant...)
			if faults := strings.Join(append(check(all, nil), checkHooks(all)...), "\n"); !strings.Contains(faults, c.want) {
				t.Errorf("want a fault with %q, found %q", c.want, faults)
			}
		})
	}
}

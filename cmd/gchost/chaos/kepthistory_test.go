package chaos

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// What becomes of a kept event.
const (
	keptSent = "sent" // its publisher knows that it is stored
	keptGot  = "got"  // a handler has begun with it
	keptDone = "done" // a handler has ended, and is about to say so
)

// checkKept judges what became of kept events: each that was stored was handled,
// at least once; each has one place in the stream; and what a process gets for
// the first time comes in the order of the stream. count says how many there were
// of each.
func checkKept(entries []entry) (faults []string, count map[string]int) {
	count = map[string]int{}
	done, place := map[string]bool{}, map[string]uint64{}
	last := map[string]uint64{} // by process
	sorted := slices.Clone(entries)
	slices.SortStableFunc(sorted, byTime)
	for _, e := range sorted {
		if e.Kind != kindKept {
			continue
		}
		count[e.Text]++
		switch {
		case e.Text == keptSent:
			continue
		case e.Seq == 0 || e.Tries < 1 || e.About == "" || e.Text != keptGot && e.Text != keptDone:
			faults = append(faults, fmt.Sprintf("an entry that makes no sense: %+v", e))
			continue
		case place[e.About] != 0 && place[e.About] != e.Seq:
			faults = append(faults, fmt.Sprintf("stored twice, at %d and %d: %s", place[e.About], e.Seq, e.About))
		}
		place[e.About] = e.Seq
		if e.Text == keptDone {
			done[e.About] = true
			continue
		}
		if e.Tries > 1 {
			count["again"]++
			continue
		}
		if e.Seq <= last[e.client()] {
			faults = append(faults, fmt.Sprintf("out of order: after %d comes %+v", last[e.client()], e))
		}
		last[e.client()] = e.Seq
	}
	for _, e := range sorted {
		if e.Kind == kindKept && e.Text == keptSent && !done[e.About] {
			faults = append(faults, fmt.Sprintf("lost: %+v", e))
		}
	}
	return faults, count
}

// TestKeptChecker plants violations.
func TestKeptChecker(t *testing.T) {
	line := func(at int64, node, text, id string, seq uint64, tries int) entry {
		return entry{T: at, Node: node, App: "web", About: id, PID: 5, Kind: kindKept, Text: text, Seq: seq, Tries: tries}
	}
	good := []entry{
		line(1, "n1", keptSent, "a", 0, 0), line(2, "n1", keptSent, "b", 0, 0),
		line(3, "n1", keptGot, "a", 1, 1), line(4, "n2", keptGot, "b", 2, 1), line(5, "n2", keptDone, "b", 2, 1),
		line(20, "n2", keptGot, "a", 1, 2), line(21, "n2", keptDone, "a", 1, 2),
		line(22, "n2", keptGot, "c", 3, 1), // nobody knows that it was stored
	}
	if faults, count := checkKept(good); len(faults) > 0 || count["again"] != 1 {
		t.Errorf("a good journal: %v %v", faults, count)
	}
	for name, c := range map[string]struct {
		want  string
		plant []entry
	}{
		"lost":         {"lost", []entry{line(30, "n1", keptSent, "d", 0, 0)}},
		"begun only":   {"lost", []entry{line(30, "n1", keptSent, "d", 0, 0), line(31, "n1", keptGot, "d", 4, 1)}},
		"stored twice": {"stored twice", []entry{line(30, "n2", keptGot, "a", 4, 1)}},
		"out of order": {"out of order", []entry{line(30, "n2", keptGot, "d", 5, 1), line(31, "n2", keptGot, "e", 4, 1)}},
		"first twice":  {"out of order", []entry{line(30, "n2", keptGot, "b", 2, 1)}},
		"no place":     {"makes no sense", []entry{line(30, "n2", keptGot, "d", 0, 1)}},
		"never tried":  {"makes no sense", []entry{line(30, "n2", keptGot, "d", 4, 0)}},
	} {
		t.Run(name, func(t *testing.T) {
			faults, _ := checkKept(append(slices.Clone(good), c.plant...))
			if text := strings.Join(faults, "\n"); !strings.Contains(text, c.want) {
				t.Errorf("want a fault with %q, found %q", c.want, text)
			}
		})
	}
}

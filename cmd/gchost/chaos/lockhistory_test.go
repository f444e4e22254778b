package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// What a client of a lock writes, each with the time at which the call began.
const (
	lockHeld    = "held"    // the lock was given to it
	lockSeen    = "seen"    // its token was valid
	lockGiven   = "given"   // it gave the lock back
	lockLost    = "lost"    // it was told that it had lost the lock before
	lockUnsure  = "unsure"  // it gave the lock back, or was about to, and cannot say what became of it
	lockRefused = "refused" // it has no lock; its wish may have been granted all the same, and nobody knows
)

// lockCall is one act on a lock in a history: take, look, or end, which is when a
// hold is over for whatever reason.
type lockCall struct {
	op, lock, who string
	token         uint64
}

// lockState is a lock: who holds it, and the highest token so far.
type lockState struct {
	who   string
	token uint64
}

// lockStep says whether an act is possible. Each hold has exactly one end: one of
// unknown time can lie anywhere after the last look at it, or after all the rest.
func lockStep(state, input, _ any) (bool, any) {
	s, in := state.(lockState), input.(lockCall)
	mine := s.who == in.who && s.token == in.token
	switch in.op {
	case "take":
		return s.who == "" && in.token > s.token, lockState{in.who, in.token}
	case "look":
		return mine, s
	case "end":
		return mine, lockState{"", s.token}
	}
	return false, s
}

func lockModel() porcupine.Model {
	return porcupine.Model{Init: func() any { return lockState{} }, Step: lockStep}
}

// lockHistories makes the history of each lock out of a journal, and says what in
// the journal makes no sense. A wish that was refused, or never answered, has no
// place in a history: if it holds the lock, nobody knows, and all that others see
// is that they wait.
func lockHistories(entries []entry) (byLock map[string][]porcupine.Operation, faults []string) {
	type hold struct {
		entry
		over bool
	}
	byLock = map[string][]porcupine.Operation{}
	holds := map[string]*hold{}
	add := func(e entry, op string, call, ret int64) {
		in := lockCall{op, e.About, e.client(), e.Epoch}
		byLock[e.About] = append(byLock[e.About], porcupine.Operation{Input: in, Call: call, Return: ret})
	}
	sorted := slices.Clone(entries)
	slices.SortStableFunc(sorted, byTime)
	for _, e := range sorted {
		if e.Kind != kindLock || e.Text == lockRefused {
			continue
		}
		id := fmt.Sprint(e.About, " ", e.client(), " ", e.Epoch)
		h := holds[id]
		switch {
		case e.Since <= 0 || e.Since > e.T || e.Epoch == 0 || (h == nil) != (e.Text == lockHeld) || h != nil && (h.over || e.Since < h.T):
			faults = append(faults, fmt.Sprintf("an act that makes no sense: %+v", e))
		case e.Text == lockHeld:
			holds[id] = &hold{entry: e}
			add(e, "take", e.Since, e.T)
		case e.Text == lockSeen:
			h.entry = e
			add(e, "look", e.Since, e.T)
		case e.Text == lockGiven:
			h.over = true
			add(e, "end", e.Since, e.T)
		case e.Text == lockLost:
			h.over = true
			add(e, "end", h.Since, e.T) // at some time after it was held for certain
		case e.Text == lockUnsure:
			h.over = true
			add(e, "end", h.Since, math.MaxInt64)
		default:
			faults = append(faults, fmt.Sprintf("an unknown act: %+v", e))
		}
	}
	for _, h := range holds { // whoever was killed
		if !h.over {
			add(h.entry, "end", h.Since, math.MaxInt64)
		}
	}
	return byLock, faults
}

// client names a client of one process.
func (e entry) client() string { return fmt.Sprintf("%s/%d/%d", e.Node, e.PID, e.Client) }

// checkLocks has the histories of all locks in a journal judged.
func checkLocks(entries []entry) (faults []string) {
	byLock, faults := lockHistories(entries)
	for _, lock := range slices.Sorted(maps.Keys(byLock)) {
		ops := byLock[lock]
		result, info := porcupine.CheckOperationsVerbose(lockModel(), ops, time.Minute)
		switch result {
		case porcupine.Unknown:
			faults = append(faults, fmt.Sprintf("the history of lock %s could not be judged in a minute", lock))
		case porcupine.Illegal:
			faults = append(faults, fmt.Sprintf("the history of lock %s is not that of a lock:\n%s", lock, unexplained(ops, info)))
		}
	}
	return faults
}

// unexplained shows where the longest explanation of a history ends, and what
// comes next.
func unexplained(ops []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []porcupine.Operation
	for _, part := range info.PartialLinearizationsOperations()[0] {
		if len(part) > len(longest) {
			longest = part
		}
	}
	placed := map[string]bool{}
	for _, o := range longest {
		placed[showOp(o)] = true
	}
	ops = slices.DeleteFunc(slices.Clone(ops), func(o porcupine.Operation) bool { return placed[showOp(o)] })
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var b strings.Builder
	for _, o := range longest[max(0, len(longest)-10):] {
		b.WriteString(showOp(o))
	}
	b.WriteString("not explained:\n")
	for _, o := range ops[:min(len(ops), 15)] {
		b.WriteString(showOp(o))
	}
	return b.String()
}

func showOp(o porcupine.Operation) string {
	return fmt.Sprintf("%v to %v %+v\n", time.Duration(o.Call), time.Duration(o.Return), o.Input)
}

// TestLockChecker plants violations: a model that takes everything proves nothing.
func TestLockChecker(t *testing.T) {
	line := func(since, at int64, node, text string, token uint64) entry {
		return entry{T: at, Since: since, Node: node, App: "web", About: "x", PID: 5, Kind: kindLock, Text: text, Epoch: token}
	}
	good := []entry{
		line(1, 9, "n3", lockRefused, 0),
		line(1, 10, "n1", lockHeld, 3), line(11, 12, "n1", lockSeen, 3), line(13, 20, "n1", lockGiven, 3),
		line(2, 17, "n2", lockHeld, 5), line(18, 19, "n2", lockSeen, 5), // and is killed
		line(3, 40, "n1", lockHeld, 6), line(41, 42, "n1", lockSeen, 6), line(70, 71, "n1", lockLost, 6),
		line(50, 60, "n3", lockHeld, 7), line(61, 62, "n3", lockUnsure, 7),
		line(63, 90, "n1", lockHeld, 9),
	}
	if faults := checkLocks(good); len(faults) > 0 {
		t.Errorf("a good history: %v", faults)
	}
	const broken, senseless = "not that of a lock", "makes no sense"
	for name, c := range map[string]struct {
		want  string
		plant []entry
	}{
		"two hold":                       {broken, []entry{line(4, 11, "n3", lockHeld, 4), line(11, 12, "n3", lockGiven, 4)}},
		"seen by the old holder":         {broken, []entry{line(43, 44, "n2", lockSeen, 5)}},
		"seen while the next one sees":   {broken, []entry{line(63, 64, "n1", lockSeen, 6)}},
		"a token goes down":              {broken, []entry{line(64, 65, "n2", lockHeld, 4), line(66, 67, "n2", lockGiven, 4)}},
		"a token twice":                  {broken, []entry{line(64, 65, "n2", lockHeld, 7), line(66, 67, "n2", lockGiven, 7)}},
		"taken from one who still looks": {broken, []entry{line(91, 95, "n2", lockHeld, 11), line(96, 97, "n1", lockSeen, 9)}},
		"given back, and held on":        {senseless, []entry{line(21, 22, "n1", lockSeen, 3)}},
		"ends twice":                     {senseless, []entry{line(21, 22, "n1", lockGiven, 3)}},
		"never held":                     {senseless, []entry{line(21, 22, "n3", lockGiven, 3)}},
		"no token":                       {senseless, []entry{line(91, 92, "n3", lockHeld, 0)}},
		"time goes back":                 {senseless, []entry{line(99, 92, "n3", lockHeld, 12)}},
		"unknown":                        {"unknown act", []entry{line(91, 92, "n1", "what", 9)}},
	} {
		t.Run(name, func(t *testing.T) {
			if faults := strings.Join(checkLocks(append(slices.Clone(good), c.plant...)), "\n"); !strings.Contains(faults, c.want) {
				t.Errorf("want a fault with %q, found %q", c.want, faults)
			}
		})
	}
}

package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// kvCall is one call of a bucket in a history, kvAnswer what came of it.
type kvCall struct {
	op, key, value string
	at             uint64
}

type kvAnswer struct {
	value    string
	revision uint64
	found    bool
	unknown  bool // it may take effect at any time after the call, or never
}

// kvState is a key. After a change of unknown revision exact is false, and
// revision the least that it can be.
type kvState struct {
	value    string
	live     bool
	revision uint64
	exact    bool
}

func (s kvState) at(revision uint64) bool {
	return s.revision == revision || !s.exact && revision > s.revision
}

// kvStep says whether an answer can be, given the state of the key, and what the
// state is then. A change of unknown fate can always be placed at the end of the
// history, where nobody sees it.
func kvStep(state, input, output any) (bool, any) {
	s, in, out := state.(kvState), input.(kvCall), output.(kvAnswer)
	if in.op == "read" {
		if out.found != s.live || out.found && (out.value != s.value || !s.at(out.revision)) {
			return false, s
		}
		if out.found {
			s.revision, s.exact = out.revision, true
		}
		return true, s
	}
	holds := true
	switch in.op {
	case "update":
		holds = s.at(in.at)
	case "create":
		holds = !s.live
	}
	if !holds {
		return out.unknown, s
	}
	if !out.unknown && in.op != "delete" && out.revision <= s.revision {
		return false, s
	}
	next := kvState{value: in.value, live: in.op != "delete", revision: max(s.revision, in.at) + 1}
	if !out.unknown && in.op != "delete" {
		next.revision, next.exact = out.revision, true
	}
	return true, next
}

func kvModel() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
			byKey := map[string][]porcupine.Operation{}
			for _, o := range history {
				key := o.Input.(kvCall).key
				byKey[key] = append(byKey[key], o)
			}
			for _, ops := range byKey {
				parts = append(parts, ops)
			}
			return parts
		},
		Init: func() any { return kvState{exact: true} },
		Step: kvStep,
	}
}

// TestKVModel: the model takes what can be and no more.
func TestKVModel(t *testing.T) {
	op := func(call, ret int64, in kvCall, out kvAnswer) porcupine.Operation {
		return porcupine.Operation{Input: in, Call: call, Output: out, Return: ret}
	}
	put := func(v string, rev uint64) (kvCall, kvAnswer) {
		return kvCall{op: "put", value: v}, kvAnswer{revision: rev}
	}
	read := func(v string, rev uint64) (kvCall, kvAnswer) {
		return kvCall{op: "read"}, kvAnswer{value: v, revision: rev, found: rev > 0}
	}
	ops := func(all ...porcupine.Operation) []porcupine.Operation { return all }
	with := func(call, ret int64) func(kvCall, kvAnswer) porcupine.Operation {
		return func(in kvCall, out kvAnswer) porcupine.Operation { return op(call, ret, in, out) }
	}
	unknown := op(3, math.MaxInt64, kvCall{op: "put", value: "b"}, kvAnswer{unknown: true})
	for name, c := range map[string]struct {
		want bool
		h    []porcupine.Operation
	}{
		"in order":            {true, ops(with(1, 2)(put("a", 1)), with(3, 4)(read("a", 1)))},
		"stale":               {false, ops(with(1, 2)(put("a", 1)), with(3, 4)(put("b", 2)), with(5, 6)(read("a", 1)))},
		"lost":                {false, ops(with(1, 2)(put("a", 1)), with(3, 4)(read("", 0)))},
		"back":                {false, ops(with(1, 2)(put("a", 2)), with(3, 4)(put("b", 1)))},
		"unknown, seen":       {true, ops(with(1, 2)(put("a", 1)), unknown, with(5, 6)(read("b", 9)))},
		"unknown, never":      {true, ops(with(1, 2)(put("a", 1)), unknown, with(5, 6)(read("a", 1)))},
		"unknown, twice":      {false, ops(with(1, 2)(put("a", 1)), unknown, with(5, 6)(read("b", 9)), with(7, 8)(read("b", 10)))},
		"unknown, and undone": {false, ops(with(1, 2)(put("a", 1)), unknown, with(5, 6)(read("b", 9)), with(7, 8)(read("a", 1)))},
		"both win": {false, ops(with(1, 2)(put("a", 1)), op(3, 9, kvCall{op: "update", value: "x", at: 1}, kvAnswer{revision: 2}),
			op(3, 9, kvCall{op: "update", value: "y", at: 1}, kvAnswer{revision: 3}))},
		"created twice": {false, ops(op(1, 9, kvCall{op: "create", value: "x"}, kvAnswer{revision: 2}), op(1, 9, kvCall{op: "create", value: "y"}, kvAnswer{revision: 3}))},
	} {
		if got := porcupine.CheckOperations(kvModel(), c.h); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// kvHistory is what all clients of a test did.
type kvHistory struct {
	begun   time.Time
	mu      sync.Mutex
	ops     []porcupine.Operation
	refused []porcupine.Operation // changes that met a conflict, as if their fate were unknown
	count   map[string]int
}

// do makes one call and enters it. A change that was certainly not made has no
// place in a history, nor has a read that got no answer.
func (h *kvHistory) do(client int, in kvCall, call func() (bus.Entry, error)) (bus.Entry, bool) {
	start := time.Since(h.begun).Nanoseconds()
	e, err := call()
	end := time.Since(h.begun).Nanoseconds()
	out := kvAnswer{value: string(e.Value), revision: e.Revision, found: err == nil}
	outcome := "ok"
	switch {
	case err == nil, in.op == "read" && errors.Is(err, pluginapi.ErrKeyNotFound):
	case in.op != "read" && errors.Is(err, bus.ErrUnknown):
		out.unknown, end, outcome = true, math.MaxInt64, "unknown"
	case errors.Is(err, bus.ErrConflict), errors.Is(err, pluginapi.ErrKeyExists):
		outcome = "conflict"
	default:
		outcome = "not done"
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count[in.op+" "+outcome]++
	if outcome == "conflict" {
		h.refused = append(h.refused, porcupine.Operation{ClientId: client, Input: in, Call: start, Output: kvAnswer{unknown: true}, Return: math.MaxInt64})
	}
	if outcome == "ok" || outcome == "unknown" {
		h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Call: start, Output: out, Return: end})
	}
	return e, err == nil
}

// kvClient makes calls at random until ctx ends.
func (h *kvHistory) client(ctx context.Context, id int, b *bus.Bucket) {
	rng := rand.New(rand.NewPCG(7, uint64(id)))
	last := map[string]bus.Entry{}
	for n := 0; ctx.Err() == nil; n++ {
		key := fmt.Sprint("k", rng.IntN(4))
		in := kvCall{key: key, value: fmt.Sprint(id, "-", n), at: last[key].Revision, op: []string{"put", "update", "update", "create", "delete", "read", "read"}[rng.IntN(7)]}
		if in.op == "update" && in.at == 0 {
			in.op = "read"
		}
		e, ok := h.call(id, b, in)
		if ok && in.op != "delete" {
			last[key] = e
		} else {
			delete(last, key)
		}
	}
}

func (h *kvHistory) call(client int, b *bus.Bucket, in kvCall) (bus.Entry, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
	defer cancel()
	return h.do(client, in, func() (e bus.Entry, err error) {
		value := []byte(in.value)
		switch in.op {
		case "put":
			e.Revision, err = b.Put(ctx, in.key, value)
		case "update":
			e.Revision, err = b.Update(ctx, in.key, value, in.at)
		case "create":
			e.Revision, err = b.Create(ctx, in.key, value)
		case "delete":
			err = b.Delete(ctx, in.key)
		case "read":
			return b.GetLinearizable(ctx, in.key)
		}
		return e, err
	})
}

func (h *kvHistory) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ops)
}

// stored adds the changes that met a conflict and were stored all the same: a
// server that has been frozen refuses a change by what it knows, while the one
// that leads now makes it. Values are unique, so that whoever has read one tells.
func (h *kvHistory) stored(t *testing.T) {
	read := map[string]bool{}
	for _, o := range h.ops {
		if out := o.Output.(kvAnswer); o.Input.(kvCall).op == "read" && out.found {
			read[out.value] = true
		}
	}
	for _, o := range h.refused {
		if read[o.Input.(kvCall).value] {
			t.Logf("refused, and stored all the same: %s", show([]porcupine.Operation{o}))
			h.ops = append(h.ops, o)
		}
	}
}

// check has the history judged. What cannot be is shown: what was explained last
// of the key, and the calls that could not be placed after it.
func (h *kvHistory) check(t *testing.T) {
	t.Helper()
	h.stored(t)
	for _, ops := range kvModel().Partition(h.ops) {
		result, info := porcupine.CheckOperationsVerbose(kvModel(), ops, time.Minute)
		switch result {
		case porcupine.Unknown:
			t.Error("a history could not be checked in a minute")
		case porcupine.Illegal:
			var longest []porcupine.Operation
			for _, part := range info.PartialLinearizationsOperations()[0] {
				if len(part) > len(longest) {
					longest = part
				}
			}
			t.Errorf("the history is not linearizable; explained are %d of %d calls, the last of them:\n%s", len(longest), len(ops), show(longest[max(0, len(longest)-15):]))
			placed := map[string]bool{}
			for _, o := range longest {
				placed[show([]porcupine.Operation{o})] = true
			}
			ops = slices.DeleteFunc(ops, func(o porcupine.Operation) bool { return placed[show([]porcupine.Operation{o})] })
			slices.SortFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
			t.Logf("not explained:\n%s", show(ops[:min(len(ops), 25)]))
		}
	}
}

func show(ops []porcupine.Operation) string {
	var b strings.Builder
	for _, o := range ops {
		fmt.Fprintf(&b, "%8.2f ms to %8.2f ms client %d %+v -> %+v\n", float64(o.Call)/1e6, float64(o.Return)/1e6, o.ClientId, o.Input, o.Output)
	}
	return b.String()
}

package plan_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// world is one plugin on some nodes, with everything that may go wrong: nodes
// crash and come back with or without their disk, controllers change in the
// middle and act on old records, people change their minds, versions cannot be
// loaded, writes get lost or are done without an answer.
type world struct {
	rng    *rand.Rand
	now    time.Time
	calm   bool
	seq    uint64
	rec    []byte            // the record
	blobs  map[string]string // name -> digest, in the object store
	bad    map[string]bool   // digests that cannot be loaded anywhere
	nodes  []*node
	made   int
	served map[string]bool // nodes that have served since the plugin was last wanted at all
	faults []string
	done   int // rollouts that came to their end
	back   int // and that were rolled back
}

type node struct {
	name   string
	inc    uint64
	up     bool
	disk   map[string]string // digest -> version
	active string
	ready  []string
	report plan.Report // as stored

	// As a controller.
	seen  plan.Plugin
	at    uint64
	key   string
	since time.Time
}

func newWorld(seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1000, 0), blobs: map[string]string{}, bad: map[string]bool{}, served: map[string]bool{}}
	for _, n := range []string{"a", "b", "c", "d"} {
		w.nodes = append(w.nodes, &node{name: n, inc: 1, up: true, disk: map[string]string{}})
	}
	return w
}

func (w *world) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

func (w *world) chance(n int) bool { return !w.calm && w.rng.IntN(n) == 0 }

func (w *world) plugin() plan.Plugin {
	if w.rec == nil {
		return plan.Plugin{}
	}
	p, err := plan.DecodePlugin("greet", w.rec)
	if err != nil {
		w.fault("the record cannot be read: %v", err)
	}
	return p
}

// cas writes the record. It may be done and not said, or lost.
func (w *world) cas(at uint64, p plan.Plugin) bool {
	if at != w.seq || w.chance(20) {
		return false
	}
	w.checkChange(w.plugin(), p)
	w.rec = p.Encode()
	w.seq++
	return !w.chance(20)
}

func (w *world) checkChange(old, p plan.Plugin) {
	if p.Serial < old.Serial {
		w.fault("serial %d after %d", p.Serial, old.Serial)
	}
	if old.Rollout != nil && p.Rollout != nil && (old.Rollout.To != p.Rollout.To || old.Serial != p.Serial) {
		w.fault("a rollout takes the place of another one")
	}
	if p.Current != old.Current && p.Current != "" && w.bad[p.Current] {
		w.fault("version %s cannot be loaded and has become current", p.Current[:8])
	}
	if p.Current != old.Current && p.Current != "" && old.Rollout != nil && old.Rollout.Phase != plan.Watch && old.Current != "" {
		w.fault("a version becomes current in phase %s", old.Rollout.Phase)
	}
	if old.Rollout != nil && p.Rollout == nil && p.Last != nil {
		if p.Last.Done {
			w.done++
		} else {
			w.back++
		}
	}
}

// person does something. What they install is in the object store first.
func (w *world) person() {
	p, at := w.plugin(), w.seq
	var err error
	switch w.rng.IntN(9) {
	case 0, 1, 2, 3:
		w.made++
		v := version(fmt.Sprintf("1.%d.0", w.made))
		if old := p.Versions; len(old) > 0 && w.rng.IntN(4) == 0 {
			v = old[w.rng.IntN(len(old))]
			v.Blob += fmt.Sprintf("-%d", w.made)
		} else if w.rng.IntN(4) == 0 {
			w.bad[v.Digest] = true
		}
		w.blobs[v.Blob] = v.Digest
		old := p
		if p, err = p.Install("greet", v); err != nil {
			p, err = old.Upgrade("greet", v)
		}
	case 4, 5:
		p, err = p.Rollback("greet")
	case 6:
		if w.rng.IntN(4) > 0 {
			return
		}
		p, err = p.Remove("greet")
	default:
		p, err = p.SetEnabled("greet", w.rng.IntN(3) > 0)
	}
	if err == nil {
		w.cas(at, p)
		return
	}
	if !errors.Is(err, pluginapi.ErrConflict) && !errors.Is(err, pluginapi.ErrInvalid) && !errors.Is(err, pluginapi.ErrPluginNotFound) &&
		!errors.Is(err, pluginapi.ErrPluginDisabled) && !errors.Is(err, pluginapi.ErrBusy) && !errors.Is(err, pluginapi.ErrKeyExists) {
		w.fault("refused without a reason that is known: %v", err)
	}
}

// follow is what the agent of a node does, in one go or only a part of it.
func (w *world) follow(n *node) {
	p := w.plugin()
	want := p.Want(n.name)
	st := plan.State{Name: "greet"}
	loadable := func(d string) bool { return n.disk[d] != "" && !w.bad[d] }
	for _, d := range want.Keep {
		v, _ := p.Find(d)
		h := plan.Held{Digest: d, Version: v.Version, Stage: plan.Missing, Try: want.Try}
		if n.disk[d] == "" && !w.chance(3) {
			if w.blobs[v.Blob] != d {
				w.fault("%s wants %s, which is deleted", n.name, v.Version)
			}
			n.disk[d] = v.Version
		}
		used := d == want.Active || slices.Contains(want.Ready, d)
		switch {
		case n.disk[d] == "":
		case !used:
			h.Stage = plan.Verified
		case w.bad[d]:
			h.Stage, h.Reason = plan.Failed, "it traps"
		case d == want.Active:
			h.Stage = plan.Active
		default:
			h.Stage = plan.Prepared
		}
		if used && w.chance(8) {
			h.Tally = plan.Tally{Calls: 50, Faults: uint64(w.rng.IntN(20)), SlowUS: 1000}
		}
		st.Held = append(st.Held, h)
	}
	if want.Active == "" {
		n.active = ""
	} else if loadable(want.Active) {
		n.active = want.Active
	}
	for d := range n.disk {
		if !slices.Contains(want.Keep, d) && d != n.active {
			delete(n.disk, d)
		}
	}
	if !w.chance(6) {
		n.report = plan.Report{Node: n.name, Inc: n.inc, Plugins: []plan.State{st}}
	}
	w.checkServes(n, want)
}

// checkServes: a node that has once served goes on serving, with one version or
// another, as long as the plugin is wanted and it lives.
func (w *world) checkServes(n *node, want plan.Want) {
	switch {
	case want.Active == "":
		delete(w.served, n.name)
	case n.active != "":
		w.served[n.name] = true
	case w.served[n.name]:
		w.fault("%s has served and serves no more", n.name)
	}
}

// control is what a controller does, perhaps with a record that is old.
func (w *world) control(n *node) {
	if !w.chance(3) {
		n.seen, n.at = w.plugin(), w.seq
	}
	if k := n.seen.Key(); k != n.key {
		n.key, n.since = k, w.now
	}
	var nodes []plan.Report
	for _, o := range w.nodes {
		if o.up && o.report.Inc == o.inc {
			nodes = append(nodes, o.report)
		}
	}
	if len(n.seen.Garbage) > 0 { // deletes are not bound to the record: an old one comes late
		for _, b := range n.seen.Garbage {
			delete(w.blobs, b)
		}
		if w.cas(n.at, n.seen.Swept(n.seen.Garbage)) {
			n.seen, n.at = w.plugin(), w.seq
		}
		return
	}
	if p, changed := plan.Next(n.seen, plan.World{Now: w.now, Since: n.since, Nodes: nodes}); changed && w.cas(n.at, p) {
		n.seen, n.at = w.plugin(), w.seq
	}
}

func (w *world) step() {
	w.now = w.now.Add(time.Duration(w.rng.IntN(4000)) * time.Millisecond)
	if w.chance(12) {
		w.person()
	}
	for _, n := range w.nodes {
		switch {
		case n.up && w.chance(40):
			n.up, n.active, n.ready = false, "", nil
			delete(w.served, n.name)
			if w.chance(2) {
				clear(n.disk)
			}
		case !n.up && (w.calm || w.chance(10)):
			n.up, n.key = true, ""
			n.inc++
		case n.up:
			w.follow(n)
		}
	}
	for _, n := range w.nodes { // one controller, at times two
		if n.up {
			w.control(n)
			if !w.chance(4) {
				break
			}
		}
	}
}

// settled says whether all is as the record wants it.
func (w *world) checkSettled() {
	p := w.plugin()
	if p.Rollout != nil || len(p.Garbage) > 0 {
		w.fault("it does not come to rest: %s", p.Encode())
	}
	for _, n := range w.nodes {
		want := p.Want(n.name)
		if n.active != want.Active || len(n.disk) != len(want.Keep) {
			w.fault("%s runs %.8s and keeps %d, wanted are %.8s and %d", n.name, n.active, len(n.disk), want.Active, len(want.Keep))
		}
	}
}

// TestWorld: whatever goes wrong, a version that cannot be loaded never becomes
// current, nobody loses a version that serves, nothing that is needed is
// deleted, and when all is calm everything comes to rest as it is wanted.
func TestWorld(t *testing.T) {
	done, back := 0, 0
	for seed := range uint64(25) {
		w := newWorld(seed)
		for range 400 {
			w.step()
		}
		w.calm = true
		for range 200 {
			w.step()
		}
		w.checkSettled()
		done, back = done+w.done, back+w.back
		if len(w.faults) > 0 {
			t.Fatalf("seed %d: %s", seed, strings.Join(w.faults[:min(5, len(w.faults))], "\n"))
		}
	}
	t.Logf("%d rollouts done, %d rolled back", done, back)
	if done < 20 || back < 60 {
		t.Errorf("%d rollouts done, %d rolled back: nothing much was tried", done, back)
	}
}

// FuzzDecode: what is read can be written and read again, and nothing panics.
func FuzzDecode(f *testing.F) {
	p, err := plan.Plugin{}.Install("greet", version("1.0.0"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p.Encode())
	f.Add(plan.Report{Node: "greet", Inc: 3, Plugins: []plan.State{{Name: "x", Held: []plan.Held{{Digest: version("1").Digest, Version: "1", Stage: plan.Active}}}}}.Encode())
	f.Add([]byte(`{"name":"greet","rollout":{"phase":"watch","to":"x"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := plan.DecodePlugin("greet", data); err == nil {
			again, err := plan.DecodePlugin("greet", p.Encode())
			if err != nil || !bytes.Equal(again.Encode(), p.Encode()) {
				t.Fatal(err)
			}
			plan.Next(p, plan.World{Nodes: []plan.Report{{Node: "n1"}}})
			p.Want("n1")
		}
		if r, err := plan.DecodeReport("greet", data); err == nil {
			if _, err := plan.DecodeReport("greet", r.Encode()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/host/core"
)

// world is everything that is played.
type world struct {
	cfg    Config
	faults Faults // those of the config until the nemesis ends
	rnd    *rand.Rand

	now    time.Duration
	queue  queue
	serial uint64

	store   [2]bucket
	outage  bool
	behind  time.Duration // since when a former leader of the store is cut off; 0: there is none
	nodes   []*machine
	apps    []app
	over    bool // the nemesis has ended
	closing bool // all are asked to leave

	fence   map[string]*fence
	members map[string]uint64 // as the stored table has them
	edits   int
	wishes  uint64
	labels  map[string]map[string]string // node -> labels that were acknowledged

	stats Stats
	hash  uint64
	last  [60]note // ring of what happened
	notes int
	err   error
}

// note is one line of the trace, put into words only when somebody reads it.
type note struct {
	at        time.Duration
	who, what string
	detail    func() any
}

// line is a detail of several parts.
type line []any

func newWorld(cfg Config) *world {
	cfg = cfg.withDefaults()
	w := &world{
		cfg: cfg, faults: cfg.Faults, rnd: rand.New(rand.NewPCG(cfg.Seed, 20)),
		store: [2]bucket{newBucket(), newBucket()}, fence: map[string]*fence{}, members: map[string]uint64{},
		labels: map[string]map[string]string{},
	}
	for i := range cfg.Apps {
		w.apps = append(w.apps, app{fmt.Sprintf("a%d", i), spec(i, true)})
	}
	for i := range cfg.Pools {
		w.apps = append(w.apps, app{fmt.Sprintf("p%d", i), spec(i, false)})
	}
	for _, a := range w.apps {
		w.fence[a.name] = &fence{}
	}
	for i := range cfg.Nodes {
		w.nodes = append(w.nodes, newMachine(w, i))
	}
	return w
}

// Run plays a world for some virtual time with faults, then heals it and waits
// until all is well, then shuts it down.
//
// # Errors
//
// A violation of a guarantee, with seed, virtual time and the last lines of
// what happened.
func Run(cfg Config, d time.Duration) (Stats, error) {
	w := newWorld(cfg)
	for _, m := range w.nodes {
		w.after(w.upTo(2*time.Second), m.start)
	}
	w.unleash()
	w.play(d)
	w.settle()
	w.leave()
	w.stats.Trace = w.hash
	return w.stats, w.err
}

// after makes something happen in a while.
func (w *world) after(d time.Duration, do func()) {
	w.serial++
	w.queue.push(event{w.now + max(0, d), w.serial, do})
}

// every makes something happen again and again until it returns false.
func (w *world) every(pause func() time.Duration, do func() bool) {
	w.after(pause(), func() {
		if do() {
			w.every(pause, do)
		}
	})
}

// play goes on until a time has passed or a check has found a fault.
func (w *world) play(d time.Duration) {
	end := w.now + d
	for w.err == nil && len(w.queue) > 0 && w.queue[0].at <= end {
		e := w.queue.pop()
		w.now = e.at
		w.hash = w.hash*1099511628211 ^ uint64(e.at) ^ e.n<<20 ^ w.store[0].seq ^ w.store[1].seq<<32
		e.do()
		w.stats.Events++
	}
	if w.err == nil {
		w.now = end
	}
}

// note keeps a line of what happened.
func (w *world) note(who, what string, detail func() any) {
	n := note{w.now, who, what, detail}
	w.last[w.notes%len(w.last)] = n
	w.notes++
	if w.cfg.Trace != nil {
		w.cfg.Trace(n.String())
	}
}

// String puts the line into words.
func (n note) String() string {
	if n.detail == nil {
		return fmt.Sprintf("%12v %-5s %s", n.at, n.who, n.what)
	}
	return fmt.Sprintf("%12v %-5s %s %s", n.at, n.who, n.what, show(n.detail()))
}

func show(v any) string {
	switch v := v.(type) {
	case line:
		return strings.TrimSuffix(fmt.Sprintln(v...), "\n")
	case core.Seen:
		return fmt.Sprintf("Seen %v %s #%d %s", v.Bucket, v.Key, v.Seq, v.Value)
	case core.Write:
		return fmt.Sprintf("Write %d %v %s after #%d %s", v.ID, v.Bucket, v.Key, v.After, v.Value)
	case core.Run:
		return fmt.Sprintf("Run %s %v %d epoch %d within %v", v.App, v.Step, v.ID, v.Epoch, v.Timeout)
	case core.Note:
		return fmt.Sprintf("Note %s %s %s", v.Kind, v.App, v.Text)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T %+v", v, v), "core.")
}

// fail ends the play: a guarantee is broken.
func (w *world) fail(format string, args ...any) {
	if w.err != nil {
		return
	}
	var b strings.Builder
	for i := max(0, w.notes-len(w.last)); i < w.notes; i++ {
		b.WriteString("\n  " + w.last[i%len(w.last)].String())
	}
	w.err = fmt.Errorf("seed %d at %v: %s%s", w.cfg.Seed, w.now, fmt.Sprintf(format, args...), b.String())
}

// telling says whether an input is worth a line of the trace.
func telling(in core.Input) bool {
	switch in := in.(type) {
	case core.Tick, core.DigestSeen:
		return false
	case core.Seen:
		return in.Bucket == core.Records
	case core.Written:
		return in.Result != 0
	}
	return true
}

// loud says whether an effect is worth a line of the trace.
func loud(e core.Effect) bool {
	switch e := e.(type) {
	case core.Renewed, core.Read, core.SayDigest:
		return false
	case core.Write:
		return e.Bucket == core.Records
	}
	return true
}

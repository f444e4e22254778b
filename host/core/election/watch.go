package election

import (
	"fmt"
	"slices"
	"time"
)

// Drift is how much faster an observer's clock may run than a holder's, as a
// part of the ttl.
const Drift = 0.03

// Patience is how long an observer waits from the receipt of a session's last
// change until it may revoke it: 1.03 x ttl + margin.
func Patience(ttl, margin time.Duration) time.Duration {
	if mutated("no clock margin") {
		return ttl
	}
	return ttl + time.Duration(float64(ttl)*Drift) + margin
}

// Inputs of a [Watch], beside Tick.
type (
	// SessionSeen says what the store holds about a node's session.
	SessionSeen struct {
		Node   string
		Seq    uint64
		Record SessionRecord
	}
	// Observe says whose changes arrive from now on: those of all nodes, or of
	// the named ones. Delay is added to the patience, so that of several
	// observers one revokes first.
	Observe struct {
		All   bool
		Nodes []string
		Delay time.Duration
	}
	// RevokeDone answers a [Revoke].
	RevokeDone struct {
		Node   string
		Result Result
		Seq    uint64
	}
)

func (SessionSeen) input() {}
func (Observe) input()     {}
func (RevokeDone) input()  {}

// Effects of a [Watch].
type (
	// Revoke writes Record over the session of Node if it still has the sequence
	// After.
	Revoke struct {
		Node   string
		After  uint64
		Record SessionRecord
	}
	// SessionOver says that an incarnation is over for good.
	SessionOver struct {
		Holder Holder
		Reason string
	}
	// SessionBegan says that a node lives in a new incarnation.
	SessionBegan struct{ Holder Holder }
	// Reread asks for the session of Node from the stream's leader.
	Reread struct{ Node string }
)

func (Revoke) effect()       {}
func (SessionOver) effect()  {}
func (SessionBegan) effect() {}
func (Reread) effect()       {}

// WatchConfig is what a [Watch] needs to know.
type WatchConfig struct {
	Self   string        // this node: it never revokes itself
	Margin time.Duration // added to the patience
	Retry  time.Duration // pause after a failed revocation
}

type observed struct {
	seq      uint64
	rec      SessionRecord
	at       time.Time // receipt of the last change, or first sight since it is observed; zero while it is not
	inflight bool
	pause    time.Time
}

// Watch knows the sessions of all nodes as far as it was told, and counts the
// silence of those it observes.
type Watch struct {
	cfg   WatchConfig
	who   Observe
	nodes map[string]*observed
}

// NewWatch returns a watch that observes nobody.
func NewWatch(cfg WatchConfig) *Watch {
	return &Watch{cfg: cfg, nodes: map[string]*observed{}}
}

// Over reports whether an incarnation is known to be over for good. False means
// "not known", not "alive".
func (w *Watch) Over(now time.Time, h Holder) bool {
	o := w.nodes[h.Node]
	if o == nil {
		return false
	}
	if mutated("takeover without revoking") && !o.at.IsZero() && !now.Before(w.due(o)) {
		return true
	}
	return o.rec.Inc > h.Inc || o.rec.Inc == h.Inc && o.rec.Ended()
}

// Alive returns the incarnation of a node that is not known to be over; zero if
// there is none.
func (w *Watch) Alive(node string) Holder {
	if o := w.nodes[node]; o != nil && !o.rec.Ended() {
		return o.rec.Holder()
	}
	return Holder{}
}

// Record returns the newest readable record of a node.
func (w *Watch) Record(node string) (r SessionRecord, ok bool) {
	if o := w.nodes[node]; o != nil {
		return o.rec, true
	}
	return SessionRecord{}, false
}

// Living returns every incarnation that is not known to be over, by node.
func (w *Watch) Living() []Holder {
	var out []Holder
	for _, o := range w.nodes {
		if !o.rec.Ended() {
			out = append(out, o.rec.Holder())
		}
	}
	slices.SortFunc(out, func(a, b Holder) int {
		if a.Node < b.Node {
			return -1
		}
		return 1
	})
	return out
}

// Age returns how long ago the session of a node changed as far as this watch
// observes it; ok is false where it does not.
func (w *Watch) Age(now time.Time, node string) (age time.Duration, ok bool) {
	o := w.nodes[node]
	if o == nil || o.at.IsZero() {
		return 0, false
	}
	return now.Sub(o.at), true
}

// Step tells the watch one thing and returns what it wants done.
func (w *Watch) Step(now time.Time, in Input) []Effect {
	switch in := in.(type) {
	case Tick:
		return w.tick(now)
	case SessionSeen:
		return w.see(now, in)
	case Observe:
		w.observe(in)
		return nil
	case RevokeDone:
		return w.revoked(now, in)
	}
	panic(fmt.Sprintf("election: a watch does not know %T", in))
}

func (w *Watch) observes(node string) bool {
	return w.who.All || slices.Contains(w.who.Nodes, node)
}

// observe forgets when the sessions that were not observed so far were last
// seen: their silence counts from the next sight.
func (w *Watch) observe(in Observe) {
	for node, o := range w.nodes {
		if was := w.observes(node); !was || !in.All && !slices.Contains(in.Nodes, node) {
			o.at = time.Time{}
		}
	}
	w.who = in
}

func (w *Watch) see(now time.Time, in SessionSeen) []Effect {
	o := w.nodes[in.Node]
	if o == nil {
		o = &observed{}
		w.nodes[in.Node] = o
	}
	if in.Seq < o.seq || in.Seq == 0 {
		return nil
	}
	if w.observes(in.Node) && (in.Seq > o.seq || o.at.IsZero()) {
		o.at = now
	}
	if in.Seq == o.seq {
		return nil
	}
	before := o.rec
	o.seq, o.rec = in.Seq, in.Record
	var out []Effect
	reason := "a new incarnation began"
	if in.Record.Ended() {
		reason = in.Record.State + " by " + in.Record.By
	}
	switch { // what is not known counts as ended
	case !before.Ended() && (in.Record.Ended() || in.Record.Inc > before.Inc):
		out = append(out, SessionOver{before.Holder(), reason})
	case in.Record.Ended() && in.Record.Inc > before.Inc: // it was not seen alive
		out = append(out, SessionOver{in.Record.Holder(), reason})
	}
	if !in.Record.Ended() && in.Record.Inc > before.Inc {
		out = append(out, SessionBegan{in.Record.Holder()})
	}
	return out
}

func (w *Watch) due(o *observed) time.Time {
	return o.at.Add(Patience(o.rec.TTL(), w.cfg.Margin) + w.who.Delay)
}

func (w *Watch) tick(now time.Time) []Effect {
	var out []Effect
	for _, node := range w.sorted() {
		o := w.nodes[node]
		if node == w.cfg.Self || o.at.IsZero() || o.rec.Ended() || o.inflight || now.Before(o.pause) || now.Before(w.due(o)) {
			continue
		}
		o.inflight = true
		rec := o.rec
		rec.State, rec.By = StateRevoked, w.cfg.Self
		out = append(out, Revoke{node, o.seq, rec})
	}
	return out
}

func (w *Watch) revoked(now time.Time, in RevokeDone) []Effect {
	o := w.nodes[in.Node]
	if o == nil || !o.inflight {
		return nil
	}
	o.inflight = false
	if in.Result != Done {
		o.pause = now.Add(w.cfg.Retry)
		return []Effect{Reread{in.Node}}
	}
	rec := o.rec
	rec.State, rec.By = StateRevoked, w.cfg.Self
	return w.see(now, SessionSeen{in.Node, in.Seq, rec})
}

// Next returns when the watch wants to be told the time again.
func (w *Watch) Next() time.Time {
	var next time.Time
	for node, o := range w.nodes {
		if node == w.cfg.Self || o.at.IsZero() || o.rec.Ended() || o.inflight {
			continue
		}
		due := w.due(o)
		if due.Before(o.pause) {
			due = o.pause
		}
		next = earlier(next, due)
	}
	return next
}

func (w *Watch) sorted() []string {
	names := make([]string, 0, len(w.nodes))
	for n := range w.nodes {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

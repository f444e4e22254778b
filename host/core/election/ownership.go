package election

import (
	"fmt"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Facts is what an [Ownership] asks about sessions.
type Facts interface {
	// Self returns this node in its incarnation if its session holds now.
	Self(now time.Time) (Holder, bool)
	// Over reports whether an incarnation is known to be over for good.
	Over(now time.Time, h Holder) bool
}

// OwnershipConfig is what an [Ownership] needs to know.
type OwnershipConfig struct {
	Key   string
	Retry time.Duration // pause after a failed write
	Rank  time.Duration // the candidate of rank k waits k times this
	Floor pluginapi.Epoch
}

// Inputs of an [Ownership], beside Tick and Written.
type (
	// OwnerSeen says what the store holds; Seq 0 means nothing.
	OwnerSeen struct {
		Seq    uint64
		Record OwnerRecord
	}
	// Want says whether this node wants to own it, and how many better
	// candidates there are.
	Want struct {
		Want bool
		Rank int
	}
	// Resign gives the ownership away, to To or to nobody. All work must have
	// stopped.
	Resign struct {
		To     Holder
		Reason string
	}
	// Decline hands an ownership on that was handed to this node and that it
	// does not want.
	Decline struct {
		To     Holder
		Reason string
	}
)

func (OwnerSeen) input() {}
func (Want) input()      {}
func (Resign) input()    {}
func (Decline) input()   {}

// Effects of an [Ownership], beside Write and Read.
type (
	// Acquired says that this node owns it, in a new epoch.
	Acquired struct{ Epoch pluginapi.Epoch }
	// Lost says that this node owns it no more.
	Lost struct {
		Epoch  pluginapi.Epoch
		Reason string
	}
	// Resigned says that a [Resign] is done: the record names To.
	Resigned struct {
		Epoch pluginapi.Epoch
		To    Holder
	}
	// OwnerChanged says that the record names another holder or epoch.
	OwnerChanged struct{ Record OwnerRecord }
)

func (Acquired) effect()     {}
func (Lost) effect()         {}
func (Resigned) effect()     {}
func (OwnerChanged) effect() {}

type ownState uint8

const (
	idle ownState = iota
	claiming
	held
	resigning
)

// Ownership is one record that says who owns a thing.
type Ownership struct {
	cfg   OwnershipConfig
	facts Facts

	state   ownState
	seen    OwnerSeen
	known   bool // the record was read at least once
	want    Want
	floor   pluginapi.Epoch // no epoch at or below this is ever taken
	epoch   pluginapi.Epoch // of what is held
	self    Holder          // incarnation in which it is held
	resign  Resign
	writing OwnerRecord // the record on its way
	stale   bool        // the machine has moved on: the answer to the write on its way only ends it

	inflight  bool
	pause     time.Time
	freeSince time.Time
}

// NewOwnership returns a machine that has not seen the record yet.
func NewOwnership(cfg OwnershipConfig, facts Facts) *Ownership {
	return &Ownership{cfg: cfg, facts: facts, floor: cfg.Floor}
}

// Leads reports whether this node owns the thing at this very moment, and in
// which epoch. It is the only thing that may guard an act.
func (o *Ownership) Leads(now time.Time) (pluginapi.Epoch, bool) {
	self, ok := o.facts.Self(now)
	return o.epoch, ok && o.state == held && self == o.self
}

// Held reports whether the node owns the thing and has not resigned, as last
// decided. Only Leads may guard an act.
func (o *Ownership) Held() bool { return o.state == held }

// Busy reports whether the node owns the thing or is about to give it away.
func (o *Ownership) Busy() bool { return o.state == held || o.state == resigning }

// Wants reports whether the node claims the thing when its turn comes.
func (o *Ownership) Wants() bool { return o.want.Want }

// Record returns the newest known record; its Seq is 0 if there is none.
func (o *Ownership) Record() OwnerSeen { return o.seen }

// Owner returns the holder that the newest known record names, unless its
// session is known to be over.
func (o *Ownership) Owner(now time.Time) Holder {
	if h := o.seen.Record.Holder; h != (Holder{}) && !o.facts.Over(now, h) {
		return h
	}
	return Holder{}
}

// Step tells the machine one thing and returns what it wants done.
func (o *Ownership) Step(now time.Time, in Input) []Effect {
	out := o.checkSession(now)
	switch in := in.(type) {
	case Tick:
	case OwnerSeen:
		out = append(out, o.see(in)...)
	case Want:
		o.want = in
	case Written:
		out = append(out, o.written(now, in)...)
	case Resign:
		if o.state == held {
			o.state, o.resign = resigning, in
		}
	case Decline:
		if o.state == idle && o.handedToSelf(now) {
			o.state, o.resign, o.self, o.epoch = resigning, Resign(in), o.seen.Record.Holder, o.seen.Record.Epoch
		}
	default:
		panic(fmt.Sprintf("election: an ownership does not know %T", in))
	}
	return append(out, o.advance(now)...)
}

// checkSession drops what is held as soon as the session it was taken in does
// not hold any more.
func (o *Ownership) checkSession(now time.Time) []Effect {
	self, ok := o.facts.Self(now)
	if !o.Busy() && o.state != claiming || ok && self == o.self {
		return nil
	}
	was := o.state
	o.reset()
	if was == claiming {
		return nil
	}
	return []Effect{Lost{o.epoch, "the session is over"}}
}

func (o *Ownership) reset() {
	o.state, o.stale, o.freeSince = idle, o.inflight, time.Time{}
	o.want = Want{} // whoever wants it again has to look at what has changed
}

func (o *Ownership) see(in OwnerSeen) []Effect {
	if o.known && in.Seq <= o.seen.Seq {
		return nil
	}
	before := o.seen.Record
	o.known, o.seen, o.freeSince = true, in, time.Time{}
	o.floor = max(o.floor, in.Record.Epoch)
	var out []Effect
	if in.Record.Holder != before.Holder || in.Record.Epoch != before.Epoch {
		out = append(out, OwnerChanged{in.Record})
	}
	// What was given away may come back to the same incarnation, in a later epoch.
	ours := in.Record.Holder == o.self && in.Record.Epoch == o.epoch
	switch {
	case o.state == claiming && o.inflight && o.same(in.Record):
		o.stale = true
		out = append(out, o.acquired(in.Record.Epoch)...)
	case o.state == resigning && !ours:
		out = append(out, o.resigned()...)
	case o.state == held && !ours:
		o.reset()
		out = append(out, Lost{o.epoch, fmt.Sprintf("the record names %s in epoch %d", in.Record.Holder.Node, in.Record.Epoch)})
	}
	return out
}

func (o *Ownership) same(r OwnerRecord) bool {
	return r.Holder == o.writing.Holder && r.Epoch == o.writing.Epoch
}

func (o *Ownership) written(now time.Time, w Written) []Effect {
	if !o.inflight {
		return nil
	}
	o.inflight = false
	rec, stale := o.writing, o.stale
	o.stale = false
	if w.Result == Done {
		out := o.see(OwnerSeen{w.Seq, rec})
		if !stale && o.state == claiming {
			out = append(out, o.acquired(rec.Epoch)...)
		}
		return out
	}
	if o.state == claiming && !stale {
		o.state = idle
	}
	o.pause = now.Add(o.cfg.Retry)
	if w.Result == Refused {
		return nil
	}
	return []Effect{Read{o.cfg.Key}}
}

func (o *Ownership) acquired(epoch pluginapi.Epoch) []Effect {
	o.state, o.epoch, o.want = held, epoch, Want{}
	return []Effect{Acquired{epoch}}
}

func (o *Ownership) resigned() []Effect {
	o.reset()
	return []Effect{Resigned{o.epoch, o.resign.To}}
}

// handedToSelf reports whether the record names this node in its present life.
// Nobody else can have changed it since: that takes the end of our session, and
// our session holds.
func (o *Ownership) handedToSelf(now time.Time) bool {
	self, ok := o.facts.Self(now)
	return ok && o.known && o.seen.Record.Holder == self
}

// advance does what is due now.
func (o *Ownership) advance(now time.Time) []Effect {
	switch {
	case o.inflight:
	case o.state == idle:
		return o.advanceIdle(now)
	case o.state == resigning && !now.Before(o.pause):
		rec := OwnerRecord{Holder: o.resign.To, Epoch: o.floor, From: o.self.Node, Reason: o.resign.Reason}
		if rec.Holder != (Holder{}) {
			rec.Epoch = o.floor + 1
		}
		return o.write(rec)
	}
	return nil
}

func (o *Ownership) advanceIdle(now time.Time) []Effect {
	self, ok := o.facts.Self(now)
	if !ok || !o.known || !o.want.Want {
		o.freeSince = time.Time{}
		return nil
	}
	if o.handedToSelf(now) && o.seen.Record.Epoch > o.cfg.Floor {
		o.self = self
		return o.acquired(o.seen.Record.Epoch)
	}
	if h := o.seen.Record.Holder; h != (Holder{}) && h != self && !o.facts.Over(now, h) {
		o.freeSince = time.Time{}
		return nil
	}
	if o.freeSince.IsZero() {
		o.freeSince = now
	}
	if now.Before(o.turn()) || now.Before(o.pause) {
		return nil
	}
	o.state, o.self = claiming, self
	return o.write(OwnerRecord{Holder: self, Epoch: o.floor + 1, From: o.seen.Record.Holder.Node})
}

func (o *Ownership) turn() time.Time {
	return o.freeSince.Add(time.Duration(o.want.Rank) * o.cfg.Rank)
}

func (o *Ownership) write(rec OwnerRecord) []Effect {
	rec.Reason = short(rec.Reason)
	o.inflight, o.stale, o.writing = true, false, rec
	return []Effect{Write{o.cfg.Key, o.seen.Seq, rec}}
}

// short keeps a reason, which may be the text of a user's error, within what
// the readers of the record take.
func short(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText-3], "") + "..."
}

// Next returns when the machine wants to be told the time again; zero if it
// waits for something else.
func (o *Ownership) Next() time.Time {
	if o.inflight {
		return time.Time{}
	}
	switch {
	case o.state == resigning:
		return o.pause
	case o.state == idle && !o.freeSince.IsZero():
		if t := o.turn(); t.After(o.pause) {
			return t
		}
		return o.pause
	}
	return time.Time{}
}

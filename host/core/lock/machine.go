package lock

import (
	"fmt"
	"slices"

	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

var errNoSession = fmt.Errorf("%w: this node has no session at the moment", pluginapi.ErrUnreachable)

type state uint8

const (
	waiting state = iota // it wants to hold the lock
	holding
	leaving // it wants to be out of the record
)

// ticket is one wish of this process.
type ticket struct {
	Enter
	state   state
	holder  election.Holder // the incarnation in which it holds
	checked bool            // the record was read since it came
	named   bool            // the record names it as a holder; used by grant only
}

// Machine is what one process knows and wants of one lock. There must be one for
// each lock in a process, and no other process may have the same holder.
type Machine struct {
	floor   pluginapi.Epoch
	tickets []*ticket // in the order in which they came
	byID    map[uint64]*ticket
	over    map[string]uint64
	last    election.Holder // this node when its session held last

	known bool
	seq   uint64
	rec   Record

	busy    bool // a write or a read is on its way
	writing Write
	doubt   bool // a write that named the sequence doubted may still be done
	doubted uint64
}

// New returns a machine that has not seen the record yet. Epochs are above
// floor.
func New(floor pluginapi.Epoch) *Machine {
	return &Machine{floor: floor, byID: map[uint64]*ticket{}, over: map[string]uint64{}}
}

// Step tells the machine one thing and returns what it wants done. self is this
// node in its incarnation if its session holds at this moment, else the zero
// Holder.
func (m *Machine) Step(self election.Holder, in Input) []Effect {
	if self != (election.Holder{}) {
		m.last = self
	}
	out := m.lose(self)
	switch in := in.(type) {
	case Enter:
		t := &ticket{Enter: in}
		m.tickets, m.byID[in.Ticket] = append(m.tickets, t), t
	case Leave:
		if t := m.byID[in.Ticket]; t != nil {
			t.state = leaving
		}
	case Seen:
		m.see(in)
	case Stored:
		m.busy = false
		m.see(Seen{in.Seq, m.writing.Record})
	case Found:
		m.found(in)
	case Beaten:
		m.busy = false
	case Unreadable:
		m.busy = false
		return append(out, m.refuseAll(in.Err)...)
	case Over:
		m.over[in.Holder.Node] = max(m.over[in.Holder.Node], in.Holder.Inc)
	case Look:
	default:
		panic(fmt.Sprintf("lock: unknown input %T", in))
	}
	if m.doubt && m.seq > m.doubted {
		m.doubt = false
	}
	out = append(out, m.grant(self)...)
	return append(out, m.advance(self)...)
}

// lose drops what was held in a session that does not hold any more. A ticket
// that waits goes on waiting, in the next session.
func (m *Machine) lose(self election.Holder) (out []Effect) {
	m.remove(func(t *ticket) bool {
		if t.state != holding || t.holder == self {
			return false
		}
		out = append(out, Lost{t.Ticket})
		return true
	})
	return out
}

func (m *Machine) remove(gone func(*ticket) bool) {
	m.tickets = slices.DeleteFunc(m.tickets, func(t *ticket) bool {
		out := gone(t)
		if out {
			delete(m.byID, t.Ticket)
		}
		return out
	})
}

func (m *Machine) see(in Seen) {
	if m.known && in.Seq <= m.seq {
		return
	}
	m.known, m.seq, m.rec = true, in.Seq, in.Record
}

func (m *Machine) found(in Found) {
	if in.Maybe {
		m.doubt, m.doubted = true, m.writing.After
	}
	m.busy = false
	m.see(in.Seen)
	for _, t := range m.tickets {
		t.checked = true
	}
}

func (m *Machine) refuseAll(err error) (out []Effect) {
	m.remove(func(t *ticket) bool {
		if t.state == holding {
			return false
		}
		out = append(out, Refused{t.Ticket, err})
		return true
	})
	return out
}

// grant says what the record says of tickets that wait. One that held the lock
// and that the record does not name has lost it.
func (m *Machine) grant(self election.Holder) (out []Effect) {
	if self == (election.Holder{}) {
		return nil
	}
	for _, c := range m.rec.Holders {
		t := m.byID[c.Ticket]
		if c.Holder != self || t == nil {
			continue
		}
		t.named = true
		if t.state == waiting {
			t.state, t.holder = holding, self
			out = append(out, Granted{t.Ticket, c.Epoch, self})
		}
	}
	m.remove(func(t *ticket) bool {
		lost := t.state == holding && !t.named
		t.named = false
		if lost {
			out = append(out, Lost{t.Ticket})
		}
		return lost
	})
	return out
}

// advance does what is due now.
func (m *Machine) advance(self election.Holder) []Effect {
	if self == (election.Holder{}) {
		return m.standStill()
	}
	if m.busy {
		return nil
	}
	out := m.part(self)
	if len(m.tickets) == 0 && !m.doubt && !m.own(self) {
		return out
	}
	if !m.known {
		m.busy = true
		return append(out, Read{})
	}
	next, left := m.next(self)
	if m.doubt || !next.equal(m.rec) {
		m.busy, m.writing = true, Write{m.seq, next}
		return append(out, m.writing)
	}
	refused, ask := m.refuse(left, next)
	out = append(out, refused...)
	if ask {
		m.busy = true
		out = append(out, Read{})
	}
	return out
}

// standStill is what can be done without a session: its claims count for
// nobody, and there is nothing to try. What stays behind in the record is
// written out when there is a session again, the same or another.
func (m *Machine) standStill() (out []Effect) {
	m.remove(func(t *ticket) bool {
		switch {
		case t.state == leaving:
			out = append(out, Left{t.Ticket})
		case t.Try:
			out = append(out, Refused{t.Ticket, errNoSession})
		default:
			return false
		}
		return true
	})
	return out
}

// part lets tickets go that are out of the record and cannot come back: no
// write is on its way, and none is in doubt.
func (m *Machine) part(self election.Holder) (out []Effect) {
	m.remove(func(t *ticket) bool {
		if t.state != leaving || m.doubt || m.rec.names(self, t.Ticket) {
			return false
		}
		out = append(out, Left{t.Ticket})
		return true
	})
	return out
}

// own reports whether the record names this node in a claim that no ticket
// stands for.
func (m *Machine) own(self election.Holder) bool {
	return slices.ContainsFunc(slices.Concat(m.rec.Holders, m.rec.Queue), func(c Claim) bool {
		return c.Node == self.Node && !m.stays(self, c)
	})
}

// stays reports whether a claim belongs into the record.
func (m *Machine) stays(self election.Holder, c Claim) bool {
	switch {
	case c.Node != self.Node:
		return m.over[c.Node] < c.Inc
	case c.Inc != self.Inc:
		return c.Inc > self.Inc // this node's own past is over
	}
	t := m.byID[c.Ticket]
	return t != nil && t.state != leaving
}

// next returns the record as it should be, and the tickets that it has no place
// for.
func (m *Machine) next(self election.Holder) (r Record, left []*ticket) {
	r = m.rec.clone()
	r.drop(func(c Claim) bool { return !m.stays(self, c) })
	r.grant(m.floor)
	there := map[uint64]bool{}
	for _, c := range slices.Concat(r.Holders, r.Queue) {
		if c.Holder == self {
			there[c.Ticket] = true
		}
	}
	for _, t := range m.tickets {
		if t.state == waiting && !there[t.Ticket] && !m.join(self, &r, t) {
			left = append(left, t)
		}
	}
	return r, left
}

// join enters a ticket into a record that has a place for it.
func (m *Machine) join(self election.Holder, r *Record, t *ticket) bool {
	limit := r.Limit
	if r.idle() {
		limit = t.Limit
	}
	c := Claim{Holder: self, Ticket: t.Ticket, Shared: t.Shared}
	if limit != t.Limit || len(r.Queue) >= MaxQueue || t.Try && (len(r.Queue) > 0 || !r.admits(c) && !r.idle()) {
		return false
	}
	r.Limit = limit
	r.Queue = append(r.Queue, c)
	r.grant(m.floor)
	return true
}

// refuse answers the tickets that the record, as it should be, has no place for.
// ask says that it has to be read first: what is known may be old.
func (m *Machine) refuse(left []*ticket, r Record) (out []Effect, ask bool) {
	m.remove(func(t *ticket) bool {
		if !slices.Contains(left, t) {
			return false
		}
		if !t.checked {
			ask = true
			return false
		}
		out = append(out, Refused{t.Ticket, reason(t, r)})
		return true
	})
	return out, ask
}

func reason(t *ticket, r Record) error {
	kind := func(limit int) string {
		switch limit {
		case 0:
			return "an exclusive lock"
		case MaxShared:
			return "a read-write lock"
		}
		return fmt.Sprintf("a semaphore of %d", limit)
	}
	switch {
	case r.Limit != t.Limit:
		return fmt.Errorf("%w: it is in use as %s and cannot be %s: give one of the two another name", pluginapi.ErrInvalid, kind(r.Limit), kind(t.Limit))
	case t.Try:
		return pluginapi.ErrLockHeld
	}
	return fmt.Errorf("%w: %d wait for it already, more is not allowed", pluginapi.ErrBusy, MaxQueue)
}

// Idle reports whether the machine wants nothing, waits for nothing and has left
// nothing behind: it can be forgotten.
func (m *Machine) Idle() bool {
	return len(m.tickets) == 0 && !m.busy && !m.doubt && !m.own(m.last)
}

// Seq returns the sequence of the newest record that is known.
func (m *Machine) Seq() uint64 { return m.seq }

// Contended reports whether changes that others make of the record matter: a
// ticket waits, or somebody waits for what a ticket holds.
func (m *Machine) Contended() bool {
	return len(m.tickets) > 0 && len(m.rec.Queue) > 0
}

// Waits reports whether a ticket waits for the lock.
func (m *Machine) Waits() bool {
	return slices.ContainsFunc(m.tickets, func(t *ticket) bool { return t.state == waiting })
}

// Rivals returns who else holds the lock or waits for it, as far as is known,
// without those whose session is known to be over.
func (m *Machine) Rivals(self election.Holder) (out []election.Holder) {
	for _, c := range slices.Concat(m.rec.Holders, m.rec.Queue) {
		if c.Node != self.Node && m.over[c.Node] < c.Inc && !slices.Contains(out, c.Holder) {
			out = append(out, c.Holder)
		}
	}
	return out
}

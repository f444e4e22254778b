package lock

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/core/lock"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// slot is one lock on this node.
type slot struct {
	k       *Keeper
	name    Name
	records *bus.Records
	pins    int    // who is about to use it; guarded by k.mu
	uses    uint64 // how often it was pinned; guarded by k.mu

	mu       sync.Mutex
	machine  *lock.Machine
	tickets  map[uint64]*ticket
	used     time.Time
	stop     context.CancelFunc // of the watch; nil: none
	wantedAt time.Time          // when the watch was wanted last
	news     chan struct{}      // closed with the next change that the watch tells of; nil: nobody waits for it
}

// ticket is one call that wants the lock, and then what it holds.
type ticket struct {
	since  time.Time
	answer chan error    // gets one value: granted (nil) or refused
	left   chan struct{} // closed when it is out of the record
	hold   *hold         // set before answer
}

// step tells the machine one thing and begins what it wants done.
func (s *slot) step(in lock.Input) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.machine.Step(s.k.cfg.Session().Self, in) {
		s.do(e)
	}
	if _, ok := in.(lock.Seen); ok && s.news != nil {
		close(s.news)
		s.news = nil
	}
	s.attend()
}

// do begins an effect. s.mu is held.
func (s *slot) do(e lock.Effect) {
	switch e := e.(type) {
	case lock.Write:
		s.k.spawn(func() { s.write(e) })
	case lock.Read:
		s.k.spawn(func() { s.find(0, false) })
	case lock.Granted:
		t, now := s.tickets[e.Ticket], s.k.cfg.Now()
		t.hold = s.k.newHold(s, e, t, now)
		s.tell(Acquired, e.Epoch, now.Sub(t.since))
		t.answer <- nil
	case lock.Refused:
		if t := s.remove(e.Ticket, e.Err); t.hold == nil { // else it cannot even be released
			t.answer <- e.Err
		}
	case lock.Lost:
		h := s.tickets[e.Ticket].hold
		s.tell(Lost, h.epoch, s.k.cfg.Now().Sub(h.since))
		why := h.lost()
		s.k.cfg.Logger.Warn("lock lost", "lock", s.name.String(), "epoch", uint64(h.epoch), "err", why)
		s.remove(e.Ticket, why)
	case lock.Left:
		if h := s.tickets[e.Ticket].hold; h != nil {
			s.tell(Released, h.epoch, s.k.cfg.Now().Sub(h.since))
		}
		s.remove(e.Ticket, errReleased)
	default:
		panic(fmt.Sprintf("lock: unknown effect %T", e))
	}
}

// remove ends a ticket and what it holds.
func (s *slot) remove(id uint64, why error) *ticket {
	t := s.tickets[id]
	delete(s.tickets, id)
	if t.hold != nil {
		t.hold.finish(why)
	}
	close(t.left)
	return t
}

// tell tells of an event, before the one whom it concerns hears of it.
func (s *slot) tell(kind string, epoch pluginapi.Epoch, took time.Duration) {
	if s.k.cfg.OnEvent != nil {
		s.k.cfg.OnEvent(Event{Name: s.name, Kind: kind, Epoch: epoch, Took: took})
	}
}

// attend watches the record while others matter, and looks at the sessions of
// those who are in the way. s.mu is held.
func (s *slot) attend() {
	now := s.k.cfg.Now()
	if !s.machine.Idle() {
		s.used = now
	}
	if !s.machine.Contended() {
		return
	}
	s.wantedAt = now
	if s.stop == nil {
		ctx, cancel := context.WithCancel(s.k.life)
		s.stop = cancel
		s.k.spawn(func() { s.watch(ctx) })
	}
	if !s.machine.Waits() {
		return
	}
	for _, h := range s.machine.Rivals(s.k.cfg.Session().Self) {
		s.k.lookAt(h.Node, lookPause)
	}
}

// tend does what time asks for. look says that it is time to look at the sessions
// of all who are in the way, not only of those whom the table of members does not
// confirm.
func (s *slot) tend(now time.Time, look bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil && !s.machine.Contended() && now.Sub(s.wantedAt) >= calmAfter {
		s.stop()
		s.stop = nil
	}
	if !s.machine.Waits() {
		return
	}
	for _, h := range s.machine.Rivals(s.k.cfg.Session().Self) {
		if look || !s.k.cfg.Confirms(h) {
			s.k.lookAt(h.Node, lookPause)
		}
	}
}

// idle reports whether the slot can be forgotten.
func (s *slot) idle(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.machine.Idle() && s.stop == nil && now.Sub(s.used) >= keepFor
}

// enter waits until the lock is held.
func (s *slot) enter(ctx context.Context, e lock.Enter) (*hold, error) {
	e.Ticket = s.k.tickets.Add(1)
	t := &ticket{since: s.k.cfg.Now(), answer: make(chan error, 1), left: make(chan struct{})}
	s.mu.Lock()
	s.tickets[e.Ticket] = t
	s.mu.Unlock()
	s.step(e)
	select {
	case err := <-t.answer:
		return t.hold, err
	case <-ctx.Done():
		s.step(lock.Leave{Ticket: e.Ticket})
		return nil, ended(ctx)
	case <-s.k.leaving.Done():
		s.step(lock.Leave{Ticket: e.Ticket})
		return nil, pluginapi.ErrShuttingDown
	}
}

package election

import (
	"fmt"
	"time"
)

// attempt is a write of the record whose fate may still become known.
type attempt struct {
	n    uint64
	sent time.Time
}

// proofOfLife is how many changes of a record show that its node is alive. Less
// prove nothing: the last write of a dead node may arrive late, and the first
// read may have been answered by a server that was behind.
const proofOfLife = 3

// maxAttempts bounds how many writes of unknown fate are remembered.
const maxAttempts = 16

// Session is the lease of this node.
type Session struct {
	cfg   SessionConfig
	phase Phase

	seen     Seen      // newest known record
	fresh    bool      // the record was seen since Reading began
	reading  bool      // a read is on its way
	readAt   time.Time // since when
	waitFrom time.Time // since when the record of someone else has not changed
	changes  int       // how often it has changed since Waiting began

	rec      SessionRecord // what we last wrote or tried to write
	inflight bool          // a write is on its way
	stale    bool          // it is of an incarnation that is over: its answer only ends it
	attempts []attempt     // writes of open or unknown fate, newest last
	retry    bool          // the last write failed
	pause    time.Time     // no write and no read before this
	leaving  bool

	sent     time.Time // send time of the last acknowledged write
	deadline time.Time // sent + ttl
	stopping bool      // MustStop was said for this deadline
}

// NewSession returns a session that has not read its record yet.
func NewSession(cfg SessionConfig) *Session { return &Session{cfg: cfg} }

// Phase returns the phase of the session.
func (s *Session) Phase() Phase { return s.phase }

// Self returns this node in its current incarnation; the zero Holder if it has
// none.
func (s *Session) Self() Holder {
	if s.phase != Live {
		return Holder{}
	}
	return s.rec.Holder()
}

// Valid reports whether the session holds at this very moment. It is the only
// thing that may guard an act. A session that is being given back holds no more:
// nobody knows when the store has taken it.
func (s *Session) Valid(now time.Time) bool {
	if mutated("a cached flag guards an effect") {
		return s.phase == Live
	}
	return s.phase == Live && !s.leaving && now.Before(s.deadline)
}

// Until returns the deadline of the session; zero if it is not live.
func (s *Session) Until() time.Time {
	if s.phase != Live {
		return time.Time{}
	}
	return s.deadline
}

// stopAt is when work has to begin to stop.
func (s *Session) stopAt() time.Time { return s.deadline.Add(-s.cfg.Budget - s.cfg.Margin) }

// Step tells the session one thing and returns what it wants done.
func (s *Session) Step(now time.Time, in Input) []Effect {
	var out []Effect
	// Nothing runs before this check: a process that was paused finds here that
	// its deadline has passed.
	if s.phase == Live && !now.Before(s.deadline) && !mutated("a cached flag guards an effect") {
		out = s.over(fmt.Sprintf("no renewal was acknowledged for %v", s.cfg.TTL))
	}
	switch in := in.(type) {
	case Tick:
	case Seen:
		out = append(out, s.see(now, in)...)
	case Written:
		out = append(out, s.written(now, in)...)
	case Leave:
		s.leaving = true
	case Drop:
		if s.phase == Live {
			out = append(out, s.over(in.Reason)...)
		}
	case Rejoin:
		if s.phase == Over {
			s.leaving = false
			s.toReading(now)
		}
	default:
		panic(fmt.Sprintf("election: a session does not know %T", in))
	}
	return append(out, s.advance(now)...)
}

func (s *Session) see(now time.Time, in Seen) []Effect {
	if in.Seq < s.seen.Seq {
		return nil // old news: the answer that is waited for may still come
	}
	news := in.Seq > s.seen.Seq
	s.seen, s.fresh, s.reading = in, true, false
	switch {
	case s.phase == Waiting && news && !in.Record.Ended():
		s.waitFrom = now
		if s.changes++; s.changes >= proofOfLife {
			return []Effect{Duplicate{in.Record}}
		}
	case s.phase == Waiting && news:
		s.phase = Reading
	case s.phase == Live && news:
		return s.seeLive(now, in.Record)
	}
	return nil
}

// seeLive learns the fate of writes whose answer was lost, and that the session
// was ended by someone else.
func (s *Session) seeLive(now time.Time, r SessionRecord) []Effect {
	if r.Inc != s.rec.Inc || r.Home != s.rec.Home {
		return s.over(fmt.Sprintf("incarnation %d took its place", r.Inc))
	}
	if r.Ended() && s.leaving && r.By == s.cfg.Node {
		return s.over("left")
	}
	if r.Ended() {
		return s.over(fmt.Sprintf("it was %s by %s", r.State, r.By))
	}
	for _, a := range s.attempts {
		if a.n == r.N {
			return s.acknowledge(now, a)
		}
	}
	return nil
}

func (s *Session) written(now time.Time, w Written) []Effect {
	if !s.inflight {
		return nil
	}
	stale := s.stale
	s.inflight, s.stale = false, false
	if stale {
		return nil
	}
	if w.Result != Done {
		return s.failed(now, w.Result)
	}
	if w.Seq > s.seen.Seq {
		s.seen = Seen{w.Seq, s.rec}
	}
	if s.rec.Ended() {
		return s.over("left")
	}
	if len(s.attempts) == 0 {
		return nil // a Seen was faster
	}
	return s.acknowledge(now, s.attempts[len(s.attempts)-1])
}

func (s *Session) failed(now time.Time, r Result) []Effect {
	s.pause, s.retry = now.Add(s.cfg.Retry), true
	if n := len(s.attempts); r != Unknown && n > 0 {
		s.attempts = s.attempts[:n-1] // should a conflict be wrong, a renewal that counts for nothing is on the safe side
	}
	if s.phase == Joining {
		s.toReading(s.pause)
		return nil
	}
	if r == Refused {
		return nil
	}
	return s.read(now)
}

// acknowledge counts the lease from when the write was sent: no observer can
// have begun its own count earlier than that. An answer that comes after that
// deadline is worth nothing.
func (s *Session) acknowledge(now time.Time, a attempt) []Effect {
	sent := a.sent
	if mutated("lease counted from the reply") {
		sent = now
	}
	for len(s.attempts) > 0 && s.attempts[0].n <= a.n {
		s.attempts = s.attempts[1:]
	}
	if !now.Before(sent.Add(s.cfg.TTL)) {
		if s.phase == Joining {
			s.toReading(now)
		}
		return nil
	}
	if s.phase == Live && !sent.After(s.sent) {
		return nil
	}
	s.sent, s.deadline, s.stopping, s.retry = sent, sent.Add(s.cfg.TTL), false, false
	out := []Effect{Renewed{s.rec.Inc, s.seen.Seq, s.deadline}}
	if s.phase == Joining {
		s.phase = Live
		out = append(out, Joined{s.rec.Inc})
	}
	return out
}

func (s *Session) over(reason string) []Effect {
	s.phase, s.attempts, s.stale, s.sent = Over, nil, s.inflight, time.Time{}
	return []Effect{Ended{s.rec.Inc, reason}}
}

func (s *Session) toReading(pause time.Time) {
	s.phase, s.fresh, s.reading, s.pause = Reading, false, false, pause
}

func (s *Session) read(now time.Time) []Effect {
	s.reading, s.readAt = true, now
	return []Effect{Read{s.cfg.Node}}
}

// advance does what is due now.
func (s *Session) advance(now time.Time) []Effect {
	switch s.phase {
	case Reading:
		return s.advanceReading(now)
	case Waiting:
		return s.advanceWaiting(now)
	case Live:
		return s.advanceLive(now)
	}
	return nil
}

func (s *Session) advanceReading(now time.Time) []Effect {
	switch {
	case s.leaving:
		return s.over("left")
	case now.Before(s.pause):
		return nil
	case !s.fresh && (!s.reading || !now.Before(s.readAt.Add(s.cfg.Every))):
		return s.read(now)
	case !s.fresh, s.inflight:
		return nil
	case s.seen.Seq == 0 || s.seen.Record.Ended() || s.seen.Record.Home == s.cfg.Home:
		return s.join(now)
	}
	s.phase, s.waitFrom, s.changes = Waiting, now, 0
	return nil
}

// advanceWaiting waits a whole patience from the first sight of a session that
// may be alive. A watch may miss changes, so it also reads.
func (s *Session) advanceWaiting(now time.Time) []Effect {
	switch {
	case s.leaving:
		return s.over("left")
	case !s.inflight && !now.Before(s.patient()):
		return s.join(now)
	case !now.Before(s.readAt.Add(s.cfg.Every)):
		return s.read(now)
	}
	return nil
}

// patient is when the record of someone else has been silent for long enough.
func (s *Session) patient() time.Time {
	return s.waitFrom.Add(Patience(s.seen.Record.TTL(), s.cfg.Margin))
}

func (s *Session) advanceLive(now time.Time) []Effect {
	var out []Effect
	if !s.stopping && !now.Before(s.stopAt()) {
		s.stopping = true
		out = append(out, MustStop{s.deadline})
	}
	switch {
	case s.inflight || now.Before(s.pause):
		return out
	case s.leaving:
		return append(out, s.write(now, StateReleased)...)
	case s.retry || !now.Before(s.sent.Add(s.cfg.Every)):
		return append(out, s.write(now, StateLive)...)
	}
	return out
}

func (s *Session) join(now time.Time) []Effect {
	s.phase = Joining
	s.rec = SessionRecord{Node: s.cfg.Node, Inc: s.seen.Record.Inc + 1, TTLms: s.cfg.TTL.Milliseconds(), Home: s.cfg.Home}
	s.attempts, s.sent, s.retry = nil, time.Time{}, false
	return s.write(now, StateLive)
}

func (s *Session) write(now time.Time, state string) []Effect {
	s.rec.N++
	s.rec.State, s.rec.By = state, ""
	if state != StateLive {
		s.rec.By = s.cfg.Node
	}
	s.inflight = true
	s.attempts = append(s.attempts, attempt{s.rec.N, now})
	if len(s.attempts) > maxAttempts {
		s.attempts = s.attempts[1:]
	}
	return []Effect{Write{s.cfg.Node, s.seen.Seq, s.rec}}
}

// Next returns when the session wants to be told the time again; zero if it
// waits for something else.
func (s *Session) Next() time.Time {
	switch s.phase {
	case Reading:
		switch {
		case s.fresh && s.inflight:
			return time.Time{}
		case s.reading:
			return s.readAt.Add(s.cfg.Every)
		}
		return s.pause
	case Waiting:
		if s.inflight {
			return s.readAt.Add(s.cfg.Every)
		}
		return earlier(s.patient(), s.readAt.Add(s.cfg.Every))
	case Live:
		due := s.deadline
		if !s.stopping {
			due = earlier(due, s.stopAt())
		}
		switch {
		case s.inflight:
		case s.retry || s.leaving:
			due = earlier(due, s.pause)
		default:
			due = earlier(due, later(s.sent.Add(s.cfg.Every), s.pause))
		}
		return due
	}
	return time.Time{}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// earlier returns the earlier of two times; a zero time never comes.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

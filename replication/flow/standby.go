package flow

type following uint8

const (
	searching following = iota
	ready
	applying
	resyncing
)

// maxWaiting bounds the changes that wait while one is being applied.
const maxWaiting = 10_000

// Standby is the machine of a node that follows.
type Standby struct {
	state   following
	at      Position
	seq     uint64 // up to which message the database has it
	seen    uint64 // up to which message this machine has been told
	until   uint64 // when this much has been told, searching was in vain
	epoch   uint64 // the highest of the stream so far
	current Arrived
	waiting []Input
}

// NewStandby returns the machine of a database that stands at position, whose
// checksum was made from its pages. The stream is told from the message on at
// which the database is thought to stand, that one included, or from its first
// one that is left; a wrong thought costs time only. last is the sequence of
// the stream's last change, 0 for none.
func NewStandby(position Position, last uint64) *Standby {
	return &Standby{at: position, until: last}
}

// Step tells the machine one thing and returns what it wants done.
func (s *Standby) Step(in Input) []Effect {
	switch in := in.(type) {
	case Arrived, Raised, Reached:
		return s.told(in)
	case Applied:
		if s.state == applying {
			s.at, s.seq = s.current.Change.end(), s.current.Seq
			s.state = ready
			return append([]Effect{At{s.at, s.seq}}, s.drain()...)
		}
	case Failed:
		if s.state == applying {
			return s.resync(WhyFailed)
		}
	}
	return nil
}

// told takes what the stream says, in its order; while the database is busy it
// waits.
func (s *Standby) told(in Input) []Effect {
	if s.state == resyncing {
		return nil
	}
	if s.state == applying || len(s.waiting) > 0 {
		s.waiting = append(s.waiting, in)
		return nil
	}
	return s.take(in)
}

// Full says that no more should be told for now.
func (s *Standby) Full() bool { return len(s.waiting) >= maxWaiting }

// drain takes what has waited, until the database is busy again.
func (s *Standby) drain() (out []Effect) {
	for len(s.waiting) > 0 && s.state != applying && s.state != resyncing {
		in := s.waiting[0]
		s.waiting = s.waiting[1:]
		out = append(out, s.take(in)...)
	}
	return out
}

func (s *Standby) take(in Input) []Effect {
	switch in := in.(type) {
	case Raised:
		if in.Seq > s.seen {
			s.seen, s.epoch = in.Seq, max(s.epoch, in.Epoch)
		}
	case Reached:
		if s.state != searching || in.Seq < s.until {
			return nil
		}
		if s.until == 0 && s.at.Sum == 0 { // an empty database and an empty stream
			s.state = ready
			return nil
		}
		return s.resync(WhyLost)
	case Arrived:
		if in.Seq <= s.seen { // told again
			return nil
		}
		s.seen = in.Seq
		return s.arrived(in)
	}
	return nil
}

func (s *Standby) arrived(in Arrived) []Effect {
	c := in.Change
	if c.Epoch < s.epoch {
		return []Effect{Stale{c}}
	}
	s.epoch = c.Epoch
	switch {
	case s.state == searching:
		return s.search(in)
	case in.Seq <= s.seq || c.end() == s.at:
		return nil // the database has it
	case c.Pre == s.at.Sum && c.First == s.at.TX+1:
		return s.apply(in)
	case c.First <= s.at.TX:
		return s.resync(WhyFork)
	}
	return s.resync(WhyGap)
}

// search looks for the place in the stream where the database stands. What
// counts is the checksum: equal content is the same place.
func (s *Standby) search(in Arrived) []Effect {
	switch s.at.Sum {
	case in.Change.Post:
		s.state, s.at, s.seq = ready, in.Change.end(), in.Seq
		return []Effect{At{s.at, s.seq}}
	case in.Change.Pre:
		return s.apply(in)
	}
	return nil
}

func (s *Standby) apply(in Arrived) []Effect {
	s.state, s.current = applying, in
	return []Effect{Apply{in.Change}}
}

func (s *Standby) resync(why Why) []Effect {
	s.state = resyncing
	return []Effect{Resync{why}}
}

// Position is where the database stands, up to which message that is, and
// whether it follows: everything that it was told is in it or on its way.
func (s *Standby) Position() (at Position, seq uint64, follows bool) {
	return s.at, s.seq, s.state == ready || s.state == applying
}

package election

import "time"

// Phase of a session.
type Phase uint8

// The phases of a session, see the package comment.
const (
	Reading Phase = iota
	Waiting
	Joining
	Live
	Over
)

// String returns the word for the phase.
func (p Phase) String() string {
	return [...]string{"reading", "waiting", "joining", "live", "over"}[p]
}

// SessionConfig is what a [Session] needs to know. All durations are positive.
type SessionConfig struct {
	Node   string
	Home   string        // see SessionRecord
	TTL    time.Duration // how long one renewal keeps the session
	Every  time.Duration // time between renewals
	Budget time.Duration // what stopping all work may take when the lease runs out
	Margin time.Duration // work has ended this long before the deadline
	Retry  time.Duration // pause after a failed write or read
}

// Inputs of a session, beside Tick and Written.
type (
	// Seen says what the store holds under the node's key; Seq 0 means nothing.
	Seen struct {
		Seq    uint64
		Record SessionRecord
	}
	// Leave gives the session back. All work must have stopped.
	Leave struct{}
	// Rejoin begins a new incarnation after the last one is over. All work must
	// have stopped.
	Rejoin struct{}
	// Drop ends the incarnation at once, because the guard has acted.
	Drop struct{ Reason string }
)

func (Seen) input()   {}
func (Leave) input()  {}
func (Rejoin) input() {}
func (Drop) input()   {}

// Effects of a session, beside Write and Read.
type (
	// Joined says that the session is live in a new incarnation.
	Joined struct{ Inc uint64 }
	// Renewed says that the session is valid until a new deadline.
	Renewed struct {
		Inc, Seq uint64
		Until    time.Time
	}
	// MustStop says that renewals do not come through and that all work has to
	// end before the deadline.
	MustStop struct{ Deadline time.Time }
	// Ended says that the incarnation is over.
	Ended struct {
		Inc    uint64
		Reason string
	}
	// Duplicate says that another node with the same id is alive.
	Duplicate struct{ Record SessionRecord }
)

func (Joined) effect()    {}
func (Renewed) effect()   {}
func (MustStop) effect()  {}
func (Ended) effect()     {}
func (Duplicate) effect() {}

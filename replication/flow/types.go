package flow

import "github.com/ozanturksever/go-cluster/replication/page"

// Position is a state of a database: after which transaction, of which
// leadership, with which checksum.
type Position struct {
	Epoch uint64
	TX    uint64
	Sum   page.Sum
}

// Change is one or more whole transactions, as its messages' headers say.
type Change struct {
	Epoch       uint64
	First, Last uint64
	Pre, Post   page.Sum
	Bytes       int // of its messages together
}

// end is where a database stands after the change.
func (c Change) end() Position { return Position{c.Epoch, c.Last, c.Post} }

// Input is what a machine is told.
type Input interface{ input() }

// Effect is what a machine wants done.
type Effect interface{ effect() }

// Inputs of a [Primary].
type (
	// Captured says that the database has changed.
	Captured struct{ Change Change }
	// Stored says that the change on its way is in the stream, with its last message at Seq.
	Stored struct{ Seq uint64 }
	// Refused says that the stream did not take it. That proves nothing: the server may not know yet that it has been replaced.
	Refused struct{}
	// Unknown says that its fate is not known.
	Unknown struct{}
	// Found answers Probe: the stream's epoch, with the sequence of its message, and its last change, with the sequence of its last message (0: none).
	Found struct {
		Epoch, EpochSeq uint64
		Last            Change
		Seq             uint64
	}
	// Unreadable says that a probe had no answer.
	Unreadable struct{}
)

// Effects of a [Primary].
type (
	// Send appends a change: it holds if the epoch's message is at EpochSeq and the last change at Seq.
	Send struct {
		Change   Change
		EpochSeq uint64
		Seq      uint64
	}
	// Probe reads the stream's epoch and its last change, from its leader. It is to be answered, however long that takes.
	Probe struct{}
	// Hold says whether the capture is to wait; what is written meanwhile stays in the database's own log.
	Hold struct{ Wait bool }
	// Durable says up to where the database is in the stream: up to the message at Seq.
	Durable struct {
		Position Position
		Seq      uint64
	}
	// Fenced says that this primary's time is over: nothing that it sends is stored any more. By is the newer epoch, or 0 when the stream was changed by something else.
	Fenced struct{ By uint64 }
)

// Inputs of a [Standby].
type (
	// Arrived is a complete change of the stream, with the sequence of its last message.
	Arrived struct {
		Change Change
		Seq    uint64
	}
	// Raised is a message of the stream that raises the epoch.
	Raised struct{ Epoch, Seq uint64 }
	// Applied says that the change on its way is in the database.
	Applied struct{}
	// Failed says that it is not, and that the database stands where it did.
	Failed struct{ Reason string }
	// Reached says that all messages up to Seq have been told.
	Reached struct{ Seq uint64 }
)

// Effects of a [Standby].
type (
	// Apply applies a change, in one transaction that checks the checksum before and after.
	Apply struct{ Change Change }
	// At says where the database stands, and up to which message that is.
	At struct {
		Position Position
		Seq      uint64
	}
	// Stale says that a change of an older epoch was refused.
	Stale struct{ Change Change }
	// Resync says that no message leads on from here: compare pages with a snapshot. It ends the machine: begin with a new one where the database stands then.
	Resync struct{ Why Why }
)

// Why says why a standby cannot go on by the stream alone.
type Why string

// Reasons of a resync.
const (
	WhyGap    Why = "gap"    // changes are missing that the stream does not hold any more
	WhyFork   Why = "fork"   // the database has transactions that the stream does not have
	WhyFailed Why = "failed" // a change could not be applied as it was meant
	WhyLost   Why = "lost"   // where the database stands is nowhere in the stream
)

func (Captured) input()   {}
func (Stored) input()     {}
func (Refused) input()    {}
func (Unknown) input()    {}
func (Found) input()      {}
func (Unreadable) input() {}
func (Arrived) input()    {}
func (Raised) input()     {}
func (Applied) input()    {}
func (Failed) input()     {}
func (Reached) input()    {}

func (Send) effect()    {}
func (Probe) effect()   {}
func (Hold) effect()    {}
func (Durable) effect() {}
func (Fenced) effect()  {}
func (Apply) effect()   {}
func (At) effect()      {}
func (Stale) effect()   {}
func (Resync) effect()  {}

package lock

import (
	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Inputs.
type (
	// Input is what a [Machine] may be told.
	Input interface{ input() }

	// Enter is the wish to hold the lock. It is answered by Granted or Refused.
	Enter struct {
		Ticket uint64 // not 0, never used before in this process
		Shared bool
		Limit  int  // how many may share it; 0: it is an exclusive lock
		Try    bool // now or not at all
	}
	// Leave ends a ticket, whether it holds, waits or is about to. It is answered
	// by Left, unless the ticket was Refused or Lost.
	Leave struct{ Ticket uint64 }
	// Seen says what the record is now or was a while ago; Seq 0 means that there
	// is none.
	Seen struct {
		Seq    uint64
		Record Record
	}
	// Stored answers a [Write]: it is done.
	Stored struct{ Seq uint64 }
	// Found answers a [Read], and a [Write] that is not done: it was refused, or
	// the record has changed, or (Maybe) nobody can say and it may still be done.
	// It tells what the stream's leader then said of the record.
	Found struct {
		Seen
		Maybe bool
	}
	// Beaten answers a Write too: another change was first, and it has been Seen.
	Beaten struct{}
	// Unreadable answers like Found when the record cannot be understood.
	Unreadable struct{ Err error }
	// Over says that an incarnation, and all before it, is over for good.
	Over struct{ Holder election.Holder }
	// Look says that the session of this node may have changed.
	Look struct{}
)

func (Enter) input()      {}
func (Leave) input()      {}
func (Seen) input()       {}
func (Stored) input()     {}
func (Found) input()      {}
func (Beaten) input()     {}
func (Unreadable) input() {}
func (Over) input()       {}
func (Look) input()       {}

// Effects.
type (
	// Effect is what a machine wants done or known.
	Effect interface{ effect() }

	// Write puts Record in place of the one with the sequence After.
	Write struct {
		After  uint64
		Record Record
	}
	// Read asks the stream's leader for the record.
	Read struct{}
	// Granted says that the ticket holds the lock, in an epoch of its own, as long
	// as the session of Self does.
	Granted struct {
		Ticket uint64
		Epoch  pluginapi.Epoch
		Self   election.Holder
	}
	// Refused says that the ticket cannot have the lock.
	Refused struct {
		Ticket uint64
		Err    error
	}
	// Lost says that the ticket held the lock and does not any more, because the
	// session is over.
	Lost struct{ Ticket uint64 }
	// Left says that the ticket is out of the record for good.
	Left struct{ Ticket uint64 }
)

func (Write) effect()   {}
func (Read) effect()    {}
func (Granted) effect() {}
func (Refused) effect() {}
func (Lost) effect()    {}
func (Left) effect()    {}

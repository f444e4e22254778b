package election

// Result is the fate of a write.
type Result uint8

// The fates of a write.
const (
	Done     Result = iota // written
	Conflict               // the record has another sequence, says a server that may have lost its lead: read it again
	Unknown                // written or not: the answer did not come
	Refused                // not written: the store could not be reached or said no
)

// String returns the word for the fate.
func (r Result) String() string {
	return [...]string{"done", "conflict", "unknown", "refused"}[r]
}

// Inputs and effects that the machines share.
type (
	// Input is what a machine may be told.
	Input interface{ input() }
	// Effect is what a machine wants done.
	Effect interface{ effect() }

	// Tick says that time has passed.
	Tick struct{}
	// Written answers the last [Write] of the machine.
	Written struct {
		Result Result
		Seq    uint64 // sequence of the record if Result is Done
	}

	// Write puts Record under Key if the key still has the sequence After (0:
	// there is none). The machine waits for its [Written].
	Write struct {
		Key    string
		After  uint64
		Record any // SessionRecord or OwnerRecord
	}
	// Read asks for the record from the stream's leader; the answer is a Seen.
	Read struct{ Key string }
)

func (Tick) input()    {}
func (Written) input() {}
func (Write) effect()  {}
func (Read) effect()   {}

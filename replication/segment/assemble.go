package segment

import "fmt"

// Assembler puts the parts of changes together. The zero value is ready.
type Assembler struct {
	parts []Segment
}

// Add takes the next message of the stream. It returns the parts of a change
// when that is complete. The first part of a change always begins anew: what
// was there of another is dropped, for its writer did not finish it.
//
// # Errors
//
// [ErrCorrupt] for a part that does not follow the one before; what was there
// is dropped.
func (a *Assembler) Add(s Segment) ([]Segment, error) {
	if s.Part == 1 {
		a.parts = a.parts[:0]
	}
	if s.Part != len(a.parts)+1 || len(a.parts) > 0 && !a.parts[0].sameChange(s) {
		have := len(a.parts)
		a.parts = nil
		return nil, corrupt("part %d of %d of transactions %d to %d behind %d parts", s.Part, s.Parts, s.First, s.Last, have)
	}
	a.parts = append(a.parts, s)
	if s.Part < s.Parts {
		return nil, nil
	}
	done := a.parts
	a.parts = nil
	return done, nil
}

// Pending says whether a change has begun that is not complete.
func (a *Assembler) Pending() bool { return len(a.parts) > 0 }

// sameChange says whether two parts differ in nothing but their number.
func (s Segment) sameChange(o Segment) bool {
	a, b := s.Header, o.Header
	a.Part, b.Part = 0, 0
	return a == b && s.Whole == o.Whole
}

// String says which transactions it is about, for logs.
func (h Header) String() string {
	return fmt.Sprintf("epoch %d, transactions %d to %d, part %d of %d", h.Epoch, h.First, h.Last, h.Part, h.Parts)
}

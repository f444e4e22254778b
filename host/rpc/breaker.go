package rpc

import "time"

// Circuit is the state of a circuit to a node.
type Circuit int

// The states, numbered as the metric has them.
const (
	CircuitClosed   Circuit = iota // calls pass
	CircuitOpen                    // calls are refused at once
	CircuitHalfOpen                // one call passes, to see
)

// String returns the word for the state.
func (c Circuit) String() string { return [...]string{"closed", "open", "half-open"}[c] }

// Bounds of a circuit.
const (
	breakAfter = 5
	openFor    = 30 * time.Second
)

// transport is what a call says about the way to a node.
type transport int

const (
	arrived  transport = iota // an answer came, whatever it says
	lost                      // nobody listened, or no answer came in time
	unproven                  // says nothing: the caller gave up, or this node is cut off
)

// Breaker decides whether a node is tried. It counts failures of the way there,
// in a row: an answer that is an error is an answer. The zero Breaker is
// closed.
type Breaker struct {
	state   Circuit
	fails   int
	until   time.Time
	probing bool
}

// State returns the state of the circuit.
func (b *Breaker) State() Circuit { return b.state }

// Ready reports whether a call may pass now.
func (b *Breaker) Ready(now time.Time) bool {
	return b.state == CircuitClosed || !b.probing && !now.Before(b.until)
}

// Begin takes note that a call is sent, and says whether it is the probe of an
// open circuit. Ready must have said yes.
func (b *Breaker) Begin() (probe bool) {
	if b.state != CircuitClosed {
		b.state, b.probing = CircuitHalfOpen, true
	}
	return b.probing
}

// End takes note of how it ended. A call that began while the circuit was still
// closed does not end the probe of an open one.
func (b *Breaker) End(now time.Time, probe bool, r transport) {
	switch {
	case r == arrived:
		*b = Breaker{}
	case b.state == CircuitClosed && r == lost:
		if b.fails++; b.fails >= breakAfter {
			*b = Breaker{state: CircuitOpen, until: now.Add(openFor)}
		}
	case probe && r == lost:
		*b = Breaker{state: CircuitOpen, until: now.Add(openFor)}
	case probe:
		b.probing = false // the next call is the probe
	}
}

// idle reports whether nothing needs to be remembered.
func (b *Breaker) idle() bool { return *b == Breaker{} }

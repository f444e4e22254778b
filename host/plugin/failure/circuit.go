package failure

import "time"

// What opens a circuit, and how long it then waits for a trial.
const (
	Faults    = 5                // within Window open it
	Window    = 60 * time.Second // in which faults are counted
	FirstWait = time.Second      // until the first trial; after each that breaks, twice as long
	LastWait  = time.Minute      // the longest wait
)

// State is the state of a circuit.
type State string

// The states.
const (
	Closed   State = "closed"    // the plugin is called
	Open     State = "open"      // it is not
	HalfOpen State = "half-open" // one call is let through, to see
)

// Verdict is how a call ended, as far as the plugin is concerned.
type Verdict int

// The verdicts.
const (
	Unknown Verdict = iota // the caller gave up, or did not call
	Well                   // it answered, if only with an error
	Fault                  // it crashed, went over a limit, or broke the protocol
)

// Circuit decides whether a plugin is called. The zero value is closed. All
// times come from one clock that does not go back.
type Circuit struct {
	state  State // "" is closed
	faults []time.Time
	until  time.Time     // of the next trial, when open
	wait   time.Duration // the one that until came from
	trial  uint64        // number of the last trial
}

// Permit is a call that was let through. Give it to [Circuit.Done].
type Permit struct{ trial uint64 }

// State is the state now.
func (c *Circuit) State() State {
	if c.state == "" {
		return Closed
	}
	return c.state
}

// Until is when the next trial may be made, while the circuit is open.
func (c *Circuit) Until() time.Time { return c.until }

// Ask says whether a call may be made at this time. Each permit is given back by
// Done.
func (c *Circuit) Ask(now time.Time) (Permit, bool) {
	switch c.State() {
	case Closed:
		return Permit{}, true
	case Open:
		if !now.Before(c.until) {
			c.state = HalfOpen
			c.trial++
			return Permit{trial: c.trial}, true
		}
	}
	return Permit{}, false
}

// Done takes back a permit. What a call of an earlier time says when the circuit
// is not closed any more changes nothing; only the trial does.
func (c *Circuit) Done(now time.Time, p Permit, v Verdict) {
	switch {
	case c.State() == HalfOpen && p.trial == c.trial:
		c.endTrial(now, v)
	case c.State() == Closed && v == Fault:
		c.note(now)
	}
}

func (c *Circuit) endTrial(now time.Time, v Verdict) {
	switch v {
	case Well:
		*c = Circuit{trial: c.trial}
	case Fault:
		c.open(now, min(2*c.wait, LastWait))
	default:
		c.state = Open // until has passed: the next one may try
	}
}

// note counts a fault.
func (c *Circuit) note(now time.Time) {
	kept := c.faults[:0]
	for _, t := range c.faults {
		if now.Sub(t) < Window {
			kept = append(kept, t)
		}
	}
	c.faults = append(kept, now)
	if len(c.faults) >= Faults {
		c.open(now, FirstWait)
	}
}

func (c *Circuit) open(now time.Time, wait time.Duration) {
	c.state, c.wait, c.until, c.faults = Open, wait, now.Add(wait), nil
}

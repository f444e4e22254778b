package health

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

const (
	// Failures is how many failures in a row open the circuit of a check.
	Failures = 3
	// HistoryLength is how many results of a check are kept.
	HistoryLength = 10
	maxBackoff    = 8 // intervals between two turns of a check with an open circuit
	maxError      = 512
)

// Inputs.
type (
	// Input is what the machine may be told.
	Input interface{ input() }

	// Tick says that time has passed.
	Tick struct{}
	// Ended says that the code of a check has come back.
	Ended struct {
		ID   uint64 // of the Start
		Name string
		Err  string // "" means it passes
	}
	// RunNow asks for a result of each check, except of those with an open
	// circuit and of those that are late. Answered by RoundDone.
	RunNow struct{ ID uint64 }
	// Forget says that nobody waits for a round any more.
	Forget struct{ ID uint64 }
)

func (Tick) input()   {}
func (Ended) input()  {}
func (RunNow) input() {}
func (Forget) input() {}

// Effects.
type (
	// Effect is what the machine wants done.
	Effect interface{ effect() }

	// Start runs the code of a check; its end comes back as Ended.
	Start struct {
		ID      uint64
		Name    string
		Timeout time.Duration
	}
	// RoundDone answers RunNow.
	RoundDone struct{ ID uint64 }
	// Changed says that the node's health has changed. It is told once a change.
	Changed struct{ Status pluginapi.HealthStatus }
	// FailingChanged says that other checks make the node fail than before.
	FailingChanged struct{ Names []string }
)

func (Start) effect()          {}
func (RoundDone) effect()      {}
func (Changed) effect()        {}
func (FailingChanged) effect() {}

// check is a registered check and where it stands.
type check struct {
	Check
	due     time.Time // of the next turn; zero: at once
	run     uint64    // the Start that has not ended; 0: none
	begun   time.Time // of that run
	late    bool      // that run has not come back in time
	last    pluginapi.CheckResult
	history []pluginapi.CheckResult // of results, oldest first
	backoff time.Duration           // while the circuit is open: between two turns
}

func (c *check) pending() bool { return c.last.Timestamp.IsZero() }

// Machine decides for all checks of one node.
type Machine struct {
	now    time.Time
	checks map[string]*check
	order  []string // as registered: what a check depends on stands before it
	serial uint64
	rounds map[uint64]map[string]bool // round -> checks that owe it a result
	told   []string                   // the last FailingChanged
	out    []Effect
}

// New returns a machine without checks.
func New() *Machine {
	return &Machine{checks: map[string]*check{}, rounds: map[uint64]map[string]bool{}}
}

// Register adds a check. Its first turn comes at the next step.
//
// What it depends on must be registered before it, so that no circle can come
// about.
//
// # Errors
//
// Every mistake at once; each wraps ErrInvalid.
func (m *Machine) Register(c Check) error {
	c = c.withDefaults()
	faults := c.faults()
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%w: health check %.70q %s", pluginapi.ErrInvalid, c.Name, fmt.Sprintf(format, args...)))
	}
	if m.checks[c.Name] != nil {
		fault("is registered already: unregister the other one, or give another name")
	}
	if len(m.checks) >= MaxChecks {
		fault("is one too many: a node may have %d", MaxChecks)
	}
	for _, name := range c.DependsOn {
		on := m.checks[name]
		switch {
		case name == c.Name:
			fault("depends on itself")
		case on == nil:
			fault("depends on %.70q, which is not registered: register it first; checks cannot depend on each other in a circle", name)
		case on.Advisory && !c.Advisory:
			fault("depends on %s, which is advisory: a node would pass without anybody knowing: make both advisory, or none", name)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	k := &check{Check: c}
	k.last = pluginapi.CheckResult{Status: pluginapi.StatusSkipped, Error: "it has not run yet", Advisory: c.Advisory}
	m.checks[c.Name] = k
	m.order = append(m.order, c.Name)
	return nil
}

// Unregister takes a check away. What it still runs counts for nothing.
//
// # Errors
//
// ErrInvalid when there is none of that name, or another one depends on it.
func (m *Machine) Unregister(name string) error {
	if _, err := m.find(name); err != nil {
		return err
	}
	for _, other := range m.order {
		if slices.Contains(m.checks[other].DependsOn, name) {
			return fmt.Errorf("%w: health check %s depends on %s: unregister it first", pluginapi.ErrInvalid, other, name)
		}
	}
	delete(m.checks, name)
	m.order = slices.DeleteFunc(m.order, func(n string) bool { return n == name })
	return nil
}

// Reset closes the circuit of a check and forgets its failures. Its next turn
// comes at the next step.
//
// # Errors
//
// ErrInvalid when there is none of that name.
func (m *Machine) Reset(name string) error {
	c, err := m.find(name)
	if err != nil {
		return err
	}
	c.last.CircuitOpen, c.last.FailureCount = false, 0
	c.due, c.backoff = time.Time{}, 0
	return nil
}

func (m *Machine) find(name string) (*check, error) {
	c := m.checks[name]
	if c == nil {
		return nil, fmt.Errorf("%w: there is no health check %.70q", pluginapi.ErrInvalid, name)
	}
	return c, nil
}

// Step takes one input and says what is to be done.
func (m *Machine) Step(now time.Time, in Input) []Effect {
	m.now = now
	switch in := in.(type) {
	case Ended:
		m.ended(in)
	case RunNow:
		m.runNow(in.ID)
	case Forget:
		delete(m.rounds, in.ID)
	}
	m.findLate()
	m.turns()
	m.settle()
	out := m.out
	m.out = nil
	return out
}

// ended takes the result of a run. One that was late has failed already.
func (m *Machine) ended(in Ended) {
	c := m.checks[in.Name]
	if c == nil || c.run != in.ID {
		return
	}
	late := c.late
	c.run, c.late = 0, false
	if late {
		return
	}
	switch name := m.failingDependency(c); {
	case name != "":
		m.skip(c, name)
	case in.Err != "":
		m.failed(c, in.Err)
	default:
		m.passed(c)
	}
}

// runNow begins a round.
func (m *Machine) runNow(id uint64) {
	owe := map[string]bool{}
	for name, c := range m.checks {
		if !c.late && !c.last.CircuitOpen {
			owe[name] = true
			c.due = time.Time{}
		}
	}
	m.rounds[id] = owe
}

// findLate fails the runs that have not come back in time.
func (m *Machine) findLate() {
	for _, name := range m.order {
		if c := m.checks[name]; c.run != 0 && !c.late && !m.now.Before(c.begun.Add(c.Timeout)) {
			c.late = true
			m.failed(c, fmt.Sprintf("it did not return within %v", c.Timeout))
		}
	}
}

// turns gives each check that is due its turn.
func (m *Machine) turns() {
	for _, name := range m.order {
		c := m.checks[name]
		if m.now.Before(c.due) || c.run != 0 && !c.late {
			continue
		}
		if on := m.failingDependency(c); on != "" {
			m.skip(c, on)
			continue
		}
		if m.waits(c) {
			continue
		}
		if c.late {
			m.failed(c, fmt.Sprintf("it has not returned for %v", m.now.Sub(c.begun).Round(time.Millisecond)))
			continue
		}
		m.serial++
		c.run, c.begun = m.serial, m.now
		m.out = append(m.out, Start{c.run, name, c.Timeout})
	}
}

// waits reports whether something that the check depends on has no result yet,
// or gets a new one.
func (m *Machine) waits(c *check) bool {
	return slices.ContainsFunc(c.DependsOn, func(name string) bool {
		on := m.checks[name]
		return on.pending() || on.run != 0 && !on.late
	})
}

// failingDependency names a check that fails or is skipped for a reason, ""
// if there is none.
func (m *Machine) failingDependency(c *check) string {
	for _, name := range c.DependsOn {
		if on := m.checks[name]; !on.pending() && on.last.Status != pluginapi.StatusPassing {
			return name
		}
	}
	return ""
}

func (m *Machine) passed(c *check) {
	c.backoff = 0
	m.record(c, pluginapi.CheckResult{Status: pluginapi.StatusPassing, LatencyMS: m.now.Sub(c.begun).Milliseconds()}, c.Interval)
}

// failed counts a failure; with enough of them in a row the circuit opens.
func (m *Machine) failed(c *check, why string) {
	r := pluginapi.CheckResult{
		Status: pluginapi.StatusFailing, Error: bounded(why), LatencyMS: m.now.Sub(c.begun).Milliseconds(),
		FailureCount: c.last.FailureCount + 1, CircuitOpen: c.last.CircuitOpen,
	}
	wait := c.Interval
	if r.CircuitOpen || r.FailureCount >= Failures {
		r.CircuitOpen = true
		c.backoff = min(2*max(c.backoff, c.Interval), maxBackoff*c.Interval)
		wait = c.backoff
	}
	m.record(c, r, wait)
}

// skip notes that a check had its turn and was not run. It is no failure, and
// not the end of a row of them.
func (m *Machine) skip(c *check, on string) {
	m.record(c, pluginapi.CheckResult{
		Status: pluginapi.StatusSkipped, Error: "it depends on " + on + ", which does not pass",
		FailureCount: c.last.FailureCount, CircuitOpen: c.last.CircuitOpen,
	}, c.Interval)
}

// record keeps a result. When it is another than before, those who depend on
// the check have their turn at once.
func (m *Machine) record(c *check, r pluginapi.CheckResult, wait time.Duration) {
	r.Advisory, r.Timestamp = c.Advisory, m.now.Round(0).UTC()
	changed := c.last.Status != r.Status
	c.last = r
	if c.history = append(c.history, r); len(c.history) > HistoryLength {
		c.history = slices.Delete(c.history, 0, 1)
	}
	c.due = m.now.Add(wait)
	if next := c.begun.Add(wait); r.Status != pluginapi.StatusSkipped && next.After(m.now) {
		c.due = next
	}
	for _, other := range m.checks {
		if changed && slices.Contains(other.DependsOn, c.Name) {
			other.due = time.Time{}
		}
	}
	for _, owe := range m.rounds {
		delete(owe, c.Name)
	}
}

// settle ends the rounds that have all they asked for, and tells a change.
func (m *Machine) settle() {
	for _, id := range slices.Sorted(maps.Keys(m.rounds)) {
		owe := m.rounds[id]
		maps.DeleteFunc(owe, func(name string, _ bool) bool { return m.checks[name] == nil })
		if len(owe) == 0 {
			delete(m.rounds, id)
			m.out = append(m.out, RoundDone{id})
		}
	}
	before, failing := m.told, m.Failing()
	if slices.Equal(before, failing) {
		return
	}
	m.told = failing
	m.out = append(m.out, FailingChanged{failing})
	if len(before) == 0 || len(failing) == 0 {
		m.out = append(m.out, Changed{m.Status(m.now)})
	}
}

// Next is when the next Tick is due; ok is false when nothing is waited for.
func (m *Machine) Next() (at time.Time, ok bool) {
	for _, c := range m.checks {
		next := c.due
		switch {
		case c.run != 0 && !c.late:
			next = c.begun.Add(c.Timeout)
		case m.failingDependency(c) == "" && m.waits(c):
			continue // the end of what it waits for gives it its turn
		}
		if !ok || next.Before(at) {
			at, ok = next, true
		}
	}
	return at, ok
}

// bounded makes the text of an error one that can be stored and shown.
func bounded(text string) string {
	if len(text) > maxError {
		text = text[:maxError]
	}
	return strings.ToValidUTF8(text, "?")
}

package lifecycle

import (
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// killPause is the time between two tries to kill a backend that will not die.
const killPause = time.Second

// Machine is one app on one node.
type Machine struct {
	spec  Spec
	phase Phase
	epoch pluginapi.Epoch

	todo    []Step
	began   []Step // steps of becoming active that were begun and not undone
	step    Step   // the one that runs, if running is not 0
	running uint64 // its ID
	serial  uint64
	again   time.Time // when todo goes on; zero: at once

	reason   string // why it is or becomes passive
	failed   bool
	by       time.Time // everything must have ended by then; zero: no hurry
	cancelAt time.Time // when the running step's context is to be ended
	overrun  bool
	finish   bool
	lastErr  string
}

// New returns a machine that is passive.
func New(spec Spec) *Machine { return &Machine{spec: spec} }

// Phase returns the present phase.
func (m *Machine) Phase() Phase { return m.phase }

// Epoch returns the epoch that the app is or was last active in.
func (m *Machine) Epoch() pluginapi.Epoch { return m.epoch }

// Reason says why the app is, or is becoming, passive.
func (m *Machine) Reason() string { return m.reason }

// LastError returns the last error of a step, "" if the last became-active had
// none.
func (m *Machine) LastError() string { return m.lastErr }

// Running returns the step that runs now; ok is false if none does.
func (m *Machine) Running() (s Step, ok bool) { return m.step, m.running != 0 }

// Step tells the machine one thing and returns what it wants done.
func (m *Machine) Step(now time.Time, in Input) []Effect {
	var out []Effect
	switch in := in.(type) {
	case Tick:
		out = m.tick(now)
	case Lead:
		m.lead(in)
	case Cease:
		out = m.cease(now, in.Reason, false, in.By)
	case Fail:
		out = m.cease(now, in.Reason, true, time.Time{})
	case Hurry:
		if m.phase == Stopping || m.phase == Finishing {
			m.hurry(now, in.By)
		}
	case Finish:
		m.finish = true
		out = m.cease(now, "the app is stopped", false, time.Time{})
	case StepDone:
		m.done(now, in)
	default:
		panic(fmt.Sprintf("lifecycle: unknown input %T", in))
	}
	return append(out, m.advance(now)...)
}

func (m *Machine) lead(in Lead) {
	if m.phase != Passive || m.finish {
		return
	}
	m.phase, m.epoch = Starting, in.Epoch
	m.reason, m.failed, m.lastErr, m.by, m.overrun = "", false, "", time.Time{}, false
	m.todo = nil
	if m.spec.Durable && m.spec.Singleton {
		m.todo = append(m.todo, SaveEpoch)
	}
	if m.spec.Data && m.spec.Singleton {
		m.todo = append(m.todo, Promote)
	}
	if m.spec.Backend {
		m.todo = append(m.todo, StartBackend)
	}
	up := m.up()
	if down, _ := undo(up); m.spec.Hooks[up] || m.spec.Hooks[down] {
		m.todo = append(m.todo, up)
	}
}

func (m *Machine) up() Step {
	if m.spec.Singleton {
		return CallActive
	}
	return CallStart
}

// undo names the step that takes another one back.
func undo(up Step) (down Step, ok bool) {
	switch up {
	case Promote:
		return Demote, true
	case StartBackend:
		return StopBackend, true
	case CallActive:
		return CallPassive, true
	case CallStart:
		return CallStop, true
	}
	return 0, false
}

func (m *Machine) cease(now time.Time, reason string, failed bool, by time.Time) []Effect {
	if !by.IsZero() && (m.by.IsZero() || by.Before(m.by)) && m.phase != Passive && m.phase < Finishing {
		m.hurry(now, by)
	}
	switch m.phase {
	case Starting, Active:
		m.toStopping(reason, failed)
		if m.running != 0 {
			return []Effect{Cancel{m.running}}
		}
	}
	return nil
}

// hurry divides what is left: half of it for the step that runs now.
func (m *Machine) hurry(now, by time.Time) {
	m.by = by
	m.cancelAt = now.Add(by.Sub(now) / 2)
}

func (m *Machine) toStopping(reason string, failed bool) {
	m.phase, m.reason, m.failed = Stopping, reason, failed
	m.todo = nil
	for i := len(m.began) - 1; i >= 0; i-- {
		if down, ok := undo(m.began[i]); ok {
			m.todo = append(m.todo, down)
		}
	}
	m.began = nil
}

func (m *Machine) done(now time.Time, in StepDone) {
	if in.ID != m.running {
		return
	}
	m.running = 0
	if in.Err == "" {
		return
	}
	m.lastErr = fmt.Sprintf("%v: %s", m.step, in.Err)
	switch {
	case m.phase == Starting:
		m.toStopping(m.lastErr, true)
	case m.step == StopBackend:
		m.todo = append([]Step{KillBackend}, m.todo...)
	case m.step == KillBackend:
		// Nothing is handed over while the service may still run.
		m.todo = append([]Step{KillBackend}, m.todo...)
		m.again = now.Add(killPause)
	}
}

func (m *Machine) tick(now time.Time) []Effect {
	var out []Effect
	if !m.cancelAt.IsZero() && !now.Before(m.cancelAt) {
		m.cancelAt = time.Time{}
		if m.running != 0 {
			out = append(out, Cancel{m.running})
		}
	}
	if !m.by.IsZero() && !now.Before(m.by) && !m.overrun && (m.phase == Stopping || m.phase == Finishing) {
		m.overrun = true
		out = append(out, Overrun{m.step})
	}
	return out
}

// advance begins the next step, or ends the phase when there is none.
func (m *Machine) advance(now time.Time) []Effect {
	if m.running != 0 || now.Before(m.again) {
		return nil
	}
	m.again = time.Time{}
	if len(m.todo) > 0 {
		return m.run(now)
	}
	switch m.phase {
	case Starting:
		m.phase = Active
		return []Effect{BecameActive{m.epoch}}
	case Stopping:
		m.phase, m.by, m.cancelAt = Passive, time.Time{}, time.Time{}
		return append([]Effect{BecamePassive{m.epoch, m.reason, m.failed}}, m.advance(now)...)
	case Passive:
		if m.finish {
			return m.finishing(now)
		}
	case Finishing:
		m.phase = Finished
		return []Effect{Ended{}}
	}
	return nil
}

// finishing runs what comes last: OnStop of an app that was not active
// everywhere; one that was has run it already.
func (m *Machine) finishing(now time.Time) []Effect {
	m.phase = Finishing
	if m.spec.Singleton && m.spec.Hooks[CallStop] {
		m.todo = []Step{CallStop}
	}
	return m.advance(now)
}

func (m *Machine) run(now time.Time) []Effect {
	m.step, m.todo = m.todo[0], m.todo[1:]
	m.serial++
	m.running = m.serial
	if m.phase == Starting {
		m.began = append(m.began, m.step)
	}
	timeout := m.spec.timeout(m.step)
	if !m.by.IsZero() {
		m.hurry(now, m.by)
		timeout = min(timeout, max(m.by.Sub(now)/2, time.Millisecond))
	}
	return []Effect{Run{m.running, m.step, m.epoch, timeout}}
}

// Next returns when the machine wants to be told the time again; zero if it
// waits for something else.
func (m *Machine) Next() time.Time {
	next := time.Time{}
	for _, t := range []time.Time{m.cancelAt, m.by, m.again} {
		if m.overrun && t.Equal(m.by) || t.IsZero() {
			continue
		}
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	return next
}

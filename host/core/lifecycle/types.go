package lifecycle

import (
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Phase of an app on this node.
type Phase uint8

// The phases, see the package comment.
const (
	Passive Phase = iota
	Starting
	Active
	Stopping
	Finishing
	Finished
)

// String returns the word for the phase.
func (p Phase) String() string {
	return [...]string{"passive", "starting", "active", "stopping", "finishing", "finished"}[p]
}

// Step is one thing to do.
type Step uint8

// The steps, in the order of becoming active, then of becoming passive.
const (
	SaveEpoch    Step = iota // store the epoch on this node's disk
	Promote                  // make this node's copy of the data the one that is written
	StartBackend             // returns when the service is ready
	CallActive
	CallStart
	CallPassive
	CallStop
	StopBackend // returns when nothing of the service runs
	KillBackend // the same by force, after StopBackend failed
	Demote      // give the last changes away and follow again
)

// String returns the name of the step as people know it.
func (s Step) String() string {
	return [...]string{"save epoch", "promote", "start backend", "OnActive", "OnStart", "OnPassive", "OnStop", "stop backend", "kill backend", "demote"}[s]
}

// Spec says what an app has. Timeouts are positive.
type Spec struct {
	Singleton    bool
	Durable      bool // epochs are stored on disk
	Data         bool // it has data that is promoted and demoted
	Backend      bool
	Hooks        map[Step]bool // the Call steps that have at least one function
	HookTimeout  time.Duration // for each Call step
	DataTimeout  time.Duration // for Promote and Demote
	StartTimeout time.Duration // for StartBackend
	StopTimeout  time.Duration // for StopBackend
}

func (s Spec) timeout(st Step) time.Duration {
	switch st {
	case Promote, Demote:
		return s.DataTimeout
	case StartBackend:
		return s.StartTimeout
	case StopBackend, KillBackend:
		return s.StopTimeout
	}
	return s.HookTimeout
}

// Inputs and effects.
type (
	// Input is what the machine may be told.
	Input interface{ input() }
	// Effect is what the machine wants done.
	Effect interface{ effect() }

	// Tick says that time has passed.
	Tick struct{}
	// Lead says that this node is to be active, in an epoch (0 for an app that
	// is active everywhere).
	Lead struct{ Epoch pluginapi.Epoch }
	// Cease says that this node is to be passive. By is zero for a planned
	// change; otherwise everything must have ended by then.
	Cease struct {
		Reason string
		By     time.Time
	}
	// Fail says that the service cannot be kept alive.
	Fail struct{ Reason string }
	// Hurry says that what stops now must have ended by then.
	Hurry struct{ By time.Time }
	// Finish says that the app ends on this node, after it has become passive.
	Finish struct{}
	// StepDone says that the code of a step has come back.
	StepDone struct {
		ID  uint64
		Err string // "" if it succeeded
	}

	// Run starts a step. Its context ends after Timeout.
	Run struct {
		ID      uint64
		Step    Step
		Epoch   pluginapi.Epoch
		Timeout time.Duration
	}
	// Cancel ends the context of a running step.
	Cancel struct{ ID uint64 }
	// BecameActive says that all steps of becoming active are done.
	BecameActive struct{ Epoch pluginapi.Epoch }
	// BecamePassive says that nothing of the app runs any more.
	BecamePassive struct {
		Epoch  pluginapi.Epoch
		Reason string
		Failed bool // it was the app that failed, not a wish
	}
	// Ended says that Finish is done.
	Ended struct{}
	// Overrun says that a step has not come back by the time at which
	// everything had to have ended. Nothing but the end of the process helps.
	Overrun struct{ Step Step }
)

func (Tick) input()     {}
func (Lead) input()     {}
func (Cease) input()    {}
func (Fail) input()     {}
func (Hurry) input()    {}
func (Finish) input()   {}
func (StepDone) input() {}

func (Run) effect()           {}
func (Cancel) effect()        {}
func (BecameActive) effect()  {}
func (BecamePassive) effect() {}
func (Ended) effect()         {}
func (Overrun) effect()       {}

package core

import (
	"time"

	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/lifecycle"
	"github.com/ozanturksever/go-cluster/host/core/membership"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Bucket names one of the two streams of records.
type Bucket uint8

// The buckets.
const (
	Sessions Bucket = iota // key: node
	Records                // keys: see Key*
)

// String returns the word for the bucket.
func (b Bucket) String() string { return [...]string{"sessions", "records"}[b] }

// Keys in the bucket [Records].
const (
	KeyMembers    = "members"
	KeyController = "role.controller"
	prefixApp     = "app."
	prefixNode    = "node."
)

// KeyApp is the key of who leads an app.
func KeyApp(app string) string { return prefixApp + app }

// Inputs.
type (
	// Input is what the core may be told.
	Input interface{ input() }

	// Tick says that time has passed. Wall is the wall clock, for people only.
	Tick struct{ Wall time.Time }
	// Seen says what the store holds under a key; Seq 0 means nothing.
	Seen struct {
		Bucket Bucket
		Key    string
		Seq    uint64
		Value  []byte
	}
	// Loaded says that all that the bucket held when watching began was Seen.
	// For Sessions it answers the last [Observe].
	Loaded struct{ Bucket Bucket }
	// Written answers a [Write].
	Written struct {
		ID     uint64
		Result election.Result
		Seq    uint64
	}
	// StepDone says that the code of a step has come back.
	StepDone struct {
		App string
		ID  uint64
		Err string
	}
	// BackendFailed says that a backend cannot be kept alive.
	BackendFailed struct{ App, Reason string }
	// Gone is a hint that a session is over: look at once.
	Gone struct{ Node string }
	// GuardFired says that the guard has killed the backends of an incarnation.
	GuardFired struct{ Inc uint64 }
	// Ranked says what a placement policy thinks of the nodes for an app: Nodes, the
	// best first, and Unfit, which must not lead it. Nodes that are in neither come
	// after those that are ranked. Nil lists bring the core's own order back.
	Ranked struct {
		App          string
		Nodes, Unfit []string
	}
	// DigestSeen is the controller's word on who was seen when.
	DigestSeen struct{ Value []byte }

	// StepDown is the wish that this node gives an app away. Answered by Reply.
	StepDown struct {
		ID  uint64
		App string
	}
	// EditNode is the wish to change what is stored about a node. Answered by
	// Reply.
	EditNode struct {
		ID   uint64
		Node string
		Edit membership.Edit
	}
	// Forget says that nobody waits for the answer to a wish any more.
	Forget struct{ ID uint64 }
	// Shutdown is the wish to stop everything and to leave. Answered by
	// Finished.
	Shutdown struct{}
	// Hurry says that a shutdown has taken too long: what still stops is forced.
	Hurry struct{}
)

func (Tick) input()          {}
func (Seen) input()          {}
func (Loaded) input()        {}
func (Written) input()       {}
func (StepDone) input()      {}
func (BackendFailed) input() {}
func (Gone) input()          {}
func (GuardFired) input()    {}
func (DigestSeen) input()    {}
func (Ranked) input()        {}
func (StepDown) input()      {}
func (EditNode) input()      {}
func (Forget) input()        {}
func (Shutdown) input()      {}
func (Hurry) input()         {}

// Effects.
type (
	// Effect is what the core wants done. Doing one never waits for another; its
	// end comes back as an input.
	Effect interface{ effect() }

	// Write puts Value under Key if the key still has the sequence After.
	Write struct {
		ID     uint64
		Bucket Bucket
		Key    string
		After  uint64
		Value  []byte
	}
	// Read asks for a record from the stream's leader; the answer is Seen.
	Read struct {
		Bucket Bucket
		Key    string
	}
	// Observe asks for the changes of all sessions, or of the named nodes.
	Observe struct {
		All   bool
		Nodes []string
	}
	// Run starts a step of an app.
	Run struct {
		App string
		lifecycle.Run
	}
	// Cancel ends the context of a running step.
	Cancel struct {
		App string
		ID  uint64
	}
	// Overrun says that a step has not come back in time: end the process.
	Overrun struct {
		App  string
		Step lifecycle.Step
	}
	// Renewed tells the guard until when this node may act. It is not told of a
	// join that may not have come through: the next life of the node, with the
	// same home, would join in the same incarnation, and lose it to that guard.
	Renewed struct {
		Inc, Seq uint64
		Until    time.Time
	}
	// SayGone tells the other nodes to look at a session at once.
	SayGone struct{ Node string }
	// SayDigest publishes the controller's digest.
	SayDigest struct{ Value []byte }
	// MemberJoined and MemberLeft are told once per event.
	MemberJoined struct{ Member pluginapi.Member }
	// MemberLeft is told once per event.
	MemberLeft struct {
		Member pluginapi.Member
		Reason string
	}
	// LeaderChanged says that an app has another leader.
	LeaderChanged struct {
		App, Leader string
		Epoch       pluginapi.Epoch
	}
	// LabelsChanged says that a node has other labels.
	LabelsChanged struct {
		Node   string
		Labels map[string]string
	}
	// Note is worth a line in the log.
	Note struct {
		Kind string // what happened, one of a small set of words
		App  string
		Text string
		Warn bool
	}
	// Reply answers a wish.
	Reply struct {
		ID     uint64
		Err    error
		To     string            // StepDown: who leads now
		Epoch  pluginapi.Epoch   // StepDown: in which epoch
		Labels map[string]string // EditNode: the labels now
	}
	// Fatal says that the node cannot go on.
	Fatal struct{ Err error }
	// Finished answers Shutdown.
	Finished struct{}
)

func (Write) effect()         {}
func (Read) effect()          {}
func (Observe) effect()       {}
func (Run) effect()           {}
func (Cancel) effect()        {}
func (Overrun) effect()       {}
func (Renewed) effect()       {}
func (SayGone) effect()       {}
func (SayDigest) effect()     {}
func (MemberJoined) effect()  {}
func (MemberLeft) effect()    {}
func (LeaderChanged) effect() {}
func (LabelsChanged) effect() {}
func (Note) effect()          {}
func (Reply) effect()         {}
func (Fatal) effect()         {}
func (Finished) effect()      {}

package rpc

import (
	"context"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Header holds the headers of a message. Names are compared as written.
type Header = map[string][]string

// Address is where a message goes: the instance of an app on a node. An empty
// node means any one instance.
type Address struct{ App, Node string }

// Message is a message as it came in.
type Message struct {
	Header  Header
	Note    string // see Bus.Ask; "" if there is none
	Data    []byte
	Respond func(Header, []byte) error // nil: no answer is wanted
}

// Asker waits for the answer to one question.
type Asker interface {
	// Answered is told the answer, or the error that takes its place. It holds
	// ErrUnknownOutcome when the message may have arrived, ErrUnreachable when
	// nobody listens at the address, and else says why it was not sent. It must not
	// block.
	Answered(h Header, data []byte, err error)
}

// Bus carries messages.
type Bus interface {
	// Ask sends a message and returns; a is told its answer, once. Before that it
	// is told any number of early words, which have the header HeadTaken. note is a
	// short text, one token of a subject, that travels beside the headers at less
	// cost. The ticket is for Forget. An error is one that a would be told otherwise.
	Ask(to Address, h Header, note string, data []byte, a Asker) (ticket uint64, err error)
	// Forget ends the wait for the answer and reports whether it was still waited
	// for: after false the asker is told, or was told already; after true it is told
	// nothing more.
	Forget(ticket uint64) bool
	// Send sends a message that asks for no answer.
	Send(ctx context.Context, to Address, h Header) error
	// Listen calls fn for each message to the address, one at a time. Of those who
	// listen at an address without a node, one gets each message. stop ends it:
	// what was delivered until then is still given to fn, and fn has returned when
	// stop does, unless ctx ends before.
	Listen(at Address, fn func(Message)) (stop func(ctx context.Context) error, err error)
	// MaxPayload is the most that a message may hold, headers included, in bytes.
	MaxPayload() int
}

// Lead is what is known of the leadership of an app.
type Lead struct {
	Mode  LeadMode
	Node  string // "": no leader is known
	Epoch pluginapi.Epoch
}

// LeadMode says whether an app has leaders at all.
type LeadMode int

// The modes.
const (
	LeadUnknown LeadMode = iota // nobody has ever led it, as far as this node can see
	LeadOne                     // one instance leads it
	LeadNone                    // every instance is active
)

// Peer is a living node that has an app.
type Peer struct {
	Node    string
	Healthy bool
}

// Directory knows who is where.
type Directory interface {
	// Lead returns what is known of the leadership of an app. An error means that
	// it could not be looked up.
	Lead(ctx context.Context, app string) (Lead, error)
	// Wait returns when somebody else may lead the app than the one that is
	// given, after pause at the latest, or when ctx ends.
	Wait(ctx context.Context, app string, than Lead, pause time.Duration)
	// Peers returns the living nodes that have the app, sorted by name.
	Peers(app string) []Peer
	// Incarnation returns that of a member, 0 for a node that is none. known is
	// false while this node cannot say who is a member.
	Incarnation(node string) (inc uint64, known bool)
}

// Observer is told what happens, for metrics. Each function may be nil; none may
// block.
type Observer struct {
	// Handled is told of each call that came to this node. method is "-" for one
	// that the app does not have.
	Handled func(app, method string, s Status, d time.Duration)
	// Called is told of each call to an app that was made through its API. from
	// is the app that made it, "" if none has.
	Called func(from, app, method string, s Status, d time.Duration)
	// Stale is told of each call to a leader that was refused because this node
	// does not lead, or leads in another epoch.
	Stale func(app, method string)
	// Circuit is told of each change of a circuit.
	Circuit func(app, node string, s Circuit)
}

// Status is how a call ended, in one word.
type Status string

// The ways in which a call ends.
const (
	StatusOK      Status = "ok"
	StatusError   Status = "error"   // the handler has returned one
	StatusRefused Status = "refused" // before the handler began
	StatusBusy    Status = "busy"    // refused because too many run
	StatusTimeout Status = "timeout"
	StatusLost    Status = "lost" // nobody knows whether it was done
)

func (o Observer) handled(app, method string, s Status, d time.Duration) {
	if o.Handled != nil {
		o.Handled(app, method, s, d)
	}
}

func (o Observer) called(from, app, method string, s Status, d time.Duration) {
	if o.Called != nil {
		o.Called(from, app, method, s, d)
	}
}

func (o Observer) stale(app, method string) {
	if o.Stale != nil {
		o.Stale(app, method)
	}
}

func (o Observer) circuit(app, node string, s Circuit) {
	if o.Circuit != nil {
		o.Circuit(app, node, s)
	}
}

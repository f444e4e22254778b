package events

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// Headers of an event, and of a dead letter.
const (
	headerNode   = "Gc-Node"
	headerID     = "Nats-Msg-Id"
	headerReason = "Gc-Reason"
	headerTries  = "Gc-Tries"
	headerSeq    = "Gc-Sequence"
)

// Event is something that was published.
type Event struct {
	Subject    string // as it was published
	Data       []byte
	SourceApp  string // the app that it comes from; "" when no app has sent a platform event
	SourceNode string // the node that it comes from, "" when it is not known

	// Of a kept event.
	ID       string    // names the event for those who must not handle it twice; "" for a live one
	Sequence uint64    // its place in the stream; 0 when it was received live
	Time     time.Time // when it was stored, by the server's clock; of a dead letter: when it became one
	Tries    int       // how often it was delivered to this group, this time included
}

// DeadLetter is an event that a group of readers could not handle.
type DeadLetter struct {
	Event
	Consumer string // the group
	Reason   string // the last error
}

// LiveHandler is called for each event, one call at a time.
type LiveHandler func(Event)

// Handler deals with a kept event. nil means that it is dealt with; an error,
// a panic or a call that takes too long bring it again.
type Handler func(context.Context, Event) error

// maxReason is the longest reason of a dead letter, in bytes.
const maxReason = 1024

// clip makes a text of somebody else fit to be a header.
func clip(text string, most int) string {
	if len(text) > most {
		text = text[:most] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return ' '
		}
		return r
	}, text)
}

// number reads a number that somebody else has sent, 0 if it is none.
func number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

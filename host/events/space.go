package events

import (
	"strings"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Space says whose events they are: an app's, or the platform's.
type Space struct {
	app      string // "": the platform's, whose events have a source
	subjects func(kind, source string) string
	stream   string
	dead     string
	grave    string // stream of dead letters
	parts    int    // of a subject before that of the event
}

// AppSpace is the space of the events of an app.
func AppSpace(n bus.AppNames) Space {
	return Space{
		app: n.Name(), subjects: func(kind, _ string) string { return n.Events(kind) },
		stream: n.EventStream(), dead: n.Dead(), grave: n.DeadStream(), parts: 6,
	}
}

// PlatformSpace is the space of the events of the platform.
func PlatformSpace(n bus.Names) Space {
	return Space{subjects: n.PlatformEvents, stream: n.PlatformEventStream(), dead: n.PlatformDead(), grave: n.PlatformDeadStream(), parts: 5}
}

// subject is where an event is sent, or, with wildcards, listened to.
func (s Space) subject(kind, source, subject string) string {
	return s.subjects(kind, source) + "." + subject
}

// letter is where the dead letters of an event are sent.
func (s Space) letter(consumer, source, subject string) string {
	if s.app == "" {
		subject = source + "." + subject
	}
	return s.dead + "." + consumer + "." + subject
}

// event reads what was received; false when it is none.
func (s Space) event(m bus.Message) (Event, bool) {
	parts := strings.SplitN(m.Subject, ".", s.parts+1)
	if len(parts) <= s.parts || bus.CheckSubject(parts[s.parts]) != nil {
		return Event{}, false
	}
	e := Event{Subject: parts[s.parts], Data: m.Data, SourceApp: s.app, ID: m.Header.Get(headerID)}
	if s.app == "" && parts[s.parts-1] != bus.NoApp {
		e.SourceApp = parts[s.parts-1]
	}
	if node := m.Header.Get(headerNode); pluginapi.CheckName("node", node) == nil {
		e.SourceNode = node
	}
	return e, true
}

// letterOf reads a dead letter; false when it is none.
func (s Space) letterOf(m bus.Stored) (DeadLetter, bool) {
	rest, ours := strings.CutPrefix(m.Subject, s.dead+".")
	consumer, rest, more := strings.Cut(rest, ".")
	if !ours || !more {
		return DeadLetter{}, false
	}
	source := ""
	if s.app == "" {
		if source, rest, more = strings.Cut(rest, "."); !more {
			return DeadLetter{}, false
		}
	}
	e, ok := s.event(bus.Message{Subject: s.subject(bus.EventKept, source, rest), Header: m.Header, Data: m.Data})
	if !ok {
		return DeadLetter{}, false
	}
	e.Sequence = number(m.Header.Get(headerSeq))
	e.Tries = int(min(number(m.Header.Get(headerTries)), 1<<30))
	e.Time = m.Time
	return DeadLetter{Event: e, Consumer: consumer, Reason: clip(m.Header.Get(headerReason), maxReason)}, true
}

package bus

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// noteMark is what the note of a question follows, in the subject for its
// answer.
const noteMark = ".gcnote."

// Asker waits for the answer to one question.
type Asker interface {
	// Answered is told the answer, or the error that takes its place: ErrRefused
	// or ErrUnknown, as of [Conn.Request]. It must not block. It is told once, and
	// before that any number of early words.
	Answered(m Message, err error)
}

// question is a request that waits for its answer.
type question struct {
	subject string
	early   string
	asker   Asker
}

// Ask sends a message and returns; asker is told how it ended. A message with the
// header early, if that is not "", is an early word of whoever has taken the
// question, and the answer is still to come. The ticket is for [Conn.Forget].
//
// The message's note, if it is not "", must be one token of a subject, without
// blanks and wildcards. It travels in the subject for the answer, where a
// [Listener] finds it: a header would have to be parsed.
//
// Unlike [Conn.Request] it knows no time: whoever asks forgets the question when
// it waits no more.
//
// # Errors
//
// ErrRefused when it was not sent; asker is not told then. ErrUnknown when the
// connection was closed at that moment.
func (c *Conn) Ask(m Message, early string, asker Asker) (ticket uint64, err error) {
	ticket, err = c.ask(&nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Data}, m.Note, early, asker)
	if err != nil {
		return 0, fmt.Errorf("request to %s: %w", m.Subject, err)
	}
	return ticket, nil
}

func (c *Conn) ask(msg *nats.Msg, note, early string, asker Asker) (ticket uint64, err error) {
	if err := c.openInbox(); err != nil {
		return 0, asRefused(err)
	}
	if ticket, err = c.begin(question{msg.Subject, early, asker}); err != nil {
		return 0, asRefused(err)
	}
	reply := append(make([]byte, 0, 256), c.inbox...)
	reply = strconv.AppendUint(reply, ticket, 36)
	if note != "" {
		reply = append(append(reply, noteMark...), note...)
	}
	msg.Reply = string(reply)
	if err := c.nc.PublishMsg(msg); err != nil && c.Forget(ticket) {
		return 0, outcome(err)
	}
	return ticket, nil
}

// Forget ends the wait for an answer, and reports whether it was still waited
// for: after false the asker is told, or was told already. After true it is told
// nothing more.
func (c *Conn) Forget(ticket uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, waits := c.calls[ticket]
	delete(c.calls, ticket)
	return waits
}

// begin enters a question into the book, unless it cannot be answered anyway.
func (c *Conn) begin(q question) (ticket uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.life.Err() != nil:
		return 0, ErrClosed
	case !c.connected:
		return 0, errNotConnected
	case c.noInbox != nil:
		return 0, c.noInbox
	}
	c.tickets++
	c.calls[c.tickets] = q
	return c.tickets, nil
}

// openInbox subscribes to the answers to all questions of this connection.
func (c *Conn) openInbox() error {
	c.inboxOnce.Do(func() {
		c.inbox = c.inboxes() + nuid.Next() + "."
		_, c.inboxErr = c.nc.Subscribe(c.inbox+">", c.answer)
	})
	return c.inboxErr
}

// answer tells whoever waits for it.
func (c *Conn) answer(m *nats.Msg) {
	digits, _, _ := strings.Cut(m.Subject[min(len(c.inbox), len(m.Subject)):], ".")
	ticket, err := strconv.ParseUint(digits, 36, 64)
	if err != nil {
		return
	}
	c.mu.Lock()
	q, waits := c.calls[ticket]
	if waits && (q.early == "" || m.Header[q.early] == nil) {
		delete(c.calls, ticket)
	}
	c.mu.Unlock()
	switch {
	case !waits: // too late, or twice
	case len(m.Data) == 0 && m.Header.Get("Status") == "503":
		q.asker.Answered(Message{}, outcome(nats.ErrNoResponders))
	default:
		q.asker.Answered(received(m), nil)
	}
}

// failCalls tells all who wait, or those who have asked on one subject, that no
// answer comes. c.mu is held.
func (c *Conn) failCalls(subject string, err error) {
	for ticket, q := range c.calls {
		if subject == "" || q.subject == subject {
			delete(c.calls, ticket)
			q.asker.Answered(Message{}, outcome(err))
		}
	}
}

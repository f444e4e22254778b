package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Publish sends a message to whoever listens at this moment. nil means that it
// is on its way to the server, not that anybody got it.
//
// # Errors
//
// ErrRefused when it was not sent.
func (c *Conn) Publish(ctx context.Context, subject string, data []byte) error {
	return c.PublishMsg(ctx, Message{Subject: subject, Data: data})
}

// PublishMsg is Publish of a message with a header.
func (c *Conn) PublishMsg(ctx context.Context, m Message) error {
	err := ctx.Err()
	if err == nil && !c.Connected() {
		err = errNotConnected
	}
	if err == nil {
		err = c.nc.PublishMsg(&nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Data})
	}
	if err != nil {
		return fmt.Errorf("publish to %s: %w", m.Subject, asRefused(err))
	}
	return nil
}

// Request sends a message and returns the first answer. Without a deadline in
// ctx it waits for DefaultTimeout.
//
// # Errors
//
// ErrRefused with ErrNoResponders when nobody listens, ErrRefused when it was
// not sent or is not allowed, ErrUnknown with [pluginapi.ErrTimeout] when no
// answer came in time, ErrUnknown when the connection was lost meanwhile.
func (c *Conn) Request(ctx context.Context, subject string, data []byte) ([]byte, error) {
	m, err := c.RequestMsg(ctx, Message{Subject: subject, Data: data})
	return m.Data, err
}

// RequestMsg is Request of a message with a header, and returns the answer with
// its header.
func (c *Conn) RequestMsg(ctx context.Context, question Message) (Message, error) {
	m, err := c.send(ctx, &nats.Msg{Subject: question.Subject, Header: nats.Header(question.Header), Data: question.Data})
	if err != nil {
		return Message{}, fmt.Errorf("request to %s: %w", question.Subject, err)
	}
	return received(m), nil
}

func received(m *nats.Msg) Message {
	return Message{Subject: m.Subject, Header: Header(m.Header), Data: m.Data, msg: m}
}

// Header holds the headers of a message. Names are compared as they are
// written, without regard to what HTTP does to them.
type Header map[string][]string

// Get returns the first value of a header, or "".
func (h Header) Get(name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Message is what is sent, and what a subscription receives.
type Message struct {
	Subject string
	Header  Header // nil: none
	Data    []byte
	Note    string    // of a question, see [Conn.Ask]; "" if there is none
	msg     *nats.Msg // as received
}

// Asks reports whether the sender waits for an answer.
func (m Message) Asks() bool { return m.msg != nil && m.msg.Reply != "" }

// Respond answers a request. An error means that the answer was not sent, or
// that the message asks for none.
func (m Message) Respond(data []byte) error { return m.RespondMsg(nil, data) }

// RespondMsg is Respond with a header.
func (m Message) RespondMsg(h Header, data []byte) error {
	if m.msg == nil {
		return fmt.Errorf("respond on %s: %w: not a request", m.Subject, pluginapi.ErrInvalid)
	}
	if err := m.msg.RespondMsg(&nats.Msg{Header: nats.Header(h), Data: data}); err != nil {
		return fmt.Errorf("respond on %s: %w", m.Subject, asRefused(err))
	}
	return nil
}

// Subscribe calls fn for each message on subject, which may hold wildcards, one
// call at a time. Of the subscriptions with the same queue name, if it is not
// "", only one gets each message. The subscription outlives breaks of the
// connection; what is published during a break is missed.
//
// cancel ends it and waits for a fn that runs; fn must not call it.
//
// # Errors
//
// ErrRefused when the subject is malformed or the server denies it, ErrClosed
// after Close.
func (c *Conn) Subscribe(subject, queue string, fn func(Message)) (cancel func(), err error) {
	s, err := c.subscribe(subject, queue, func(m *nats.Msg) {
		fn(received(m))
	})
	if err != nil {
		return nil, err
	}
	return s.cancel, nil
}

// subscription is one subscription of the connection.
type subscription struct {
	c       *Conn
	sub     *nats.Subscription
	subject string
	busy    chan struct{} // holds one token while a callback runs
	over    bool          // guarded by the token
}

// subscribe registers fn and returns when the server has heard of it.
func (c *Conn) subscribe(subject, queue string, fn func(*nats.Msg)) (*subscription, error) {
	s := &subscription{c: c, subject: subject, busy: make(chan struct{}, 1)}
	run := func(m *nats.Msg) {
		s.busy <- struct{}{}
		defer func() { <-s.busy }()
		if !s.over {
			fn(m)
		}
	}
	var err error
	if s.sub, err = c.nc.QueueSubscribe(subject, queue, run); err != nil {
		if errors.Is(err, nats.ErrConnectionClosed) {
			err = ErrClosed
		}
		return nil, fmt.Errorf("subscribe to %s: %w", subject, asRefused(err))
	}
	c.mu.Lock()
	c.subs[s] = struct{}{}
	c.mu.Unlock()
	if c.life.Err() != nil { // Close may have been faster than the entry
		s.cancel()
		return nil, fmt.Errorf("subscribe to %s: %w", subject, asRefused(ErrClosed))
	}
	if err := c.confirm(subject); err != nil {
		s.cancel()
		return nil, fmt.Errorf("subscribe to %s: %w", subject, asRefused(err))
	}
	return s, nil
}

// confirm waits until the server has taken what was sent, and says whether it
// denied the subject. Without a connection it is asked for again after the
// reconnect, and nobody can say.
func (c *Conn) confirm(subject string) error {
	ctx, cancel := context.WithTimeout(c.life, 2*time.Second)
	defer cancel()
	if !c.Connected() || c.nc.FlushWithContext(ctx) != nil {
		return nil
	}
	// The denial comes before the answer to the flush.
	if err := c.nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) &&
		strings.Contains(err.Error(), fmt.Sprintf("Subscription to %q", subject)) {
		return &denied{subject: subject}
	}
	return nil
}

// cancel ends the subscription and waits for the callback that runs.
func (s *subscription) cancel() {
	s.c.mu.Lock()
	delete(s.c.subs, s)
	s.c.mu.Unlock()
	_ = s.sub.Unsubscribe() // fails only when the connection is closed
	_ = s.stop(context.Background())
}

// stop keeps further callbacks from running and waits for the one that runs.
func (s *subscription) stop(ctx context.Context) error {
	select {
	case s.busy <- struct{}{}:
		s.over = true
		<-s.busy
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

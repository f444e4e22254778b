package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/events"
)

// Event is something that was published.
type Event = events.Event

// DeadLetter is an event that a consumer could not handle.
type DeadLetter = events.DeadLetter

// EventHandler deals with a durable event. nil means that it is dealt with; an
// error, a panic, or a context that has ended and an error, bring it again.
type EventHandler = events.Handler

// EventLimits bound what is stored of durable events; the oldest are dropped
// first. 0 leaves an existing stream as it is, and means 7 days and 64 MiB for a
// new one. Nodes that give different limits change them with each start.
type EventLimits = events.Limits

// WithEventLimits bounds what is stored of the app's durable events.
func WithEventLimits(l EventLimits) AppOption {
	return func(a *App) { a.limits = l }
}

// Events are the events of one app, between its instances on all nodes.
//
// A subject is made of A-Z a-z 0-9 - _ in parts joined by dots, at most 255
// bytes; where one subscribes, "*" stands for any one part and ">" at the end
// for one or more. Subscriptions may be made before [Platform.Run] and begin
// with it. After Run has returned every method returns ErrShuttingDown.
type Events struct{ a *App }

// Events returns the events of the app.
func (a *App) Events() *Events { return &Events{a} }

// Publish sends an event to the subscribers that listen at this moment: at most
// once. nil means that it is on its way. See PublishDurable.
//
// # Errors
//
// ErrInvalid for a bad subject or before the node is connected; ErrTooLarge;
// ErrShuttingDown; the context's error; what kept it from being sent.
func (e *Events) Publish(ctx context.Context, subject string, data []byte) error {
	return e.a.events.Publish(ctx, bus.NoApp, subject, data)
}

// Subscribe calls the handler with the data of each event on the subject, live
// and durable ones, one call at a time and in order. Each further Subscribe adds
// a handler. A slow handler misses events beyond 8192 that wait, or 32 MiB; that
// is logged and counted. A panic is logged and ends nothing.
//
// # Errors
//
// ErrInvalid for a bad subject or a nil handler; ErrShuttingDown; what kept the
// subscription from beginning.
func (e *Events) Subscribe(subject string, handler func([]byte)) error {
	if handler == nil {
		_, err := e.Listen(subject, nil)
		return err
	}
	_, err := e.Listen(subject, func(ev Event) { handler(ev.Data) })
	return err
}

// Listen is Subscribe for a handler that gets the whole event. The subscription
// can be ended by itself.
func (e *Events) Listen(subject string, handler func(Event)) (*Subscription, error) {
	return e.a.events.Listen("*", subject, handler)
}

// Unsubscribe ends every subscription of this node on exactly this subject, and
// returns when handlers that run have returned; called by a handler, it does not
// wait for that handler. A durable consumer keeps its place.
//
// # Errors
//
// ErrInvalid when there is none.
func (e *Events) Unsubscribe(subject string) error {
	if !e.a.events.Unsubscribe("*", subject) {
		return fmt.Errorf("%w: unsubscribe: nobody has subscribed to %.80q", ErrInvalid, subject)
	}
	return nil
}

// PublishDurable stores an event and returns when that is acknowledged: every
// durable consumer gets it at least once, and live subscribers get it too. While
// the stream has no leader it tries again until the context ends, 5 s without a
// deadline; the event is stored once.
//
// # Errors
//
// As of Publish; ErrUnknownOutcome or ErrTimeout when it may have been stored:
// publish it again with the same [WithEventID].
func (e *Events) PublishDurable(ctx context.Context, subject string, data []byte, opts ...PublishOption) error {
	return e.a.events.Keep(ctx, bus.NoApp, subject, eventID(opts), data)
}

// SubscribeDurable calls the handler for each durable event on the subject until
// it has returned nil for it: at least once. Subscribers with the same consumer
// name, on any node, share the events. When it returns, the consumer exists and
// misses nothing that is published from then on; before Run it begins in the
// background with Run. ctx bounds the opening only, by 10 s without a deadline.
//
// Events come in the order of the stream as long as there is one subscriber with
// a concurrency of one and no event fails: one that fails comes again later,
// after those that follow it.
//
// # Errors
//
// ErrInvalid for a bad subject, name or option, a nil handler, or a consumer
// that reads another subject; ErrShuttingDown; what keeps it from being opened.
func (e *Events) SubscribeDurable(ctx context.Context, subject, consumer string, handler EventHandler, opts ...DurableOption) (*Subscription, error) {
	return consume(ctx, e.a.events, "*", subject, consumer, handler, opts)
}

// DeadLetters returns the events that a consumer, or any if it is "", could not
// handle, the oldest first and at most 1000. They are kept for 30 days and 16
// MiB.
//
// # Errors
//
// ErrInvalid; ErrShuttingDown; what JetStream says.
func (e *Events) DeadLetters(ctx context.Context, consumer string) ([]DeadLetter, error) {
	return e.a.events.DeadLetters(ctx, consumer)
}

// DeleteConsumer deletes a durable consumer and its place in the stream. Its
// subscribers must have ended, or they create it again.
//
// # Errors
//
// As of DeadLetters. It is no error when there is none.
func (e *Events) DeleteConsumer(ctx context.Context, consumer string) error {
	return e.a.events.Forget(ctx, consumer)
}

// Subscription is one subscription to events.
type Subscription = events.Subscription

// PublishOption changes how a durable event is published.
type PublishOption func(*string)

// WithEventID names the event: within two minutes an event with the same id is
// stored once. 1 to 128 characters of printable ASCII without blanks.
func WithEventID(id string) PublishOption { return func(to *string) { *to = id } }

func eventID(opts []PublishOption) (id string) {
	for _, o := range opts {
		if o != nil {
			o(&id)
		}
	}
	return id
}

// DurableOption changes how a durable consumer reads.
type DurableOption func(*events.Durable)

// FromStart lets a new consumer begin with the oldest event that is stored.
func FromStart() DurableOption {
	return func(d *events.Durable) { d.Start = bus.Start{All: true} }
}

// FromTime lets a new consumer begin with the events stored at this time.
func FromTime(t time.Time) DurableOption {
	return func(d *events.Durable) { d.Start = bus.Start{Time: t, All: t.IsZero()} }
}

// FromSequence lets a new consumer begin with this sequence of the stream.
func FromSequence(seq uint64) DurableOption {
	return func(d *events.Durable) { d.Start = bus.Start{Seq: seq, All: seq == 0} }
}

// WithTries sets after how many deliveries an event that fails becomes a dead
// letter. Default 5, at most 1000.
func WithTries(n int) DurableOption { return func(d *events.Durable) { d.Tries = orBad(n) } }

// WithBackoff sets the pause after the first failed try, which doubles with each
// further one up to the most. Default 1 s and 1 min.
func WithBackoff(first, most time.Duration) DurableOption {
	return func(d *events.Durable) { d.First, d.Most = orBad(first), orBad(most) }
}

// WithHandlerTimeout sets when the context of one call ends. Default 30 s. A
// call that goes on regardless blocks its place on this node; another subscriber
// gets its event.
func WithHandlerTimeout(d time.Duration) DurableOption {
	return func(to *events.Durable) { to.Timeout = orBad(d) }
}

// WithConcurrency sets how many events this node handles at a time. Default 1.
func WithConcurrency(n int) DurableOption {
	return func(d *events.Durable) { d.Concurrency = orBad(n) }
}

// orBad keeps a 0 that was given from being taken for the default.
func orBad[T int | time.Duration](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

func consume(ctx context.Context, b *events.Broker, source, subject, consumer string, handler EventHandler, opts []DurableOption) (*Subscription, error) {
	var how events.Durable
	for i, o := range opts {
		if o == nil {
			return nil, fmt.Errorf("%w: subscribe to %.80q: option %d is nil", ErrInvalid, subject, i+1)
		}
		o(&how)
	}
	return b.Consume(ctx, source, subject, consumer, handler, how)
}

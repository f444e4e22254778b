package events

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Place is where a broker works.
type Place struct {
	Space    Space
	Conn     *bus.Conn
	Node     string
	Replicas int // of streams; 0: min(3, servers)
	Limits   Limits
	Log      *slog.Logger

	// What is counted; nil: not counted. They must return at once.
	OnDrop func(subject string, n int)          // live events that a slow handler has missed
	OnDead func(consumer string)                // an event has become a dead letter
	OnLost func(consumer string, atMost uint64) // kept events that were dropped before the group has read them
}

// Broker is one node's part of the events of one app, or of the platform. It may
// be used before it is attached: subscriptions then begin with Attach. Its
// methods may be called at the same time.
type Broker struct {
	mu     sync.Mutex
	place  *Place // nil: not attached
	closed bool
	subs   map[*Subscription]struct{}

	kept, dead opener
}

// New returns a broker that has started nothing.
func New() *Broker { return &Broker{subs: map[*Subscription]struct{}{}} }

// Attach connects the broker and begins the subscriptions that were made before.
//
// # Errors
//
// What keeps a live subscription from beginning; Close ends the others.
func (b *Broker) Attach(p Place) error {
	b.mu.Lock()
	b.place = &p
	b.kept.open = func(ctx context.Context) (*bus.Log, error) { return bus.OpenLog(ctx, p.Conn, p.keptConfig()) }
	b.dead.open = func(ctx context.Context) (*bus.Log, error) { return bus.OpenLog(ctx, p.Conn, p.deadConfig()) }
	var waiting []*Subscription
	for s := range b.subs {
		waiting = append(waiting, s)
	}
	b.mu.Unlock()
	for _, s := range waiting {
		if err := s.begin(&p); err != nil {
			return err
		}
	}
	return nil
}

// at returns where the broker works.
func (b *Broker) at() (*Place, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, pluginapi.ErrShuttingDown
	case b.place == nil:
		return nil, fmt.Errorf("%w: the node is not connected yet: call Run and wait until it is ready (WaitReady)", pluginapi.ErrInvalid)
	}
	return b.place, nil
}

// Publish sends an event to whoever listens at this moment.
//
// # Errors
//
// ErrInvalid for a bad subject or before the node is connected; ErrTooLarge;
// ErrShuttingDown; what kept it from being sent.
func (b *Broker) Publish(ctx context.Context, source, subject string, data []byte) error {
	p, m, err := b.message(bus.EventLive, source, subject, data)
	if err != nil {
		return err
	}
	return ending(p.Conn.PublishMsg(ctx, m))
}

// Keep stores an event once under its id, "" for a new one, and returns when
// the stream has acknowledged it.
//
// # Errors
//
// As of Publish; with ErrUnknownOutcome it may have been stored, and Keep with
// the same id within two minutes does not store it twice.
func (b *Broker) Keep(ctx context.Context, source, subject, id string, data []byte) error {
	if err := checkID(id); err != nil {
		return err
	}
	_, m, err := b.message(bus.EventKept, source, subject, data)
	if err != nil {
		return err
	}
	if id == "" {
		id = rand.Text()
	}
	log, err := b.kept.get(ctx)
	if err != nil {
		return ending(err)
	}
	if _, err = log.Append(ctx, m, id); errors.Is(err, bus.ErrNoResponders) {
		b.kept.forget(log) // it may have been deleted
	}
	return ending(err)
}

// ending gives the end of the connection the name that users know.
func ending(err error) error {
	if errors.Is(err, bus.ErrClosed) {
		return pluginapi.ErrShuttingDown
	}
	return err
}

// message checks an event and makes what is sent.
func (b *Broker) message(kind, source, subject string, data []byte) (*Place, bus.Message, error) {
	if err := bus.CheckSubject(subject); err != nil {
		return nil, bus.Message{}, err
	}
	if source != bus.NoApp {
		if err := pluginapi.CheckName("app", source); err != nil {
			return nil, bus.Message{}, err
		}
	}
	p, err := b.at()
	if err != nil {
		return nil, bus.Message{}, err
	}
	if most := p.Conn.MaxPayload() - roomForHeaders; len(data) > most {
		return nil, bus.Message{}, fmt.Errorf("%w: the event has %d bytes, the most is %d", pluginapi.ErrTooLarge, len(data), most)
	}
	return p, bus.Message{
		Subject: p.Space.subject(kind, source, subject), Header: bus.Header{headerNode: {p.Node}}, Data: data,
	}, nil
}

// roomForHeaders is kept free in a message, also for the reason of a dead
// letter.
const roomForHeaders = 4096

// maxID is the longest id of an event, in bytes.
const maxID = 128

func checkID(id string) error {
	if len(id) > maxID {
		return fmt.Errorf("%w: event id has %d bytes: the most is %d", pluginapi.ErrInvalid, len(id), maxID)
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return fmt.Errorf("%w: event id %q has %q at byte %d: give printable ASCII without blanks", pluginapi.ErrInvalid, id, id[i], i)
		}
	}
	return nil
}

// Close ends every subscription. It waits until handlers that run have returned,
// or ctx ends; their contexts end at once.
//
// # Errors
//
// ErrTimeout when a handler still runs.
func (b *Broker) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	return b.end(ctx, func(*Subscription) bool { return true }, true)
}

// Unsubscribe ends every subscription on a subject, and returns when handlers
// that run have returned. It is false when there is none.
func (b *Broker) Unsubscribe(source, subject string) bool {
	found := false
	_ = b.end(context.Background(), func(s *Subscription) bool {
		match := s.source == source && s.subject == subject
		found = found || match
		return match
	}, false)
	return found
}

// Stop ends every subscription and returns when handlers that run have returned.
func (b *Broker) Stop() {
	_ = b.end(context.Background(), func(*Subscription) bool { return true }, false)
}

// end ends all subscriptions that match, at the same time.
func (b *Broker) end(ctx context.Context, match func(*Subscription) bool, hurry bool) error {
	b.mu.Lock()
	var ending []*Subscription
	for s := range b.subs {
		if match(s) {
			ending = append(ending, s)
		}
	}
	b.mu.Unlock()
	for _, s := range ending {
		s.cancel(hurry)
	}
	for _, s := range ending {
		if err := s.wait(ctx); err != nil {
			return fmt.Errorf("end subscription to %s: %w", s.subject, err)
		}
	}
	return nil
}

// Subscriptions is how many subscriptions there are.
func (b *Broker) Subscriptions() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.subs)
}

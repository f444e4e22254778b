package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// AckWait is how long a message may be with a reader that says nothing; then
// it is delivered again.
const AckWait = 10 * time.Second

// maxUnacked is how much of one consumer all of its readers together may hold.
const maxUnacked = 10_000

// Start says where a new consumer begins; the zero value means: with what is
// stored from now on. At most one of the fields is set.
type Start struct {
	All  bool      // with the oldest message
	Seq  uint64    // with this sequence, or the first one after it
	Time time.Time // with the first message stored at this time or later
}

// Consumer reads a log for a group of readers that have its name: each message
// goes to one of them, and again until one has acknowledged it. Where the group
// stands is stored beside the log, with as many replicas.
type Consumer struct {
	l    *Log
	name string
	cons jetstream.Consumer
}

// Consumer opens the consumer of a name, or creates it.
//
// # Errors
//
// [pluginapi.ErrInvalid] when it exists for other subjects. ErrRefused or
// ErrUnknown when JetStream cannot do it now.
func (l *Log) Consumer(ctx context.Context, name, subject string, start Start) (*Consumer, error) {
	cons, err := l.s.c.js.Consumer(ctx, l.cfg.Stream, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		cons, err = l.s.c.js.CreateConsumer(ctx, l.cfg.Stream, consumerConfig(name, subject, start))
		if errors.Is(err, jetstream.ErrConsumerExists) { // another reader was faster
			cons, err = l.s.c.js.Consumer(ctx, l.cfg.Stream, name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open consumer %s of %s: %w", name, l.cfg.Stream, asUnknown(err))
	}
	if have := cons.CachedInfo().Config.FilterSubject; have != subject {
		return nil, fmt.Errorf("open consumer %s of %s: %w: it exists and reads %q, not %q: choose another name or delete it",
			name, l.cfg.Stream, pluginapi.ErrInvalid, have, subject)
	}
	return &Consumer{l, name, cons}, nil
}

func consumerConfig(name, subject string, start Start) jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		Durable: name, FilterSubject: subject, AckPolicy: jetstream.AckExplicitPolicy, AckWait: AckWait,
		MaxDeliver: -1, MaxAckPending: maxUnacked, MaxWaiting: 512, DeliverPolicy: jetstream.DeliverNewPolicy,
	}
	switch {
	case start.All:
		c.DeliverPolicy = jetstream.DeliverAllPolicy
	case start.Seq > 0:
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, start.Seq
	case !start.Time.IsZero():
		c.DeliverPolicy, c.OptStartTime = jetstream.DeliverByStartTimePolicy, &start.Time
	}
	return c
}

// DeleteConsumer deletes a consumer and what it knows. It is no error when
// there is none.
//
// # Errors
//
// What JetStream says.
func (l *Log) DeleteConsumer(ctx context.Context, name string) error {
	err := l.s.c.js.DeleteConsumer(ctx, l.cfg.Stream, name)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("delete consumer %s of %s: %w", name, l.cfg.Stream, err)
	}
	return nil
}

// Lag says how far a consumer is behind.
type Lag struct {
	Pending uint64 // messages that were not delivered yet
	Unacked int    // messages that were delivered and not acknowledged yet
	Next    uint64 // sequence after the last one that was delivered
}

// Lag reads how far the consumer is behind.
//
// # Errors
//
// What JetStream says.
func (c *Consumer) Lag(ctx context.Context) (Lag, error) {
	in, err := c.cons.Info(ctx)
	if err != nil {
		return Lag{}, fmt.Errorf("read consumer: %w", err)
	}
	return Lag{Pending: in.NumPending, Unacked: in.NumAckPending, Next: in.Delivered.Stream + 1}, nil
}

// Stored is a message of a log.
type Stored struct {
	Message
	Seq  uint64
	Time time.Time // when it was stored, by the server's clock
}

// fromConsumer is false for a message that does not come from a consumer.
func fromConsumer(m jetstream.Msg) (Stored, bool) {
	meta, err := m.Metadata()
	if err != nil {
		return Stored{}, false
	}
	return Stored{Message{Subject: m.Subject(), Header: Header(m.Headers()), Data: m.Data()}, meta.Sequence.Stream, meta.Timestamp}, true
}

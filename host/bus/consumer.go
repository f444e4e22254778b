package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// AckWait is how long a message may be with a reader that says nothing; then
// it is delivered again.
const AckWait = 10 * time.Second

const (
	maxUnacked = 10_000           // of one consumer, with all of its readers together
	pullTime   = 20 * time.Second // of one pull that finds nothing
	pullBeat   = 2 * time.Second  // a pull whose server says nothing for two of these is over
)

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
	return &Consumer{l, cons}, nil
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

// Pull hands on at most n messages, as they come, and returns when it has done
// so, when nothing more has come for a while, or when ctx has ended. Handing on
// more than one at a time is up to fn, which must not block for long.
//
// # Errors
//
// What kept messages from coming: open the consumer again after a pause.
func (c *Consumer) Pull(ctx context.Context, n int, fn func(*Delivery)) error {
	if !c.l.s.c.Connected() {
		return fmt.Errorf("pull: %w", asRefused(nats.ErrDisconnected))
	}
	ctx, cancel := context.WithTimeout(ctx, pullTime)
	defer cancel()
	batch, err := c.cons.Fetch(n, jetstream.FetchContext(ctx), jetstream.FetchHeartbeat(pullBeat))
	if err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	for m := range batch.Messages() {
		if d := delivered(m); d != nil {
			fn(d)
		}
	}
	if err := batch.Error(); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("pull: %w", err)
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

// Delivery is a message of a consumer that is to be acknowledged.
type Delivery struct {
	Stored
	Tries int // how often it was delivered, with this time
	msg   jetstream.Msg
}

// delivered is nil for a message that does not come from a consumer.
func delivered(m jetstream.Msg) *Delivery {
	meta, err := m.Metadata()
	if err != nil {
		return nil
	}
	return &Delivery{
		Stored: Stored{Message{Subject: m.Subject(), Header: Header(m.Headers()), Data: m.Data()}, meta.Sequence.Stream, meta.Timestamp},
		Tries:  int(min(meta.NumDelivered, 1<<30)), msg: m,
	}
}

// Ack says that the message is dealt with. An error means that it will be
// delivered again.
func (d *Delivery) Ack() error { return acked(d.msg.Ack()) }

// Again asks for the message to be delivered again after a while.
func (d *Delivery) Again(after time.Duration) error {
	if after <= 0 {
		return acked(d.msg.Nak())
	}
	return acked(d.msg.NakWithDelay(after))
}

// Working says that the message is being dealt with: AckWait begins anew.
func (d *Delivery) Working() error { return acked(d.msg.InProgress()) }

func acked(err error) error {
	if err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	return nil
}

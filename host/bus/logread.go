package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	readBatch = 500              // messages of one request
	readIdle  = 30 * time.Second // a reader that is gone is forgotten after this
	readAgain = 10 * time.Millisecond
)

// Read hands on the messages that match subject, which may hold wildcards, from
// start on and in order, until fn says no or there are no more.
//
// # Errors
//
// What JetStream says; fn may have been called before.
func (l *Log) Read(ctx context.Context, subject string, start Start, fn func(Stored) bool) error {
	cfg := consumerConfig("", subject, start)
	cfg.AckPolicy, cfg.AckWait, cfg.MaxAckPending = jetstream.AckNonePolicy, 0, 0
	cfg.MemoryStorage, cfg.Replicas, cfg.InactiveThreshold = true, 1, readIdle
	cons, err := l.s.c.js.CreateConsumer(ctx, l.cfg.Stream, cfg)
	if err != nil {
		return fmt.Errorf("read log %s: %w", l.cfg.Stream, timedOut(err))
	}
	defer func() { // it would be forgotten in a while in any case
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = l.DeleteConsumer(ctx, cons.CachedInfo().Name)
	}()
	found := time.Now().Add(DefaultTimeout)
	for left := cons.CachedInfo().NumPending; left > 0; {
		got, more, err := readSome(ctx, cons, fn)
		// The servers may not have told each other yet where the new reader is.
		if errors.Is(err, nats.ErrNoResponders) && got == 0 && time.Now().Before(found) && pause(ctx, readAgain, readAgain) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read log %s: %w", l.cfg.Stream, timedOut(err))
		}
		if !more || got == 0 { // 0: what was pending has been dropped meanwhile
			return nil
		}
		left -= min(left, got)
	}
	return nil
}

// readSome hands on one batch.
func readSome(ctx context.Context, cons jetstream.Consumer, fn func(Stored) bool) (got uint64, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	batch, err := cons.FetchNoWait(readBatch)
	if err != nil {
		return 0, false, err
	}
	more = true
	messages := batch.Messages()
	for {
		select {
		case m, open := <-messages:
			if !open {
				return got, more, batch.Error()
			}
			got++
			if d, ok := fromConsumer(m); ok && more {
				more = fn(d)
			}
		case <-ctx.Done():
			return got, false, ctx.Err()
		}
	}
}

// Follower reads a log from a place on, each message once and in order, without
// leaving a trace in it.
type Follower struct {
	l        *Log
	messages jetstream.MessagesContext
}

// Follow begins to read the messages that match subject. Whoever calls it calls
// Run.
//
// # Errors
//
// What JetStream says.
func (l *Log) Follow(ctx context.Context, subject string, start Start) (*Follower, error) {
	if start == (Start{}) { // from now on, also when the connection is lost before the first message
		st, err := l.State(ctx)
		if err != nil {
			return nil, fmt.Errorf("follow: %w", err)
		}
		start.Seq = st.Last + 1
	}
	from := consumerConfig("", subject, start)
	cons, err := l.s.c.js.OrderedConsumer(ctx, l.cfg.Stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subject}, DeliverPolicy: from.DeliverPolicy, OptStartSeq: from.OptStartSeq, OptStartTime: from.OptStartTime,
		InactiveThreshold: readIdle,
	})
	if err != nil {
		return nil, fmt.Errorf("follow log %s: %w", l.cfg.Stream, timedOut(err))
	}
	messages, err := cons.Messages(jetstream.PullHeartbeat(pullBeat), jetstream.PullExpiry(pullTime))
	if err != nil {
		return nil, fmt.Errorf("follow log %s: %w", l.cfg.Stream, timedOut(err))
	}
	return &Follower{l, messages}, nil
}

// Run hands on messages until ctx ends. When the connection or a server is lost
// it goes on where it was.
//
// # Errors
//
// ErrClosed when the connection was closed.
func (f *Follower) Run(ctx context.Context, fn func(Stored)) error {
	defer f.messages.Stop()
	defer context.AfterFunc(ctx, f.messages.Stop)()
	for {
		m, err := f.messages.Next()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrMsgIteratorClosed):
			return fmt.Errorf("follow log %s: %w", f.l.cfg.Stream, ErrClosed)
		case err != nil:
			f.l.s.c.log.Debug("follow log", "stream", f.l.cfg.Stream, "error", err)
			if !pause(ctx, openWait, openWait) {
				return nil
			}
		default:
			if d, ok := fromConsumer(m); ok {
				fn(d)
			}
		}
	}
}

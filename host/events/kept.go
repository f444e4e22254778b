package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Limits bound what is kept. When one is reached the oldest are dropped.
type Limits struct {
	MaxAge   time.Duration // 0: DefaultMaxAge for a new stream; what it is for an existing one
	MaxBytes int64         // 0: DefaultMaxBytes for a new stream; what it is for an existing one
}

// Defaults of Limits, and the limits of dead letters.
const (
	DefaultMaxAge         = 7 * 24 * time.Hour
	DefaultMaxBytes int64 = 64 << 20
	deadAge               = 30 * 24 * time.Hour
	deadBytes       int64 = 16 << 20
	minAge                = time.Second
	minBytes        int64 = 64 << 10
)

// Check refuses limits that cannot be meant.
//
// # Errors
//
// ErrInvalid.
func (l Limits) Check() error {
	if l.MaxAge != 0 && l.MaxAge < minAge {
		return fmt.Errorf("%w: events kept for %v: give at least %v, or 0 for the default", pluginapi.ErrInvalid, l.MaxAge, minAge)
	}
	if l.MaxBytes != 0 && l.MaxBytes < minBytes {
		return fmt.Errorf("%w: %d bytes of events: give at least %d, or 0 for the default", pluginapi.ErrInvalid, l.MaxBytes, minBytes)
	}
	return nil
}

func (p *Place) keptConfig() bus.LogConfig {
	return bus.LogConfig{
		Stream: p.Space.stream, Subject: p.Space.subjects(bus.EventKept, "*"), Replicas: p.Replicas,
		MaxAge: cmp.Or(p.Limits.MaxAge, DefaultMaxAge), MaxBytes: cmp.Or(p.Limits.MaxBytes, DefaultMaxBytes),
		Force: p.Limits != Limits{},
	}
}

func (p *Place) deadConfig() bus.LogConfig {
	return bus.LogConfig{Stream: p.Space.grave, Subject: p.Space.dead, MaxAge: deadAge, MaxBytes: deadBytes, Replicas: p.Replicas}
}

// opener opens a log when it is first needed, once for all who wait.
type opener struct {
	open func(context.Context) (*bus.Log, error)
	mu   sync.Mutex
	log  *bus.Log
	busy chan struct{} // not nil: somebody opens it; closed when that is over
}

func (o *opener) get(ctx context.Context) (*bus.Log, error) {
	for {
		o.mu.Lock()
		log, busy := o.log, o.busy
		if log == nil && busy == nil {
			o.busy = make(chan struct{})
		}
		o.mu.Unlock()
		switch {
		case log != nil:
			return log, nil
		case busy == nil:
			return o.try(ctx)
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, fmt.Errorf("open stream: %w", ended(ctx))
		}
	}
}

// try opens the log for all who wait.
func (o *opener) try(ctx context.Context) (*bus.Log, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, openTime)
		defer cancel()
	}
	log, err := o.open(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.busy)
	o.busy, o.log = nil, log
	return log, err
}

// forget lets the log be opened again: the stream may have been deleted.
func (o *opener) forget(log *bus.Log) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.log == log {
		o.log = nil
	}
}

// openTime bounds opening a stream when the caller has no deadline.
const openTime = 10 * time.Second

func ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return pluginapi.ErrTimeout
	}
	return ctx.Err()
}

// bury stores an event that could not be handled, once for each group.
func (d *durable) bury(e *bus.Delivery, ev Event, reason string) error {
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	log, err := d.sub.b.dead.get(ctx)
	if err != nil {
		return err
	}
	m := bus.Message{
		Subject: d.place.Space.letter(d.group, sourceOf(ev), ev.Subject),
		Header: bus.Header{
			headerNode: {ev.SourceNode}, headerReason: {clip(reason, maxReason)},
			headerTries: {strconv.Itoa(e.Tries)}, headerSeq: {strconv.FormatUint(e.Seq, 10)},
		},
		Data: ev.Data,
	}
	_, err = log.Append(ctx, m, d.group+"."+strconv.FormatUint(e.Seq, 10))
	return err
}

func sourceOf(e Event) string { return cmp.Or(e.SourceApp, bus.NoApp) }

// MaxDeadLetters is how many dead letters are read at once.
const MaxDeadLetters = 1000

// DeadLetters reads the dead letters of a group, or of all groups if that is "",
// the oldest first, at most MaxDeadLetters. Their data is as it was published.
//
// # Errors
//
// ErrInvalid for a bad name or before the node is connected; what JetStream
// says.
func (b *Broker) DeadLetters(ctx context.Context, group string) (out []DeadLetter, err error) {
	filter := "*"
	if group != "" {
		if err := pluginapi.CheckName("consumer", group); err != nil {
			return nil, err
		}
		filter = group
	}
	p, err := b.at()
	if err != nil {
		return nil, err
	}
	log, err := b.dead.get(ctx)
	if err != nil {
		return nil, err
	}
	err = log.Read(ctx, p.Space.dead+"."+filter+".>", bus.Start{All: true}, func(m bus.Stored) bool {
		if l, ok := p.Space.letterOf(m); ok {
			out = append(out, l)
		}
		return len(out) < MaxDeadLetters
	})
	return out, ending(err)
}

// Forget deletes a group and its place in the stream.
//
// # Errors
//
// As of DeadLetters.
func (b *Broker) Forget(ctx context.Context, group string) error {
	if err := pluginapi.CheckName("consumer", group); err != nil {
		return err
	}
	if _, err := b.at(); err != nil {
		return err
	}
	log, err := b.kept.get(ctx)
	if err != nil {
		return err
	}
	return ending(log.DeleteConsumer(ctx, group))
}

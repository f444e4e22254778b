package events

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Durable says how a group reads kept events. The zero value is the default.
type Durable struct {
	Start       bus.Start     // where a group that is new begins; default: with what is published from now on
	Tries       int           // deliveries after which a failed event becomes a dead letter; default 5
	First, Most time.Duration // pause after the first failed try, doubling up to the most; default 1 s and 1 min
	Timeout     time.Duration // of one call of the handler; default 30 s
	Concurrency int           // calls at a time on this node; default 1
}

// Bounds of a [Durable].
const (
	maxTries       = 1000
	maxPause       = 24 * time.Hour
	maxTimeout     = 24 * time.Hour
	maxConcurrency = 1024
	// A delivery counts although the handler was never called, when the process
	// dies before. So many more than Tries are allowed before an event that nobody
	// ever answers for becomes a dead letter.
	spareTries = 5
)

func (d Durable) withDefaults() Durable {
	set := func(v *time.Duration, to time.Duration) {
		if *v == 0 {
			*v = to
		}
	}
	set(&d.First, time.Second)
	set(&d.Most, max(d.First, time.Minute))
	set(&d.Timeout, 30*time.Second)
	if d.Tries == 0 {
		d.Tries = 5
	}
	if d.Concurrency == 0 {
		d.Concurrency = 1
	}
	return d
}

// Check refuses what cannot be meant.
//
// # Errors
//
// ErrInvalid.
func (d Durable) Check() error {
	bad := func(what string, v any, most any) error {
		return fmt.Errorf("%w: %s %v: give more than 0 and at most %v", pluginapi.ErrInvalid, what, v, most)
	}
	full := d.withDefaults()
	switch {
	case full.Tries < 1 || full.Tries > maxTries:
		return bad("tries", d.Tries, maxTries)
	case full.First < 0 || full.Most < full.First || full.Most > maxPause:
		return fmt.Errorf("%w: pauses of %v to %v: give a first one above 0 and a last one that is not shorter, at most %v", pluginapi.ErrInvalid, d.First, d.Most, maxPause)
	case full.Timeout < 0 || full.Timeout > maxTimeout:
		return bad("timeout", d.Timeout, maxTimeout)
	case full.Concurrency < 1 || full.Concurrency > maxConcurrency:
		return bad("concurrency", d.Concurrency, maxConcurrency)
	}
	return nil
}

// pause is how long to wait after the given number of tries.
func (d Durable) pause(tries int) time.Duration {
	p := d.First
	for range min(tries-1, 62) {
		if p >= d.Most/2 {
			return d.Most
		}
		p *= 2
	}
	return min(p, d.Most)
}

// Consume calls the handler for each kept event on the subject, until one
// member of the group has returned nil for it. See docs/events.md for what is
// guaranteed. When it returns, the group exists; before the broker is attached,
// the group is opened in the background then.
//
// # Errors
//
// ErrInvalid for a bad subject, group or option, or a nil handler, or when the
// group reads another subject; ErrShuttingDown; what keeps the group from being
// opened before ctx ends. What goes wrong later is logged, and tried again.
func (b *Broker) Consume(ctx context.Context, source, subject, group string, fn Handler, how Durable) (*Subscription, error) {
	if fn == nil {
		return nil, fmt.Errorf("%w: subscribe to %.80q: the handler is nil", pluginapi.ErrInvalid, subject)
	}
	if err := pluginapi.CheckName("consumer", group); err != nil {
		return nil, err
	}
	if err := how.Check(); err != nil {
		return nil, fmt.Errorf("subscribe to %.80q: %w", subject, err)
	}
	d := newDurable(group, fn, how.withDefaults())
	if err := checkListening(source, subject); err != nil {
		return nil, err
	}
	if p, err := b.at(); err == nil {
		if _, _, err := d.open(ctx, p, b, source, subject); err != nil {
			return nil, fmt.Errorf("subscribe to %s: %w", subject, ending(err))
		}
	}
	return b.subscribe(source, subject, d)
}

// durable is a reader of what is kept, as a member of a group.
type durable struct {
	group string
	fn    Handler
	how   Durable
	place *Place
	sub   *Subscription

	pulling  context.Context // ends with cancel
	stopPull context.CancelFunc
	calls    context.Context // ends with a hurried cancel
	stopCall context.CancelFunc

	mu      sync.Mutex
	held    map[*bus.Delivery]*hold // not answered for
	freed   chan struct{}           // some of them are done
	stuck   bool                    // all calls have outlived their time
	endPull context.CancelFunc      // ends the pull that is open
	took    time.Duration           // by a call, a moving average
	todo    chan *bus.Delivery
}

func newDurable(group string, fn Handler, how Durable) *durable {
	d := &durable{group: group, fn: fn, how: how, held: map[*bus.Delivery]*hold{}, freed: make(chan struct{}, 1), took: batchTime / firstBatch}
	d.todo = make(chan *bus.Delivery, mostHeld(how.Concurrency))
	d.pulling, d.stopPull = context.WithCancel(context.Background())
	d.calls, d.stopCall = context.WithCancel(context.Background())
	return d
}

func (d *durable) begin(p *Place, s *Subscription) error {
	d.place, d.sub = p, s
	var working sync.WaitGroup
	working.Go(func() {
		defer close(d.todo)
		d.read()
	})
	for range d.how.Concurrency {
		working.Go(func() { s.handling(d.work) })
	}
	done := make(chan struct{})
	go func() { working.Wait(); close(done) }()
	go func() {
		defer close(s.ended)
		defer d.stopCall()
		d.keep(done)
	}()
	return nil
}

func (d *durable) cancel(hurry bool) {
	d.stopPull()
	if hurry {
		d.stopCall()
	}
}

func (d *durable) work() {
	for e := range d.todo {
		if d.pulling.Err() != nil {
			d.settle(e, e.Again(0)) // another member may have it at once
			continue
		}
		d.handle(e)
	}
}

// handle calls the handler for one delivery and answers for it.
func (d *durable) handle(e *bus.Delivery) {
	ev, ok := d.place.Space.event(e.Message)
	if !ok { // sent by hand
		d.place.Log.Warn("not an event", "subject", e.Subject, "sequence", e.Seq)
		d.settle(e, e.Ack())
		return
	}
	ev.Sequence, ev.Time, ev.Tries = e.Seq, e.Time, e.Tries
	if e.Tries > d.how.Tries+spareTries {
		d.fail(e, ev, fmt.Sprintf("delivered %d times and never answered for: does its handler end the process?", e.Tries-1))
		return
	}
	begun := time.Now()
	if !d.started(e, begun) {
		d.settle(e, nil)
		return
	}
	ctx := withTimeout(d.calls, begun, d.how.Timeout)
	err := guarded(func() error { return d.fn(ctx, ev) })
	if err != nil && ctx.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("%w after %v: %w", pluginapi.ErrTimeout, d.how.Timeout, err)
	}
	ctx.end()
	d.measure(time.Since(begun))
	switch {
	case err == nil:
		d.settle(e, e.Ack())
	case d.calls.Err() != nil: // the node stops: that is not the event's fault
		d.settle(e, e.Again(0))
	default:
		d.place.Log.Debug("event handler", "subject", ev.Subject, "consumer", d.group, "tries", e.Tries, "err", err)
		d.fail(e, ev, err.Error())
	}
}

// fail brings an event again, or buries it after the last try. What cannot be
// buried comes again: an event is never dropped without a trace.
func (d *durable) fail(e *bus.Delivery, ev Event, reason string) {
	if e.Tries < d.how.Tries {
		d.settle(e, e.Again(d.how.pause(e.Tries)))
		return
	}
	if err := d.bury(e, ev, reason); err != nil {
		d.place.Log.Warn("store dead letter", "subject", ev.Subject, "consumer", d.group, "sequence", e.Seq, "err", err)
		d.settle(e, e.Again(d.how.Most))
		return
	}
	d.place.Log.Warn("event became a dead letter", "subject", ev.Subject, "consumer", d.group, "sequence", e.Seq, "tries", e.Tries, "reason", clip(reason, 200))
	if d.place.OnDead != nil {
		d.place.OnDead(d.group)
	}
	d.settle(e, e.Ack())
}

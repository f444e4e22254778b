package events

import (
	"fmt"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// What a live subscription holds for a handler that is slow.
const (
	maxQueued      = 8192
	maxQueuedBytes = 32 << 20
	dropNote       = 10 * time.Second // between two lines of the log about what was dropped
)

// Listen calls the handler for each event on the subject, which may hold
// wildcards, live and kept ones, one call at a time and in the order in which
// they come. source is an app, NoApp or "*"; it says nothing for an app's events.
//
// # Errors
//
// ErrInvalid for a bad subject or a nil handler; ErrShuttingDown; what kept the
// subscription from beginning.
func (b *Broker) Listen(source, subject string, fn LiveHandler) (*Subscription, error) {
	if fn == nil {
		return nil, fmt.Errorf("%w: subscribe to %.80q: the handler is nil", pluginapi.ErrInvalid, subject)
	}
	if err := checkListening(source, subject); err != nil {
		return nil, err
	}
	return b.subscribe(source, subject, &live{fn: fn, signal: make(chan struct{}, 1), stopped: make(chan struct{})})
}

// live is a reader of what is published now.
type live struct {
	fn      LiveHandler
	place   *Place
	sub     *Subscription
	end     func() // ends the subscription at NATS
	signal  chan struct{}
	stopped chan struct{}
	stop    sync.Once

	mu      sync.Mutex
	queue   []Event
	held    int // events that were not handled yet, and their bytes
	bytes   int
	dropped int // not noted yet
	noted   time.Time
}

func (l *live) begin(p *Place, s *Subscription) (err error) {
	l.place, l.sub = p, s
	if l.end, err = p.Conn.Subscribe(p.Space.subject("*", s.source, s.subject), "", l.put); err != nil {
		return err
	}
	go func() {
		defer close(s.ended)
		s.handling(l.work)
	}()
	return nil
}

func (l *live) cancel(bool) {
	l.stop.Do(func() {
		l.end()
		close(l.stopped)
	})
}

// put takes a message from NATS. It never waits: a slow handler loses the
// newest events, and harms nobody else.
func (l *live) put(m bus.Message) {
	e, ok := l.place.Space.event(m)
	if !ok {
		return
	}
	l.mu.Lock()
	if l.held >= maxQueued || l.bytes+len(e.Data) > maxQueuedBytes && l.held > 0 {
		l.drop()
		l.mu.Unlock()
		if l.place.OnDrop != nil {
			l.place.OnDrop(l.sub.subject, 1)
		}
		return
	}
	l.queue = append(l.queue, e)
	l.held++
	l.bytes += len(e.Data)
	l.mu.Unlock()
	select {
	case l.signal <- struct{}{}:
	default:
	}
}

// drop notes that an event was dropped. l.mu is held.
func (l *live) drop() {
	l.dropped++
	if now := time.Now(); now.Sub(l.noted) > dropNote {
		l.place.Log.Warn("events dropped: the handler is too slow", "subject", l.sub.subject, "dropped", l.dropped)
		l.noted, l.dropped = now, 0
	}
}

func (l *live) take() (batch []Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch, l.queue = l.queue, nil
	return batch
}

func (l *live) handle(e Event) {
	if err := guarded(func() error { l.fn(e); return nil }); err != nil {
		l.place.Log.Error("event handler", "subject", e.Subject, "err", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held--
	l.bytes -= len(e.Data)
}

func (l *live) work() {
	for {
		select {
		case <-l.stopped:
			return
		case <-l.signal:
		}
		for _, e := range l.take() {
			select {
			case <-l.stopped:
				return
			default:
			}
			l.handle(e)
		}
	}
}

// guarded turns a panic of the user's code into an error.
func guarded(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return fn()
}

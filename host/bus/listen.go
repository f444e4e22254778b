package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// listenRoom is how many messages may wait for the function of a Listener.
// What comes beyond is dropped, and logged.
const listenRoom = 8192

// Listener is a subscription that can be drained.
type Listener struct {
	c       *Conn
	sub     *nats.Subscription
	subject string
	in      chan *nats.Msg // nil: the last one
	over    atomic.Bool    // what is still in the channel is dropped
	last    atomic.Bool    // nothing is put into the channel any more
	ending  sync.Once
	done    chan struct{} // closed when fn is not called any more
}

// Listen is [Conn.Subscribe] with an end that loses nothing, and the notes of
// questions.
//
// # Errors
//
// As of Subscribe.
func (c *Conn) Listen(subject, queue string, fn func(Message)) (*Listener, error) {
	l := &Listener{c: c, subject: subject, in: make(chan *nats.Msg, listenRoom), done: make(chan struct{})}
	var err error
	if l.sub, err = c.nc.ChanQueueSubscribe(subject, queue, l.in); err != nil {
		if errors.Is(err, nats.ErrConnectionClosed) {
			err = ErrClosed
		}
		return nil, fmt.Errorf("listen to %s: %w", subject, asRefused(err))
	}
	c.mu.Lock()
	closed := c.life.Err() != nil // Close may have been faster than the entry
	if !closed {
		c.listeners[l] = struct{}{}
	}
	c.mu.Unlock()
	go l.run(fn)
	if !closed {
		if err = c.confirm(subject); err == nil {
			return l, nil
		}
	} else {
		err = ErrClosed
	}
	l.Cancel()
	return nil, fmt.Errorf("listen to %s: %w", subject, asRefused(err))
}

func (l *Listener) run(fn func(Message)) {
	defer close(l.done)
	for m := range l.in {
		if m == nil {
			return
		}
		if !l.over.Load() {
			in := received(m)
			if i := strings.LastIndex(m.Reply, noteMark); i >= 0 {
				in.Note = m.Reply[i+len(noteMark):]
			}
			fn(in)
		}
		if l.last.Load() && len(l.in) == 0 {
			return
		}
	}
}

// Cancel ends it and waits for the function that runs; what waits for it is
// dropped. The function must not call it.
func (l *Listener) Cancel() {
	l.over.Store(true)
	_ = l.sub.Unsubscribe() // fails only when the connection is closed
	_ = l.end(context.Background())
}

// Drain ends it so that no message is lost: the server is asked for no more, and
// what it has delivered until then is handed on before Drain returns. The server
// has 2 s to say that it has heard. Of a
// cluster of servers, another one may still send a message to the one that has
// stopped delivering; nobody gets that.
//
// # Errors
//
// The end of ctx, and that of the connection: what came until then is handed on
// all the same.
func (l *Listener) Drain(ctx context.Context) error {
	err := l.sub.Drain()               // nothing but the word to the server, which goes before the flush
	if err == nil && l.c.Connected() { // else nothing can come
		flush, cancel := context.WithTimeout(ctx, 2*time.Second)
		err = l.c.nc.FlushWithContext(flush)
		cancel()
	}
	_ = l.sub.Unsubscribe() // after a break it would be subscribed to again
	if ended := l.end(ctx); err == nil {
		err = ended
	}
	if err != nil {
		return fmt.Errorf("drain %s: %w", l.subject, err)
	}
	return nil
}

// end waits until all that has come was handed on. Nothing comes any more.
func (l *Listener) end(ctx context.Context) error {
	l.c.mu.Lock()
	delete(l.c.listeners, l)
	l.c.mu.Unlock()
	l.ending.Do(func() {
		l.last.Store(true)
		select {
		case l.in <- nil:
		default: // so many wait that run looks at last when it has handed on the next one
		}
	})
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

package rpc

import (
	"context"
	"sync"
	"time"
)

// outing is the context of a call from here: the caller's own, bounded by the
// call's deadline and the end of the client. Most calls are waited for without
// it, so that what costs something is made when it is asked for.
type outing struct {
	context.Context // the caller's
	c               *Client
	until           time.Time

	mu   sync.Mutex
	real context.Context // nil: nobody has asked
	end  context.CancelFunc
}

// Deadline implements context.Context.
func (o *outing) Deadline() (time.Time, bool) { return o.until, true }

// Err implements context.Context.
func (o *outing) Err() error {
	o.mu.Lock()
	real := o.real
	o.mu.Unlock()
	switch {
	case real != nil:
		return real.Err()
	case o.c.isClosed():
		return context.Canceled
	case o.Context.Err() != nil:
		return o.Context.Err()
	case !time.Now().Before(o.until):
		return context.DeadlineExceeded
	}
	return nil
}

// Done implements context.Context.
func (o *outing) Done() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.real == nil {
		o.real, o.end = context.WithDeadline(o.Context, o.until)
		o.c.mu.Lock()
		if o.c.closed {
			o.end()
		}
		o.c.ends[o] = o.end
		o.c.mu.Unlock()
	}
	return o.real.Done()
}

// done takes the call out of the client's book.
func (o *outing) done() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.end != nil {
		o.end()
		o.c.mu.Lock()
		delete(o.c.ends, o)
		o.c.mu.Unlock()
	}
	o.c.calls.Done()
}

package rpc

import (
	"context"
	"sync"
	"time"
)

type handlerKey struct{}

// callContext is the context of a handler. It has no timer of its own: the
// server ends it, at its deadline too. What costs something is made when it is
// asked for.
type callContext struct {
	call HandlerContext
	due  time.Time

	mu    sync.Mutex
	err   error
	done  chan struct{}        // nil: nobody has asked
	after map[*func()]struct{} // to be called at the end, by contexts derived from this one
}

// Deadline implements context.Context.
func (c *callContext) Deadline() (time.Time, bool) { return c.due, true }

// Done implements context.Context.
func (c *callContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	return c.done
}

// Err implements context.Context.
func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Value implements context.Context.
func (c *callContext) Value(key any) any {
	if key == (handlerKey{}) {
		return &c.call
	}
	return nil
}

// AfterFunc is what package context looks for to derive a context from one that
// is not its own, without a goroutine that waits. fn must not block.
func (c *callContext) AfterFunc(fn func()) (stop func() bool) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		fn()
		return func() bool { return false }
	}
	defer c.mu.Unlock()
	if c.after == nil {
		c.after = map[*func()]struct{}{}
	}
	c.after[&fn] = struct{}{}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, waits := c.after[&fn]
		delete(c.after, &fn)
		return waits
	}
}

// end ends the context, if it has not ended yet.
func (c *callContext) end(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	if c.done != nil {
		close(c.done)
	}
	after := c.after
	c.after = nil
	c.mu.Unlock()
	for fn := range after {
		(*fn)()
	}
}

// GetHandlerContext returns what a handler's context knows of the call, nil for
// a context that is not one of a handler.
func GetHandlerContext(ctx context.Context) *HandlerContext {
	h, _ := ctx.Value(handlerKey{}).(*HandlerContext)
	return h
}

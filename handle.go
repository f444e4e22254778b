package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/ozanturksever/go-cluster/host"
	"github.com/ozanturksever/go-cluster/host/rpc"
)

// Handler answers one method of an app, see [rpc.Handler].
type Handler = rpc.Handler

// HandlerContext is what a handler can know of the call that it answers, see
// [rpc.HandlerContext].
type HandlerContext = rpc.HandlerContext

// GetHandlerContext returns what the context of a handler knows of the call; nil
// for any other context.
func GetHandlerContext(ctx context.Context) *HandlerContext { return rpc.GetHandlerContext(ctx) }

// calls are the methods of an app.
type calls struct {
	handlers map[string]Handler
	chain    MiddlewareChain
	named    []error
	pool     int
}

func (c *calls) spec() host.Calls {
	out := host.Calls{Handlers: map[string]Handler{}, Named: c.named, Pool: c.pool}
	for method, h := range c.handlers {
		out.Handlers[method] = c.chain.Wrap(h)
	}
	return out
}

func (c *calls) check(app string) error {
	if err := c.chain.Check(); err != nil {
		return fmt.Errorf("app %.70q: %w", app, err)
	}
	return nil
}

// Handle registers what answers a method: 1 to 128 of A-Z a-z 0-9 . _ - / :
//
// Handlers run at the same time, each call on a goroutine of its own, up to the
// limit of [WithMaxCalls]. A panic ends the call, not the process. Register
// handlers before [Platform.Run], which reports a name that is not allowed, a
// handler that is nil, and a method that has two.
func (a *App) Handle(method string, handler Handler) {
	err := rpc.CheckMethod(method)
	_, twice := a.calls.handlers[method]
	switch {
	case a.platform.host() != nil:
		a.platform.fault("app %.70q: Handle %.140q was called after Run: call it before", a.name, method)
	case err != nil:
		a.fault("Handle: %v", err)
	case handler == nil:
		a.fault("Handle %s: the handler is nil", method)
	case twice:
		a.fault("Handle %s: the method has a handler already", method)
	default:
		if a.calls.handlers == nil {
			a.calls.handlers = map[string]Handler{}
		}
		a.calls.handlers[method] = handler
	}
}

// Use adds middleware to all handlers of the app, also to those that are
// registered later; the first one is the outermost. Call it before
// [Platform.Run].
func (a *App) Use(middlewares ...Middleware) { a.calls.chain.Use(middlewares...) }

// Middleware returns the chain that [App.Use] adds to. Changes after
// [Platform.Run] have no effect.
func (a *App) Middleware() *MiddlewareChain { return &a.calls.chain }

// RegisterError lets errors keep their identity on the wire: when a handler
// returns one of them, wrapped or not, errors.Is says so at the caller too,
// whose program needs an error with the same text and no registration. Their
// texts are their names, 1 to 128 bytes of printable ASCII, unique in the app.
// Call it before [Platform.Run], which reports mistakes. The errors of this
// package need no registration.
func (a *App) RegisterError(errs ...error) {
	for _, e := range errs {
		if err := rpc.CheckErrorName(e); err != nil {
			a.fault("RegisterError: %v", err)
			continue
		}
		for _, other := range a.calls.named {
			if other.Error() == e.Error() && !errors.Is(e, other) {
				a.fault("RegisterError: two errors are called %q", e)
			}
		}
		a.calls.named = append(a.calls.named, e)
	}
}

// WithMaxCalls sets how many calls of the app run on this node at the same time.
// One more is refused with ErrBusy. Default 256.
func WithMaxCalls(n int) AppOption {
	return func(a *App) {
		if n < 1 {
			a.fault("WithMaxCalls: %d is not a number of calls: give 1 or more", n)
		}
		a.calls.pool = n
	}
}

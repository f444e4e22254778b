package rpc

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Handler answers one method. Its context ends with the caller's deadline, when
// the caller gives up, when the node stops, and, for a call to the leader, when
// the leadership ends. req is its own to keep; what it returns must not be
// changed afterwards.
type Handler func(ctx context.Context, req []byte) ([]byte, error)

// Middleware stands around handlers: it may look at a request, answer it
// without calling next, and look at the answer.
type Middleware func(ctx context.Context, req []byte, next Handler) ([]byte, error)

// MiddlewareChain is a list of middleware in the order in which they run: the
// first one added is the outermost. It may be used by several goroutines; the
// zero MiddlewareChain is empty and ready.
type MiddlewareChain struct {
	mu   sync.Mutex
	list []Middleware
}

// Use adds middleware at the end. A nil one refuses every call, rather than let
// pass what it was meant to stop.
func (c *MiddlewareChain) Use(middlewares ...Middleware) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, middlewares...)
}

// Check reports a middleware that is nil.
//
// # Errors
//
// One that wraps ErrInvalid.
func (c *MiddlewareChain) Check() error {
	for i, m := range c.copy() {
		if m == nil {
			return fmt.Errorf("%w: middleware %d is nil", pluginapi.ErrInvalid, i+1)
		}
	}
	return nil
}

// Wrap returns a handler that runs the middleware that the chain holds now
// around h.
func (c *MiddlewareChain) Wrap(h Handler) Handler {
	for _, m := range slices.Backward(c.copy()) {
		if m == nil {
			m = Auth(nil)
		}
		next := h
		h = func(ctx context.Context, req []byte) ([]byte, error) { return m(ctx, req, next) }
	}
	return h
}

// Clone returns a chain with the same middleware, which can be changed by
// itself.
func (c *MiddlewareChain) Clone() *MiddlewareChain { return &MiddlewareChain{list: c.copy()} }

// Len returns the number of middleware in the chain.
func (c *MiddlewareChain) Len() int { return len(c.copy()) }

func (c *MiddlewareChain) copy() []Middleware {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.list)
}

// HandlerContext is what a handler can know of the call that it answers.
//
// Who calls, and the metadata, are what the caller says of itself. Whoever may
// publish to the platform's subjects can say anything there: trust them as far
// as you trust everything that has this platform's credentials, and use a
// signed token in the metadata beyond that.
type HandlerContext struct {
	Method       string
	NodeID       string // of the node that answers
	AppName      string // of the app that answers
	PlatformName string
	RequestID    string // the same in each repetition of a call; "" if the caller gave none
	CallerNode   string
	CallerApp    string // "" if no app has called
	StartTime    time.Time
	Metadata     map[string]string // of the caller; nil if there is none
}

type metaKey struct{}

// WithMetadata returns a context whose calls carry these metadata; see
// [CheckMeta] for what they may be. They replace those of ctx.
func WithMetadata(ctx context.Context, m map[string]string) context.Context {
	return context.WithValue(ctx, metaKey{}, m)
}

func metaFrom(ctx context.Context) map[string]string {
	m, _ := ctx.Value(metaKey{}).(map[string]string)
	return m
}

type idKey struct{}

// WithRequestID returns a context whose call has this id. A second call under
// the same id, of the same node and to the same node, is not run again while
// the first is remembered: it joins it, or gets its answer. One context is for
// one call.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, idKey{}, id)
}

func idFrom(ctx context.Context) (id string, ok bool) {
	id, ok = ctx.Value(idKey{}).(string)
	return id, ok
}

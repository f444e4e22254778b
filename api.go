package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/host"
	"github.com/ozanturksever/go-cluster/host/rpc"
)

// API calls the methods of an app from outside of it; this node need not have
// the app. The calls pass the app's middleware, as all do. A node that does not
// answer is left alone for a while: after 5 calls in a row that found nobody
// there, or no answer in time, calls fail with ErrCircuitOpen at once for 30 s,
// and then one is let through to see. Errors that a handler returns do not
// count. All who call from this process share what is known of a node.
type API struct {
	p         *Platform
	app, from string
}

// API returns what calls the methods of an app.
func (p *Platform) API(app string) *API { return &API{p: p, app: app} }

// API returns what calls the methods of another app; its handlers see this app
// as the caller.
func (a *App) API(app string) *API { return &API{p: a.platform, app: app, from: a.name} }

// CallOption changes one call.
type CallOption func(*rpc.Call)

// ToLeader sends the call to the leader, see [RPC.Call]. It is the default for
// an app with a leader; the default for another app is [ToAny].
func ToLeader() CallOption { return func(c *rpc.Call) { c.Target = rpc.TargetLeader } }

// ToAny sends the call to one of the nodes that have the app: a healthy one
// before others, then the one with the fewest calls from here on their way.
func ToAny() CallOption { return func(c *rpc.Call) { c.Target = rpc.TargetAny } }

// WithTimeout bounds the call, all its retries included. Default 30 s, or the
// context's deadline, which also ends it if it is earlier.
func WithTimeout(d time.Duration) CallOption {
	return func(c *rpc.Call) {
		if c.Timeout = d; d == 0 {
			c.Timeout = -1 // zero would mean the default, and is a mistake
		}
	}
}

// WithRetry tries a call again, up to 3 times, after about 100, 200 and 400 ms,
// each of them up to half longer or shorter: when nothing was done (nobody
// listens, no leader, the node is busy or ends), and when the connection was
// lost and the same node can be asked again, which knows the call by its id and
// does not run it twice. What may have been done elsewhere is not repeated, an
// error of the handler neither.
func WithRetry() CallOption { return func(c *rpc.Call) { c.Retry = rpc.DefaultRetry() } }

// Call calls a method of the app.
//
// # Errors
//
// As of [RPC.Call]; ErrCircuitOpen, and ErrAppNotFound with ErrUnreachable when
// no node has the app.
func (a *API) Call(ctx context.Context, method string, payload []byte, opts ...CallOption) ([]byte, error) {
	n, call, err := a.prepare(method, payload, opts)
	if err != nil {
		return nil, err
	}
	return n.Call(ctx, call)
}

// CallJSON is Call with req as JSON; the answer is read into resp, unless that
// is nil.
//
// # Errors
//
// As of Call and [RPC.CallJSON].
func (a *API) CallJSON(ctx context.Context, method string, req, resp any, opts ...CallOption) error {
	return callJSON(method, req, resp, func(payload []byte) ([]byte, error) { return a.Call(ctx, method, payload, opts...) })
}

// Broadcast calls a method on every living node that has the app, see
// [RPC.Broadcast].
//
// # Errors
//
// As of [RPC.BroadcastByNode].
func (a *API) Broadcast(ctx context.Context, method string, payload []byte, opts ...CallOption) ([][]byte, error) {
	n, call, err := a.prepare(method, payload, opts)
	if err != nil {
		return nil, err
	}
	return answers(n.Broadcast(ctx, call))
}

func (a *API) prepare(method string, payload []byte, opts []CallOption) (*host.Node, rpc.Call, error) {
	call := rpc.Call{From: a.from, App: a.app, Method: method, Payload: payload, Circuit: true}
	var errs []error
	for i, o := range opts {
		if o == nil {
			errs = append(errs, fmt.Errorf("%w: call option %d is nil", ErrInvalid, i+1))
			continue
		}
		o(&call)
	}
	if a.p == nil {
		errs = append(errs, fmt.Errorf("%w: app %s is not registered with a platform", ErrInvalid, a.from))
		return nil, call, errors.Join(errs...)
	}
	n, err := a.p.running()
	if err != nil || len(errs) > 0 {
		err = errors.Join(append(errs, err)...)
		return nil, call, fmt.Errorf("call %.140s of app %.70s: %w", method, a.app, err)
	}
	return n, call, nil
}

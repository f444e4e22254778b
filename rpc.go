package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ozanturksever/go-cluster/host"
	"github.com/ozanturksever/go-cluster/host/rpc"
)

// Targets of [RPC.Call] beside the id of a node. No node can be called that.
const (
	TargetLeader = rpc.TargetLeader // the node that leads the app, and no other
	TargetAny    = rpc.TargetAny    // one of the nodes that have the app, standbys too
)

// RemoteError is an error that the called node has answered with, see
// [rpc.RemoteError].
type RemoteError = rpc.RemoteError

// BroadcastError says which nodes have not answered a broadcast, and why, see
// [rpc.BroadcastError].
type BroadcastError = rpc.BroadcastError

// WithMetadata returns a context whose calls carry metadata, which the handler
// finds in its [HandlerContext]: at most 16 names of A-Z a-z 0-9 . _ -, values
// of printable ASCII, 4 KiB in all.
func WithMetadata(ctx context.Context, metadata map[string]string) context.Context {
	return rpc.WithMetadata(ctx, metadata)
}

// WithRequestID returns a context whose call can be repeated by the program
// without being run twice, see [rpc.WithRequestID].
func WithRequestID(ctx context.Context, id string) context.Context {
	return rpc.WithRequestID(ctx, id)
}

// RPC calls the other instances of an app, see docs/rpc.md. Every call goes over
// the network and through the middleware of the app, also one to this node.
type RPC struct{ a *App }

// RPC returns what calls the other instances of the app.
func (a *App) RPC() *RPC { return &RPC{a} }

// Call calls a method on the node that target names: the id of a node,
// [TargetLeader] or [TargetAny]. It is sent once. Without a deadline in ctx it
// waits for 30 s; when ctx ends, the handler's context ends too.
//
// A call to the leader carries the epoch that this node knows; a node that does
// not lead at that moment, in that epoch, or whose OnActive has not returned,
// refuses it, and the leader is looked for again, for a second at most. A call
// to any goes to a healthy node with few calls of this node on their way.
//
// # Errors
//
// A [RemoteError] when a node has answered with an error: errors.Is finds the
// errors of this package and those of [App.RegisterError] in it. Else
// ErrUnknownOutcome when the call may have been done or may still be, with
// ErrTimeout if time ran out; and without ErrUnknownOutcome nothing was done:
// ErrUnreachable at once when nobody listens there, with ErrNodeNotFound if it
// is no member; ErrNoLeader, ErrNotLeader, ErrBusy, ErrNoMethod, ErrTooLarge,
// ErrInvalid, ErrShuttingDown, or the context's error.
func (r *RPC) Call(ctx context.Context, target, method string, payload []byte) ([]byte, error) {
	n, err := r.node(method)
	if err != nil {
		return nil, err
	}
	return n.Call(ctx, r.call(target, method, payload))
}

// CallJSON is Call with req as JSON; the answer is read into resp, unless that
// is nil.
//
// # Errors
//
// As of Call; ErrInvalid for a req that has no JSON form, or an answer that does
// not fit into resp: the call was done then.
func (r *RPC) CallJSON(ctx context.Context, target, method string, req, resp interface{}) error {
	return callJSON(method, req, resp, func(payload []byte) ([]byte, error) { return r.Call(ctx, target, method, payload) })
}

// Broadcast calls a method on every living node that has the app, this one
// included, and returns when all have answered or failed, or ctx has ended. The
// answers are those of the nodes that have one, in the order of their ids; see
// [RPC.BroadcastByNode].
//
// # Errors
//
// As of BroadcastByNode.
func (r *RPC) Broadcast(ctx context.Context, method string, payload []byte) ([][]byte, error) {
	n, err := r.node(method)
	if err != nil {
		return nil, err
	}
	return answers(n.Broadcast(ctx, r.call(TargetAny, method, payload)))
}

// BroadcastByNode is Broadcast with the answers by node.
//
// # Errors
//
// A [BroadcastError], together with the answers that came, names each node
// without one and says why. ErrUnreachable when no living node has the app;
// ErrInvalid, ErrTooLarge, ErrShuttingDown as of Call.
func (r *RPC) BroadcastByNode(ctx context.Context, method string, payload []byte) (map[string][]byte, error) {
	n, err := r.node(method)
	if err != nil {
		return nil, err
	}
	return byNode(n.Broadcast(ctx, r.call(TargetAny, method, payload)))
}

func (r *RPC) node(method string) (*host.Node, error) {
	n, err := r.a.running()
	if err != nil {
		return nil, fmt.Errorf("call %.140s of app %.70s: %w", method, r.a.name, err)
	}
	return n, nil
}

// call is a call of the app to itself. An empty target is a mistake here.
func (r *RPC) call(target, method string, payload []byte) rpc.Call {
	if target == rpc.TargetAuto {
		target = noTarget
	}
	return rpc.Call{From: r.a.name, App: r.a.name, Target: target, Method: method, Payload: payload}
}

// noTarget is refused as a name of a node.
const noTarget = "@"

func answers(replies []rpc.Reply, err error) (out [][]byte, _ error) {
	if err != nil {
		return nil, err
	}
	for _, r := range replies {
		if r.Err == nil {
			out = append(out, r.Data)
		}
	}
	return out, rpc.Missing(replies)
}

func byNode(replies []rpc.Reply, err error) (map[string][]byte, error) {
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, r := range replies {
		if r.Err == nil {
			out[r.Node] = r.Data
		}
	}
	return out, rpc.Missing(replies)
}

func callJSON(method string, req, resp any, call func([]byte) ([]byte, error)) error {
	payload, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("call %.140s: %w: the request has no JSON form: %w", method, ErrInvalid, err)
	}
	data, err := call(payload)
	if err != nil || resp == nil {
		return err
	}
	if err := json.Unmarshal(data, resp); err != nil {
		return fmt.Errorf("call %s: %w: the answer does not fit: %w", method, ErrInvalid, err)
	}
	return nil
}

package rpc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Reply is one node's answer to a broadcast.
type Reply struct {
	Node        string
	App, Method string
	Data        []byte
	Err         error // nil: it has answered
}

// BroadcastError says which nodes have not answered a broadcast, or with an
// error, and why. errors.Is and errors.As look into each of the reasons.
type BroadcastError struct {
	App, Method string
	Asked       int              // how many nodes were asked
	Failed      map[string]error // by node
}

// Missing returns the nodes without an answer, sorted.
func (e *BroadcastError) Missing() []string { return slices.Sorted(maps.Keys(e.Failed)) }

// Error names the nodes and the reasons.
func (e *BroadcastError) Error() string {
	var why []string
	for _, node := range e.Missing() {
		why = append(why, node+": "+e.Failed[node].Error())
	}
	return fmt.Sprintf("broadcast %s of app %s: %d of %d nodes have no answer: %s", e.Method, e.App, len(e.Failed), e.Asked, strings.Join(why, "; "))
}

// Unwrap returns the reasons, in the order of Missing.
func (e *BroadcastError) Unwrap() (out []error) {
	for _, node := range e.Missing() {
		out = append(out, e.Failed[node])
	}
	return out
}

// Broadcast calls every living node that has the app and returns when each has
// answered or failed, or the context has ended. The replies are sorted by node.
//
// # Errors
//
// As of Do when nobody was asked. What a node did not do is in its Reply.
func (c *Client) Broadcast(ctx context.Context, call Call) ([]Reply, error) {
	call.Target = TargetAny
	out, err := c.prepare(ctx, &call)
	if err != nil {
		return nil, err
	}
	defer out.done()
	peers := c.cfg.Directory.Peers(call.App)
	if len(peers) == 0 {
		return nil, fmt.Errorf("broadcast %s of app %s: %w: no living node has it", call.Method, call.App, errors.Join(pluginapi.ErrAppNotFound, pluginapi.ErrUnreachable))
	}
	begun := time.Now()
	replies := make([]Reply, len(peers))
	var all sync.WaitGroup
	for i, p := range peers {
		all.Go(func() {
			one := call
			one.Target = p.Node
			data, err := c.try(out, &one)
			replies[i] = Reply{Node: p.Node, App: call.App, Method: call.Method, Data: data, Err: err}
		})
	}
	all.Wait()
	c.tell(&call, begun, Missing(replies))
	return replies, nil
}

// Missing returns the error of a broadcast, nil when all have answered.
func Missing(replies []Reply) error {
	e := &BroadcastError{Asked: len(replies), Failed: map[string]error{}}
	for _, r := range replies {
		e.App, e.Method = r.App, r.Method
		if r.Err != nil {
			e.Failed[r.Node] = r.Err
		}
	}
	if len(e.Failed) == 0 {
		return nil
	}
	return e
}

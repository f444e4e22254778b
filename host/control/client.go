package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Requester carries a request to a host and its answer back. Node "" means any
// node.
//
// # Errors
//
// An error that wraps [ErrUnreachable] when nobody is there to answer, or the
// context's.
type Requester interface {
	Request(ctx context.Context, node, verb string, data []byte) ([]byte, error)
}

// Client asks running hosts. Its methods return the errors of the host that
// answered, wrapped: errors.Is finds the sentinels of package pluginapi. An
// answer that does not come in time is pluginapi.ErrTimeout, nobody there to
// answer is [ErrUnreachable].
type Client struct{ r Requester }

// NewClient returns a client that asks through r.
func NewClient(r Requester) *Client { return &Client{r} }

// Status returns the platform as one node sees it. For apps that this node does
// not have, the nodes that have them are asked.
func (c *Client) Status(ctx context.Context) (Status, error) {
	s, err := ask[Status](ctx, c, "", verbStatus, nil)
	if err != nil {
		return Status{}, err
	}
	if others := elsewhere(s); len(others) > 0 {
		s.Apps = append(s.Apps, c.collect(ctx, others, nil)...)
		slices.SortFunc(s.Apps, func(x, y App) int { return cmp.Compare(x.Name, y.Name) })
		s.Apps = slices.CompactFunc(s.Apps, func(x, y App) bool { return x.Name == y.Name })
	}
	s.Nodes, s.Apps = complete(s.Nodes), orEmpty(s.Apps)
	for i := range s.Apps {
		s.Apps[i].Instances = orEmpty(s.Apps[i].Instances)
	}
	return s, nil
}

// complete turns lists that a host left out into empty ones, so that documents
// keep their shape.
func complete(nodes []Node) []Node {
	for i := range nodes {
		nodes[i].Apps = orEmpty(nodes[i].Apps)
	}
	return orEmpty(nodes)
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Health asks the platform for its status and every live node for its
// instances, and says what is wrong.
func (c *Client) Health(ctx context.Context) (Health, error) {
	s, err := c.Status(ctx)
	if err != nil {
		return Health{}, err
	}
	s.Apps = c.collect(ctx, s.Nodes, s.Apps)
	return Check(s), nil
}

// Nodes lists the members of the platform, by name.
func (c *Client) Nodes(ctx context.Context) ([]Node, error) {
	nodes, err := ask[[]Node](ctx, c, "", verbNodes, nil)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(nodes, byNodeID)
	return complete(nodes), nil
}

// Node returns one member. ErrNodeNotFound if there is none of that name.
func (c *Client) Node(ctx context.Context, id string) (Node, error) {
	if err := pluginapi.CheckName("node", id); err != nil {
		return Node{}, err
	}
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return Node{}, err
	}
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.NodeID == id })
	if i < 0 {
		return Node{}, fmt.Errorf("%w: %s: the platform has %s", pluginapi.ErrNodeNotFound, id, names(nodes, nodeID))
	}
	return nodes[i], nil
}

// Cordon marks a node as one that takes no leadership, or takes the mark away.
// The node need not be up.
func (c *Client) Cordon(ctx context.Context, node string, on bool) error {
	if err := pluginapi.CheckName("node", node); err != nil {
		return err
	}
	_, err := ask[struct{}](ctx, c, "", verbCordon, cordonArgs{node, on})
	return err
}

// Label sets and removes labels of a node and returns all that it has then.
// The node need not be up.
func (c *Client) Label(ctx context.Context, node string, set map[string]string, remove []string) (map[string]string, error) {
	a := labelArgs{node, set, remove}
	if err := a.check(); err != nil {
		return nil, err
	}
	return ask[map[string]string](ctx, c, "", verbLabel, a)
}

// How often and how soon a step-down that reached a node which does not lead
// (any more) is tried again.
const (
	stepDownTries = 5
	stepDownPause = 200 * time.Millisecond
)

// StepDown finds the leader of an app, asks it to give the leadership to a
// standby, and waits until the standby has it.
//
// # Errors
//
// ErrAppNotFound, ErrNoLeader, ErrNoStandby, and ErrNotLeader when the view of
// the platform stays behind what its leader says.
func (c *Client) StepDown(ctx context.Context, app string) (StepDownResult, error) {
	if err := pluginapi.CheckName("app", app); err != nil {
		return StepDownResult{}, err
	}
	for try := 1; ; try++ {
		leader, err := c.leader(ctx, app)
		if err != nil {
			return StepDownResult{}, err
		}
		res, err := ask[StepDownResult](ctx, c, leader, verbStepDown, appArgs{app})
		if !errors.Is(err, pluginapi.ErrNotLeader) || try == stepDownTries {
			return res, err
		}
		select { // the view that named this leader was old: it comes up to date by itself
		case <-time.After(stepDownPause):
		case <-ctx.Done():
			return StepDownResult{}, timedOut("step down "+app, ctx.Err())
		}
	}
}

func (c *Client) leader(ctx context.Context, app string) (string, error) {
	s, err := c.Status(ctx)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(s.Apps, func(a App) bool { return a.Name == app })
	switch {
	case i < 0:
		return "", fmt.Errorf("%w: %s: the platform has %s", pluginapi.ErrAppNotFound, app, names(s.Apps, appName))
	case s.Apps[i].Mode == AppSpread:
		return "", fmt.Errorf("%w: app %s runs everywhere and has no leader that could step down", pluginapi.ErrInvalid, app)
	case s.Apps[i].Leader == "":
		return "", fmt.Errorf("%w: app %s", pluginapi.ErrNoLeader, app)
	}
	return s.Apps[i].Leader, nil
}

// ask sends one request and reads its answer.
func ask[T any](ctx context.Context, c *Client, node, verb string, args any) (out T, err error) {
	whom := "ask for " + verb
	if node != "" {
		whom = "ask node " + node + " for " + verb
		if err := pluginapi.CheckName("node", node); err != nil { // it came from another host, and becomes a subject
			return out, fmt.Errorf("%s: %w", whom, err)
		}
	}
	data, err := encode(ctx, args)
	if err != nil {
		return out, fmt.Errorf("%s: %w", whom, err)
	}
	raw, err := c.r.Request(ctx, node, verb, data)
	if err != nil {
		return out, timedOut(whom, err)
	}
	if len(raw) > MaxAnswer+maxMessage {
		return out, fmt.Errorf("%s: the answer has %d bytes, the longest allowed is %d", whom, len(raw), MaxAnswer)
	}
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		return out, fmt.Errorf("%s: read answer: %w", whom, err)
	}
	if a.Error != nil {
		return out, fmt.Errorf("%s: %w", whom, a.Error.err())
	}
	if a.OK == nil {
		return out, fmt.Errorf("%s: the answer is neither ok nor an error", whom)
	}
	if err := json.Unmarshal(a.OK, &out); err != nil {
		return out, fmt.Errorf("%s: read answer: %w", whom, err)
	}
	return out, nil
}

func encode(ctx context.Context, args any) ([]byte, error) {
	var req request
	if until, ok := ctx.Deadline(); ok {
		req.TimeoutMS = max(1, time.Until(until).Milliseconds())
	}
	if args != nil {
		raw, err := json.Marshal(args)
		if err != nil {
			return nil, fmt.Errorf("encode arguments: %w", err)
		}
		req.Args = raw
	}
	return json.Marshal(req)
}

// timedOut gives an end of patience its sentinel.
func timedOut(what string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, pluginapi.ErrTimeout) {
		return fmt.Errorf("%s: %w: %w", what, pluginapi.ErrTimeout, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// How a call to the leader looks for it.
const (
	leaderWait  = time.Second           // for how long in all
	leaderPause = 25 * time.Millisecond // between two looks, when nothing is heard
)

// attempt is where a call was sent, and when first.
type attempt struct {
	to    Address
	lead  bool
	epoch pluginapi.Epoch
	first time.Time // zero: not sent yet
}

// try makes a call, and makes it again as far as it may: when nothing was done
// anywhere, or at the same node, which knows it by its id.
func (c *Client) try(ctx context.Context, call *Call) ([]byte, error) {
	var doubt error // the outcome of an attempt that nobody knows
	var at attempt
	for n := 0; ; n++ {
		if doubt == nil {
			at = attempt{}
		}
		data, err := c.attempt(ctx, call, &at)
		if err == nil {
			return data, nil
		}
		if doubt != nil {
			if err = inDoubt(doubt, err); !errors.Is(err, pluginapi.ErrUnknownOutcome) {
				return nil, err // the handler's own word
			}
		}
		if errors.Is(err, pluginapi.ErrUnknownOutcome) && (at.to.Node == "" || c.absent(at.to.Node)) {
			return nil, err // a repetition could come to another node, or to none
		}
		if n >= call.Retry.Times || !mayRetry(err) || !sleep(ctx, call.Retry.pause(n)) {
			return nil, err
		}
		if errors.Is(err, pluginapi.ErrUnknownOutcome) {
			doubt = err
		}
	}
}

// inDoubt returns the error of a repetition after an attempt whose outcome is
// not known: what keeps it from the handler says nothing about the first one.
func inDoubt(doubt, err error) error {
	if re, ok := errors.AsType[*RemoteError](err); ok && !re.Refused || errors.Is(err, pluginapi.ErrUnknownOutcome) {
		return err
	}
	return fmt.Errorf("%w; repeated: %v", doubt, err)
}

// mayRetry reports whether another attempt may come to something.
func mayRetry(err error) bool {
	is := func(list ...error) bool {
		return slices.ContainsFunc(list, func(e error) bool { return errors.Is(err, e) })
	}
	if re, ok := errors.AsType[*RemoteError](err); ok {
		return re.Refused && is(pluginapi.ErrBusy, pluginapi.ErrNotLeader, pluginapi.ErrShuttingDown)
	}
	// Nobody was found, nobody leads, or the connection was lost.
	return !is(pluginapi.ErrCircuitOpen, pluginapi.ErrShuttingDown, pluginapi.ErrTimeout, context.Canceled)
}

// sleep is false when the context ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt finds the node and sends the call, or sends it again to the node that
// at names.
func (c *Client) attempt(ctx context.Context, call *Call, at *attempt) ([]byte, error) {
	if !at.first.IsZero() {
		return c.sendTo(ctx, call, at)
	}
	switch call.Target {
	case TargetLeader:
		return c.toLeader(ctx, call, at)
	case TargetAny:
		return c.toAny(ctx, call, at)
	case TargetAuto:
		l, err := c.cfg.Directory.Lead(ctx, call.App)
		if err != nil || l.Mode == LeadOne {
			return c.toLeader(ctx, call, at)
		}
		at.lead = l.Mode == LeadUnknown // if it has leaders, nobody else answers
		data, err := c.toAny(ctx, call, at)
		if err != nil && at.lead && nobodyLed(err) {
			return c.toLeader(ctx, call, at)
		}
		return data, err
	}
	at.to = Address{call.App, call.Target}
	data, err := c.sendTo(ctx, call, at)
	if errors.Is(err, pluginapi.ErrUnreachable) && c.absent(call.Target) {
		err = fmt.Errorf("%w: %w", pluginapi.ErrNodeNotFound, err)
	}
	return data, err
}

func (c *Client) sendTo(ctx context.Context, call *Call, at *attempt) ([]byte, error) {
	age := time.Duration(0)
	if now := time.Now(); at.first.IsZero() {
		at.first = now
	} else {
		age = sentAgo(now.Sub(at.first))
	}
	q := call.question(c.cfg.Node, 0, age)
	q.ToLeader, q.Epoch = at.lead, at.epoch
	node, data, err := c.send(ctx, call, at.to, q)
	if node != "" && errors.Is(err, pluginapi.ErrUnknownOutcome) {
		at.to.Node = node // which remembers the call
	}
	return data, err
}

// toAny sends the call to one node after the other until one is there.
func (c *Client) toAny(ctx context.Context, call *Call, at *attempt) ([]byte, error) {
	var tried []string
	var last error
	for {
		to, ok := c.choose(call, tried)
		if !ok && last == nil {
			last = fmt.Errorf("call %s of app %s: %w: the last calls found nobody on any of its nodes: tried again within %v", call.Method, call.App, pluginapi.ErrCircuitOpen, openFor)
		}
		if !ok {
			return nil, last
		}
		tried = append(tried, to.Node)
		at.to, at.first = to, time.Time{}
		data, err := c.sendTo(ctx, call, at)
		absent := errors.Is(err, pluginapi.ErrUnreachable) && !errors.Is(err, pluginapi.ErrUnknownOutcome)
		switch {
		case refusedAs(err, pluginapi.ErrShuttingDown) && to.Node != "" && ctx.Err() == nil:
			last = err
		case absent && to.Node == "":
			return nil, fmt.Errorf("%w: %w", pluginapi.ErrAppNotFound, err)
		case absent && ctx.Err() == nil:
			last = err
		case errors.Is(err, pluginapi.ErrCircuitOpen) && last == nil:
			last = err
		case !errors.Is(err, pluginapi.ErrCircuitOpen):
			return data, err
		}
	}
}

// toLeader sends the call to the leader, and looks for it again while nobody was
// found who leads: until then nothing was done.
func (c *Client) toLeader(ctx context.Context, call *Call, at *attempt) ([]byte, error) {
	until := time.Now().Add(leaderWait)
	var last error
	var silent Lead // nobody listened there
	for {
		l, err := c.cfg.Directory.Lead(ctx, call.App)
		switch {
		case err != nil:
			last = fmt.Errorf("find leader of app %s: %w", call.App, err)
		case l.Mode == LeadNone:
			return nil, fmt.Errorf("find leader of app %s: %w: it is active on every node: call %s", call.App, pluginapi.ErrNoLeader, TargetAny)
		case l.Node == "":
			last = fmt.Errorf("find leader of app %s: %w", call.App, pluginapi.ErrNoLeader)
		case l != silent:
			*at = attempt{to: Address{call.App, l.Node}, lead: true, epoch: l.Epoch}
			var data []byte
			if data, last = c.sendTo(ctx, call, at); last == nil || !nobodyLed(last) {
				return data, last
			}
			if errors.Is(last, pluginapi.ErrUnreachable) {
				silent = l
			}
		}
		if !time.Now().Before(until) || ctx.Err() != nil {
			return nil, last
		}
		c.cfg.Directory.Wait(ctx, call.App, l, leaderPause)
	}
}

// nobodyLed reports whether the call found nobody who leads, so that nothing
// was done.
func nobodyLed(err error) bool {
	if _, ok := errors.AsType[*RemoteError](err); ok {
		return refusedAs(err, pluginapi.ErrNotLeader) || refusedAs(err, pluginapi.ErrShuttingDown)
	}
	return errors.Is(err, pluginapi.ErrUnreachable) && !errors.Is(err, pluginapi.ErrUnknownOutcome)
}

// refusedAs reports whether a node has refused the call for this reason, so that
// nothing was done.
func refusedAs(err error, why error) bool {
	re, ok := errors.AsType[*RemoteError](err)
	return ok && re.Refused && errors.Is(err, why)
}

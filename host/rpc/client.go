package rpc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// ClientConfig is what a [Client] needs to know.
type ClientConfig struct {
	Node      string // who calls
	Bus       Bus
	Directory Directory
	Observer  Observer
}

// Client makes calls. What it knows of nodes, the calls on their way to them and
// their circuits, is shared by all who call through it.
type Client struct {
	cfg     ClientConfig
	name    string // in the ids of calls: no other client has it
	calls   sync.WaitGroup
	spare   sync.Pool     // of *waiting, that were used before
	closing chan struct{} // closed by Close

	mu     sync.Mutex
	closed bool
	ends   map[*outing]context.CancelFunc // of contexts that somebody waits for
	serial uint64
	loads  map[Address]*load
	turn   uint64
}

// maxLoads bounds of how many instances something is remembered that need not
// be.
const maxLoads = 1024

// NewClient returns a client that has started nothing.
func NewClient(cfg ClientConfig) *Client {
	return &Client{cfg: cfg, name: rand.Text(), ends: map[*outing]context.CancelFunc{}, closing: make(chan struct{}), loads: map[Address]*load{}}
}

// Close ends the calls that are on their way and refuses further ones, with
// ErrShuttingDown.
func (c *Client) Close() {
	c.mu.Lock()
	if !c.closed {
		close(c.closing)
	}
	c.closed = true
	for _, end := range c.ends {
		end()
	}
	c.mu.Unlock()
	c.calls.Wait()
}

func (c *Client) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// begin enters a call into the book, so that Close ends it and waits for it. The
// call's number is unique; done of the outing must be called.
func (c *Client) begin(ctx context.Context, timeout time.Duration) (_ *outing, number uint64, err error) {
	until, bounded := ctx.Deadline()
	if timeout == 0 && !bounded {
		timeout = DefaultWait
	}
	if timeout > 0 {
		if own := time.Now().Add(timeout); !bounded || own.Before(until) {
			until = own
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, 0, pluginapi.ErrShuttingDown
	}
	c.serial++
	c.calls.Add(1)
	return &outing{Context: ctx, c: c, until: until}, c.serial, nil
}

// Do makes a call.
//
// # Errors
//
// A [RemoteError] when a node has answered with an error. Else the error says
// by errors.Is: ErrUnknownOutcome, the call may have been done or may still be
// (with ErrTimeout if time ran out); without it nothing was done:
// ErrUnreachable, ErrNoLeader, ErrNotLeader, ErrCircuitOpen, ErrTooLarge,
// ErrInvalid, ErrShuttingDown, or the context's error.
func (c *Client) Do(ctx context.Context, call Call) ([]byte, error) {
	out, err := c.prepare(ctx, &call)
	if err != nil {
		return nil, err
	}
	defer out.done()
	begun := time.Now()
	data, err := c.try(out, &call)
	c.tell(&call, begun, err)
	return data, err
}

// tell tells the observer of a call that was made through the API of an app.
func (c *Client) tell(call *Call, begun time.Time, err error) {
	if call.Circuit {
		c.cfg.Observer.called(call.From, call.App, call.Method, statusOf(err), time.Since(begun))
	}
}

// prepare checks a call and fills in what its context says.
func (c *Client) prepare(ctx context.Context, call *Call) (out *outing, err error) {
	if ctx == nil {
		return nil, fmt.Errorf("call %s: %w: the context is nil", call.Method, pluginapi.ErrInvalid)
	}
	var given bool
	call.id, given = idFrom(ctx)
	call.meta = metaFrom(ctx)
	call.once = given || call.Retry.Times > 0
	if err = call.check(c.cfg.Bus.MaxPayload() - HeaderRoom); err == nil && given {
		err = CheckID(call.id)
	}
	if err == nil {
		err = ended(ctx)
	}
	var number uint64
	if err == nil {
		out, number, err = c.begin(ctx, call.Timeout)
	}
	if err != nil {
		return nil, fmt.Errorf("call %.140s of app %.70s: %w", call.Method, call.App, err)
	}
	if !given {
		call.id = c.name + "-" + strconv.FormatUint(number, 36)
	}
	call.out = out
	return out, nil
}

// ended returns the error of a context that is over, by the name that users
// know.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return pluginapi.ErrTimeout
	}
	return ctx.Err()
}

func at(node string) string {
	if node == "" {
		return ""
	}
	return " on " + node
}

// giveUp tells the called node that nobody waits any more. Which one took a call
// to any may not be known yet; the deadline ends that.
func (c *Client) giveUp(ctx context.Context, to Address, id string) {
	if to.Node == "" {
		return
	}
	// A cancel that is lost costs the time until the deadline.
	_ = c.cfg.Bus.Send(context.WithoutCancel(ctx), to, Question{Node: c.cfg.Node, Cancel: id}.header())
}

// wayOf says what the end of a request says about the way to the node.
func wayOf(err error) transport {
	switch {
	case err == nil:
		return arrived
	case errors.Is(err, pluginapi.ErrUnreachable), errors.Is(err, pluginapi.ErrUnknownOutcome) && errors.Is(err, pluginapi.ErrTimeout):
		return lost
	}
	return unproven
}

// track enters an attempt into the book, unless the circuit is open.
func (c *Client) track(to Address, circuit bool) (*waiting, error) {
	w := c.newWaiting(to)
	if to.Node != "" {
		inc, known := c.cfg.Directory.Incarnation(to.Node)
		w.inc, w.absent = inc, known && inc == 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.loads[to]
	if l == nil {
		l = &load{out: map[*waiting]struct{}{}}
		c.loads[to] = l
	}
	if circuit {
		if !l.breaker.Ready(time.Now()) {
			return nil, fmt.Errorf("call app %s on %s: %w: the last calls found nobody there: tried again within %v", to.App, to.Node, pluginapi.ErrCircuitOpen, openFor)
		}
		before := l.breaker.State()
		w.probe = l.breaker.Begin()
		c.changed(to, before, l.breaker.State())
	}
	l.out[w] = struct{}{}
	return w, nil
}

// untrack takes an attempt out of the book. node is who has taken it, "" if
// nobody knows.
func (c *Client) untrack(w *waiting, circuit bool, r transport) (node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.loads[w.to]
	delete(l.out, w)
	if circuit {
		before := l.breaker.State()
		l.breaker.End(time.Now(), w.probe, r)
		c.changed(w.to, before, l.breaker.State())
	}
	if len(l.out) == 0 && l.breaker.idle() && len(c.loads) > maxLoads {
		delete(c.loads, w.to)
	}
	return w.node
}

func (c *Client) changed(to Address, before, after Circuit) {
	if before != after {
		c.cfg.Observer.circuit(to.App, to.Node, after)
	}
}

// choose returns a node for a call that any may answer, beside those that were
// tried. An empty node leaves it to the bus: nobody is known to have the app.
func (c *Client) choose(call *Call, tried []string) (to Address, ok bool) {
	peers := c.cfg.Directory.Peers(call.App)
	if len(peers) == 0 {
		return Address{App: call.App}, len(tried) == 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	now := time.Now()
	of := func(node string) *load {
		if l := c.loads[Address{call.App, node}]; l != nil {
			return l
		}
		return &load{}
	}
	to.App = call.App
	to.Node, ok = pick(peers,
		func(node string) int { return len(of(node).out) },
		func(node string) bool {
			return !slices.Contains(tried, node) && (!call.Circuit || of(node).breaker.Ready(now))
		}, c.turn)
	return to, ok
}

// statusOf is the word for how a call ended.
func statusOf(err error) Status {
	re, remote := errors.AsType[*RemoteError](err)
	switch {
	case err == nil:
		return StatusOK
	case errors.Is(err, pluginapi.ErrTimeout):
		return StatusTimeout
	case errors.Is(err, pluginapi.ErrUnknownOutcome):
		return StatusLost
	case errors.Is(err, pluginapi.ErrBusy) && remote && re.Refused:
		return StatusBusy
	case remote && !re.Refused:
		return StatusError
	}
	return StatusRefused
}

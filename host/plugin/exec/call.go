package exec

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/frame"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// errNotSent says that the plugin cannot have seen a call: another process may
// have it.
var errNotSent = errors.New("nothing was sent")

// call is one call while it runs. Its stream may outlive the one who made it.
type call struct {
	p    *process
	host context.Context // for what the plugin asks: ends with the caller's
	asks int

	mu      sync.Mutex // one frame is sent at a time, and none after the end
	stream  grpc.ClientStream
	sent    bool // the plugin may have seen it
	givenUp bool // by the caller
}

type outcome struct {
	out []byte
	err error
}

// call makes one call of this process. Errors say ErrUnknownOutcome from the
// moment on at which the plugin may have seen it; before that errNotSent, unless
// it is the caller's fault or his context's.
func (p *process) call(ctx context.Context, op string, in []byte) ([]byte, error) {
	limits := p.instance.options.Limits
	switch {
	case int64(len(in)) > limits.Input:
		return nil, fmt.Errorf("%w: %d bytes for %s, allowed are %d", pluginapi.ErrTooLarge, len(in), op, limits.Input)
	case len(op) > frame.MaxOp:
		return nil, fmt.Errorf("%w: %.40q...", pluginapi.ErrNoMethod, op)
	case ctx.Err() != nil:
		return nil, expired(ctx)
	case !p.admit():
		return nil, errNotSent
	}
	c := &call{p: p, host: ctx}
	done := make(chan outcome, 1)
	ask := frame.Frame{Kind: frame.Call, Op: op, Body: in, Timeout: allowance(ctx, limits.Call)}
	go func() {
		defer p.calls.Done()
		out, err := c.run(&ask, limits.Call)
		done <- outcome{out, err}
	}()
	select {
	case o := <-done:
		return o.out, o.err
	case <-ctx.Done():
	}
	if c.giveUp() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			p.probe()
		}
		return nil, fmt.Errorf("%w: %w", pluginapi.ErrUnknownOutcome, expired(ctx))
	}
	return nil, expired(ctx)
}

// probe asks the process what it is, of which only a process that hangs can think
// for long. One question at a time; when it is overdue the process is replaced.
func (p *process) probe() {
	if !p.probing.CompareAndSwap(false, true) {
		return
	}
	if !p.admit() {
		return
	}
	go func() {
		defer p.calls.Done()
		defer p.probing.Store(false)
		c := &call{p: p, host: context.Background()}
		_, _ = c.run(&frame.Frame{Kind: frame.Call, Op: wire.OpDescribe}, min(p.instance.runtime.probe, p.instance.options.Limits.Call))
	}()
}

// admit counts a call, unless the process has none any more.
func (p *process) admit() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.verdict != nil || p.buried {
		return false
	}
	p.calls.Add(1)
	return true
}

// allowance is what the plugin is told that it has: a tenth less than the
// caller's context allows, at most 1 s less, so that its own word still comes in
// time.
func allowance(ctx context.Context, limit time.Duration) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end))
	}
	return max(limit-min(limit/10, time.Second), time.Millisecond)
}

func expired(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", pluginapi.ErrTimeout, context.Cause(ctx))
	}
	return context.Cause(ctx)
}

// run sends the call and does what the plugin asks until it answers.
func (c *call) run(first *frame.Frame, limit time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	host, stop := context.WithTimeout(c.host, limit)
	defer stop()
	c.host = host
	stream, err := c.p.conn.NewStream(ctx, frame.StreamDesc(), frame.MethodCall, grpc.ForceCodecV2(frame.Codec{}))
	if err != nil {
		if ctx.Err() != nil {
			return nil, c.overdue(limit)
		}
		return nil, fmt.Errorf("%w: %w", errNotSent, err)
	}
	if !c.open(stream) {
		return nil, errNotSent
	}
	c.send(first) // its error is that of the receiver, which knows more
	for {
		var f frame.Frame
		if err := stream.RecvMsg(&f); err != nil {
			if ctx.Err() != nil {
				return nil, c.overdue(limit)
			}
			return nil, c.broken(err)
		}
		switch f.Kind {
		case frame.Answer:
			return c.checked(f.Body)
		case frame.Failure:
			return nil, c.failed(f.Body)
		case frame.Ask:
			if err := c.ask(&f); err != nil {
				return nil, err
			}
		default:
			return nil, c.convict(fmt.Errorf("%w: it sent a frame of kind %d", pluginapi.ErrPluginProtocol, f.Kind))
		}
	}
}

// open makes the stream the call's, if the caller still waits.
func (c *call) open(s grpc.ClientStream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stream, c.sent = s, !c.givenUp
	return c.sent
}

func (c *call) send(f *frame.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.givenUp {
		_ = c.stream.SendMsg(f)
	}
}

// giveUp tells the plugin that nobody waits for the answer, and says whether it
// may have seen the call.
func (c *call) giveUp() (sent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.givenUp = true
	if c.stream != nil {
		_ = c.stream.CloseSend()
	}
	return c.sent
}

// convict ends the process for what it did in this call.
func (c *call) convict(why error) error {
	c.p.condemn(why)
	return fmt.Errorf("%w: %w", pluginapi.ErrUnknownOutcome, why)
}

func (c *call) overdue(limit time.Duration) error {
	return c.convict(fmt.Errorf("%w: %w: no answer within %v", pluginapi.ErrPluginLimit, pluginapi.ErrTimeout, limit))
}

func (c *call) checked(answer []byte) ([]byte, error) {
	if most := c.p.instance.options.Limits.Output; int64(len(answer)) > most {
		return nil, c.convict(fmt.Errorf("%w: its answer is longer than %d bytes", pluginapi.ErrPluginLimit, most))
	}
	return answer, nil
}

func (c *call) failed(body []byte) error {
	err := wire.ReadFailure(body)
	var told *wire.Error
	if !errors.As(err, &told) {
		return c.convict(err)
	}
	return err
}

// broken finds out why a stream ended without an answer.
func (c *call) broken(err error) error {
	if status.Code(err) == codes.ResourceExhausted {
		return c.convict(fmt.Errorf("%w: its answer is longer than %d bytes", pluginapi.ErrPluginLimit, c.p.instance.options.Limits.Output))
	}
	if c.p.run.endsSoon() {
		return fmt.Errorf("%w: %w", pluginapi.ErrUnknownOutcome, c.p.why())
	}
	s, _ := status.FromError(err)
	return c.convict(fmt.Errorf("%w: the call ended without an answer: %v: %.300q", pluginapi.ErrPluginProtocol, s.Code(), s.Message()))
}

// ask does what the plugin asks of its host.
func (c *call) ask(f *frame.Frame) error {
	o := c.p.instance.options
	if c.asks++; c.asks > o.Limits.HostCalls {
		return c.convict(fmt.Errorf("%w: it asked its host more than %d times in one call", pluginapi.ErrPluginLimit, o.Limits.HostCalls))
	}
	out, err := answer(c.host, o.Host, f)
	if err == nil && int64(len(out)) > o.Limits.Input {
		err = fmt.Errorf("%w: the answer to %s has %d bytes, allowed are %d", pluginapi.ErrTooLarge, f.Op, len(out), o.Limits.Input)
	}
	if err != nil {
		refusal := wire.FailureOf(err)
		c.send(&frame.Frame{Kind: frame.Refusal, Body: refusal.Append(nil)})
		return nil
	}
	c.send(&frame.Frame{Kind: frame.Reply, Body: out})
	return nil
}

func answer(ctx context.Context, h plugin.Host, f *frame.Frame) ([]byte, error) {
	if h == nil {
		return nil, fmt.Errorf("%s: %w", f.Op, pluginapi.ErrNotGranted)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: the call was given up: %w", f.Op, context.Cause(ctx))
	}
	return h.Call(ctx, f.Op, f.Body)
}

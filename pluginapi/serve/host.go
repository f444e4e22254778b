package serve

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/grpc"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/frame"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

type hostKey struct{}

// HostOf returns the host that waits for the call of this context. Outside of
// a call there is none: every question to it is then refused.
func HostOf(ctx context.Context) *Host {
	if h, ok := ctx.Value(hostKey{}).(*Host); ok {
		return h
	}
	return &Host{}
}

// Host is the host during one call. Its methods may be called by several
// goroutines; they are done one after the other.
type Host struct {
	stream grpc.ServerStream
	turn   chan struct{} // who holds it may ask
	owed   bool          // the reply to a question that was given up; its asker's turn guards it
	heard  chan frame.Frame

	mu    sync.Mutex // one frame is sent at a time
	ended bool       // the last frame is sent
}

func newHost(stream grpc.ServerStream) *Host {
	return &Host{stream: stream, turn: make(chan struct{}, 1), heard: make(chan frame.Frame, 1)}
}

// listen takes what the host sends until it gives the call up or the stream
// ends.
func (h *Host) listen(giveUp context.CancelCauseFunc) {
	for {
		var f frame.Frame
		if err := h.stream.RecvMsg(&f); err != nil {
			giveUp(fmt.Errorf("the host has given the call up: %w", context.Canceled))
			return
		}
		select {
		case h.heard <- f:
		default:
			giveUp(errors.New("the host sent a reply that nobody waits for"))
			return
		}
	}
}

func (h *Host) send(f *frame.Frame) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return fmt.Errorf("send frame: %w: the call has ended", pluginapi.ErrInvalid)
	}
	h.ended = f.Kind != frame.Ask
	return h.stream.SendMsg(f)
}

// Call asks the host for an operation: one of the Host… constants of package
// wire, with the message that it takes and the message that it gives.
//
// # Errors
//
// A *[wire.Error], with ErrNotGranted for what the manifest and the operator do not
// both allow and ErrPluginLimit for too many questions in one call; the
// context's error.
func (h *Host) Call(ctx context.Context, op string, in []byte) ([]byte, error) {
	if h.stream == nil {
		return nil, fmt.Errorf("ask host for %s: %w: only during a call of the plugin", op, pluginapi.ErrNotGranted)
	}
	if len(op) > frame.MaxOp {
		return nil, fmt.Errorf("ask host: %w: no operation has a name of %d bytes", pluginapi.ErrInvalid, len(op))
	}
	f, err := h.ask(ctx, &frame.Frame{Kind: frame.Ask, Op: op, Body: in})
	if err != nil {
		return nil, fmt.Errorf("ask host for %s: %w", op, err)
	}
	return told(op, f)
}

// ask sends a question when it is its turn and waits for the reply.
func (h *Host) ask(ctx context.Context, question *frame.Frame) (f frame.Frame, err error) {
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		return f, context.Cause(ctx)
	}
	defer func() { <-h.turn }()
	if h.owed {
		if _, err := h.hear(ctx); err != nil {
			return f, err
		}
		h.owed = false
	}
	if err := h.send(question); err != nil {
		return f, err
	}
	f, err = h.hear(ctx)
	h.owed = err != nil
	return f, err
}

func (h *Host) hear(ctx context.Context) (frame.Frame, error) {
	select {
	case f := <-h.heard:
		return f, nil
	case <-ctx.Done():
		return frame.Frame{}, context.Cause(ctx)
	}
}

func told(op string, f frame.Frame) ([]byte, error) {
	switch f.Kind {
	case frame.Reply:
		return f.Body, nil
	case frame.Refusal:
		return nil, fmt.Errorf("ask host for %s: %w", op, wire.ReadFailure(f.Body))
	}
	return nil, fmt.Errorf("ask host for %s: %w: a frame of kind %d came back", op, pluginapi.ErrPluginProtocol, f.Kind)
}

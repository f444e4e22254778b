package serve

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/frame"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest/reference"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

const longTime = 30 * time.Second

// stream is the host's side of a call, by hand. Closing in is giving it up.
type stream struct {
	grpc.ServerStream
	ctx     context.Context
	in, out chan frame.Frame
}

func (s *stream) Context() context.Context { return s.ctx }

func (s *stream) SendMsg(m any) error {
	s.out <- *m.(*frame.Frame)
	return nil
}

func (s *stream) RecvMsg(m any) error {
	select {
	case f, ok := <-s.in:
		if !ok {
			return io.EOF
		}
		*m.(*frame.Frame) = f
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// serving serves one call and returns the host's side of it.
func serving(t *testing.T, h Handler, first frame.Frame) (s *stream, ended chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	s = &stream{ctx: ctx, in: make(chan frame.Frame, 10), out: make(chan frame.Frame, 10)}
	s.in <- first
	ended = make(chan error, 1)
	go func() { ended <- serveCall(s, h) }()
	return s, ended
}

// receive takes what must come.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(longTime):
		t.Fatalf("nothing came in %v", longTime)
		panic("unreachable")
	}
}

func refusal(code pluginapi.Error) []byte {
	m := wire.Error{Code: string(code), Text: "no"}
	return m.Append(nil)
}

func TestAsk(t *testing.T) {
	h := func(ctx context.Context, op string, in []byte) ([]byte, error) {
		a, errA := HostOf(ctx).Call(ctx, "kv.get", []byte("a"))
		_, errB := HostOf(ctx).Call(ctx, "kv.get", []byte("b"))
		return a, errors.Join(errA, errB)
	}
	s, ended := serving(t, h, frame.Frame{Kind: frame.Call, Op: "x"})
	if f := receive(t, s.out); f.Kind != frame.Ask || f.Op != "kv.get" || string(f.Body) != "a" {
		t.Errorf("asked %+v", f)
	}
	s.in <- frame.Frame{Kind: frame.Reply, Body: []byte("1")}
	receive(t, s.out)
	s.in <- frame.Frame{Kind: frame.Refusal, Body: refusal(pluginapi.ErrKeyNotFound)}
	f := receive(t, s.out)
	if err := wire.ReadFailure(f.Body); f.Kind != frame.Failure || !errors.Is(err, pluginapi.ErrKeyNotFound) {
		t.Errorf("ended with %+v, %v", f, err)
	}
	if err := receive(t, ended); err != nil {
		t.Error(err)
	}
}

// The reply to a question that was given up is not taken for that to the next.
func TestReplyOfAGivenUpQuestion(t *testing.T) {
	short, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	h := func(ctx context.Context, op string, in []byte) ([]byte, error) {
		_, err := HostOf(ctx).Call(short, "slow", nil)
		given <- err
		return HostOf(ctx).Call(ctx, "quick", nil)
	}
	s, _ := serving(t, h, frame.Frame{Kind: frame.Call, Op: "x"})
	receive(t, s.out)
	cancel()
	if err := receive(t, given); !errors.Is(err, context.Canceled) {
		t.Errorf("the first question: %v", err)
	}
	s.in <- frame.Frame{Kind: frame.Reply, Body: []byte("slow")}
	if f := receive(t, s.out); f.Kind != frame.Ask || f.Op != "quick" {
		t.Fatalf("asked %+v", f)
	}
	s.in <- frame.Frame{Kind: frame.Reply, Body: []byte("quick")}
	if f := receive(t, s.out); f.Kind != frame.Answer || string(f.Body) != "quick" {
		t.Errorf("ended with %+v: %q", f, f.Body)
	}
}

func TestGivenUp(t *testing.T) {
	h := func(ctx context.Context, op string, in []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	s, _ := serving(t, h, frame.Frame{Kind: frame.Call, Op: "x"})
	close(s.in)
	if f := receive(t, s.out); f.Kind != frame.Failure || !strings.Contains(string(f.Body), "given the call up") {
		t.Errorf("ended with %+v: %q", f, f.Body)
	}
	s, _ = serving(t, h, frame.Frame{Kind: frame.Call, Op: "x", Timeout: time.Millisecond})
	f := receive(t, s.out)
	if err := wire.ReadFailure(f.Body); !errors.Is(err, pluginapi.ErrTimeout) {
		t.Errorf("after its time: %v", err)
	}
	// A host that says what nobody asked for.
	s, _ = serving(t, h, frame.Frame{Kind: frame.Call, Op: "x"})
	s.in <- frame.Frame{Kind: frame.Reply}
	s.in <- frame.Frame{Kind: frame.Reply}
	if f := receive(t, s.out); f.Kind != frame.Failure || !strings.Contains(string(f.Body), "nobody waits") {
		t.Errorf("ended with %+v: %q", f, f.Body)
	}
}

func TestFirstFrameMustBeACall(t *testing.T) {
	h := func(context.Context, string, []byte) ([]byte, error) { return nil, errors.New("called") }
	s, ended := serving(t, h, frame.Frame{Kind: frame.Reply})
	if err := receive(t, ended); err == nil || len(s.out) != 0 {
		t.Errorf("got %v and %d frames", err, len(s.out))
	}
}

// Outside of a call there is no host, also for who has kept one.
func TestHostOutsideOfACall(t *testing.T) {
	if _, err := HostOf(t.Context()).Call(t.Context(), "kv.get", nil); !errors.Is(err, pluginapi.ErrNotGranted) {
		t.Errorf("got %v", err)
	}
	var kept *Host
	h := func(ctx context.Context, op string, in []byte) ([]byte, error) {
		kept = HostOf(ctx)
		return nil, nil
	}
	s, ended := serving(t, h, frame.Frame{Kind: frame.Call, Op: "x"})
	receive(t, s.out)
	receive(t, ended)
	if _, err := kept.Call(t.Context(), "kv.get", nil); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if len(s.out) != 0 {
		t.Errorf("after the answer %+v was sent", <-s.out)
	}
}

// A plugin does what it is for once it is configured, and is configured once.
func TestContract(t *testing.T) {
	refuse := errors.New("too early in the morning")
	made := 0
	h := BackendHandler(About{Name: "b", Version: "1.2.3"}, func(c wire.Configure) (pluginapi.Backend, error) {
		if made++; made == 1 {
			return nil, refuse
		}
		return reference.NewBackend(), nil
	})
	ctx := t.Context()
	out, err := h(ctx, wire.OpDescribe, nil)
	var d wire.Description
	if err = errors.Join(err, d.Decode(out)); err != nil || d.Contract != wire.ContractBackend || d.Version != "1.2.3" {
		t.Errorf("describe: %+v, %v", d, err)
	}
	if _, err := h(ctx, wire.OpStatus, nil); !errors.Is(err, pluginapi.ErrNoMethod) {
		t.Errorf("before the configuration: %v", err)
	}
	if _, err := h(ctx, wire.OpConfigure, nil); !errors.Is(err, refuse) {
		t.Errorf("the factory's refusal: %v", err)
	}
	if _, err := h(ctx, wire.OpConfigure, nil); err != nil {
		t.Error(err)
	}
	if _, err := h(ctx, wire.OpConfigure, nil); !errors.Is(err, pluginapi.ErrInvalid) || made != 2 {
		t.Errorf("the third configuration: %v, made %d", err, made)
	}
	if _, err := h(ctx, wire.OpStatus, nil); err != nil {
		t.Error(err)
	}
	if _, err := h(ctx, wire.OpRank, nil); !errors.Is(err, pluginapi.ErrNoMethod) {
		t.Errorf("an operation of another contract: %v", err)
	}
	kinds := HookHandler(About{Name: "h", Version: "1.0.0"}, nil, pluginapi.HookActive)
	if out, err = kinds(ctx, wire.OpDescribe, nil); err != nil || d.Decode(out) != nil || len(d.Events) != 1 || d.Events[0] != "active" {
		t.Errorf("describe: %+v, %v", d, err)
	}
}

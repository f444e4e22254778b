package rpc

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// errGone is the outcome of a handler that ended its goroutine.
var errGone = errors.New("the handler has ended its goroutine")

// outcome is what a handler has come to.
type outcome struct {
	data []byte
	err  error
}

// serve runs the handler of a call and answers. The clock tells the caller when
// its time is over, also when the handler does not come back then.
func (s *Server) serve(r *run) {
	out := outcome{err: errGone}
	defer func() {
		if p := recover(); p != nil {
			s.cfg.Logger.Error("a handler panicked", "app", s.cfg.App, "method", r.q.Method, "panic", p, "stack", string(debug.Stack()))
			out.err = fmt.Errorf("the handler panicked: %v", p)
		}
		s.finish(r, out)
	}()
	var ctx context.Context = &r.ctx
	if r.lease.Valid != nil {
		ctx = pluginapi.WithLease(ctx, r.lease)
	}
	out.data, out.err = r.h(ctx, r.req)
}

// expired reports whether the deadline of the call has passed.
func (r *run) expired() bool { return errors.Is(r.ctx.Err(), context.DeadlineExceeded) }

// stopRun ends the context of a call before its deadline.
func (s *Server) stopRun(r *run, why pluginapi.Error) {
	s.mu.Lock()
	if r.why == "" {
		r.why = why
	}
	s.mu.Unlock()
	r.ctx.end(context.Canceled)
}

// finish answers all who wait and takes the call out of the book.
func (s *Server) finish(r *run, out outcome) {
	var head Header
	body, status := out.data, StatusOK
	if f := s.judge(r, out); f != nil {
		head, body, status = f.header(s.cfg.Node), f.body(), StatusError
		if f.state == stateRunning {
			status = StatusLost
		} else if f.code == string(pluginapi.ErrTimeout) {
			status = StatusTimeout
		}
	}
	if r.expired() {
		status = StatusTimeout
	}
	s.mu.Lock()
	waiting := r.tell
	r.tell = nil
	s.slots-- // before the answer: who has it may call again
	if r.q.Once {
		s.window.finish(r.onceKey(), head, body)
	}
	s.mu.Unlock()
	for _, to := range waiting {
		s.respond(to, head, body)
	}
	s.cfg.Observer.handled(s.cfg.App, r.q.Method, status, time.Since(r.began))
	r.ctx.end(context.Canceled)
	s.mu.Lock()
	delete(s.running, r) // after the answer: who waits for the end of all calls waits for their answers
	if s.ended != nil {
		close(s.ended)
		s.ended = nil
	}
	if r.key != "" && s.byID[r.key] == r {
		delete(s.byID, r.key)
	}
	s.mu.Unlock()
}

// judge returns what is wrong with an outcome, nil for an answer that may be
// given. An error whose methods panic, as those of a nil pointer do, is one too.
func (s *Server) judge(r *run, out outcome) (f *fault) {
	defer func() {
		if p := recover(); p != nil {
			f = &fault{noName, "", fmt.Sprintf("the handler has returned a %T that panics: %v", out.err, p)}
		}
	}()
	limit := s.cfg.Bus.MaxPayload() - HeaderRoom
	s.mu.Lock()
	why := r.why
	s.mu.Unlock()
	switch {
	case errors.Is(out.err, context.Canceled) && why != "":
		return &fault{string(why), stateRunning, fmt.Sprintf("%v: the handler was ended: %v", why, out.err)}
	case errors.Is(out.err, context.DeadlineExceeded) && r.expired():
		return &fault{string(pluginapi.ErrTimeout), stateRunning, fmt.Sprintf("%v: the handler was ended: %v", pluginapi.ErrTimeout, out.err)}
	case out.err != nil:
		return &fault{name(out.err, s.cfg.Named), "", out.err.Error()}
	case r.lease.Valid != nil && !r.lease.Valid():
		return &fault{string(pluginapi.ErrNotLeader), stateRunning, fmt.Sprintf("%v: the leadership ended while the handler ran: its answer may be old, what it did may be lost", pluginapi.ErrNotLeader)}
	case len(out.data) > limit:
		return &fault{string(pluginapi.ErrTooLarge), "", fmt.Sprintf("%v: the handler's answer has %d bytes: the most that can be sent is %d", pluginapi.ErrTooLarge, len(out.data), limit)}
	}
	return nil
}

// tell answers all who wait now with a fault; the handler runs on.
func (s *Server) tell(r *run, f fault) {
	s.mu.Lock()
	waiting := r.tell
	r.tell = nil
	s.mu.Unlock()
	for _, to := range waiting {
		s.respond(to, f.header(s.cfg.Node), f.body())
	}
}

func tooLargeToRepeat(n int) string {
	return fmt.Sprintf("%v: the call was done before; its answer of %d bytes was not kept, at most %d are", pluginapi.ErrTooLarge, n, windowAnswer)
}

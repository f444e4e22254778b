package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// A repetition at the same node runs the handler once: while it runs it is
// joined, afterwards its answer is given again.
func TestRetryRunsOnce(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration
		size  int
		want  error
	}{
		"joined":               {takes: 10 * time.Second},
		"answered again":       {takes: 0},
		"the answer was large": {size: windowAnswer + 1, want: pluginapi.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				var runs atomic.Int32
				w.serve("a", map[string]Handler{"do": func(context.Context, []byte) ([]byte, error) {
					<-time.After(c.takes)
					return append(make([]byte, c.size), fmt.Append(nil, runs.Add(1))...), nil
				}})
				w.fate = func(_ Address, n int) fate { return []fate{deliver, cut}[n%2] } // the first, the third ...
				data, err := w.client.Do(t.Context(), Call{App: "web", Target: TargetAny, Method: "do", Retry: DefaultRetry()})
				if !errors.Is(err, c.want) || err == nil && string(data) != "1" || runs.Load() != 1 {
					t.Errorf("%d runs, answer of %d bytes, %v", runs.Load(), len(data), err)
				}
				if len(w.requests()) != 2 {
					t.Errorf("sent to %v", w.requests())
				}
			})
		})
	}
}

// A program's own repetition, under the same id, runs once too; another node,
// another method or another id is another call.
func TestRequestID(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var runs atomic.Int32
		handlers := counter(&runs)
		handlers["more"] = handlers["do"]
		w.serve("a", handlers)
		ctx := WithRequestID(t.Context(), "order-17")
		for _, method := range []string{"do", "do", "more", "do"} {
			if _, err := w.client.Do(ctx, Call{App: "web", Target: "a", Method: method}); err != nil {
				t.Error(err)
			}
		}
		if runs.Load() != 2 {
			t.Errorf("%d runs", runs.Load())
		}
		_, err := w.client.Do(WithRequestID(t.Context(), "order-18"), Call{App: "web", Target: "a", Method: "do"})
		if err != nil || runs.Load() != 3 {
			t.Errorf("%d runs, %v", runs.Load(), err)
		}
		for _, id := range []string{"", "a b", strings.Repeat("x", 65)} {
			_, err := w.client.Do(WithRequestID(t.Context(), id), Call{App: "web", Target: "a", Method: "do"})
			want(t, err, []error{pluginapi.ErrInvalid})
		}
	})
}

// Who gives a call up and repeats it under its id is told that nobody knows how
// far it got, and it is not run again.
func TestRepeatedAfterACancel(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var runs atomic.Int32
		w.serve("a", map[string]Handler{"do": func(ctx context.Context, _ []byte) ([]byte, error) {
			runs.Add(1)
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		ctx := WithRequestID(t.Context(), "order-17")
		brief, cancel := context.WithCancel(ctx)
		var all sync.WaitGroup
		all.Go(func() {
			_, err := w.client.Do(brief, Call{App: "web", Target: "a", Method: "do"})
			want(t, err, []error{context.Canceled, pluginapi.ErrUnknownOutcome})
		})
		synctest.Wait()
		cancel()
		all.Wait()
		synctest.Wait()
		_, err := w.client.Do(ctx, Call{App: "web", Target: "a", Method: "do"})
		want(t, err, []error{pluginapi.ErrUnknownOutcome}, context.Canceled)
		if runs.Load() != 1 {
			t.Errorf("%d runs", runs.Load())
		}
	})
}

// A node that has been started again meanwhile does not know whether it has run
// the call, and does not run it: the caller is told so.
func TestRetryAfterARestart(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var runs atomic.Int32
		s := w.serve("a", counter(&runs))
		w.fate = func(_ Address, n int) fate {
			if n > 1 {
				return deliver
			}
			go func() { // it comes back before the repetition
				<-time.After(time.Millisecond)
				s.Close(context.Background())
				w.serve("a", counter(&runs))
			}()
			return cut
		}
		_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "do", Retry: DefaultRetry()})
		want(t, err, []error{pluginapi.ErrUnknownOutcome})
		if runs.Load() != 1 {
			t.Errorf("%d runs", runs.Load())
		}
	})
}

// When the first attempt may have been done, no other node is asked, and what
// keeps its repetition away does not make it undone.
func TestDoubtStays(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var runs atomic.Int32
		s := w.serve("a", counter(&runs))
		w.serve("b", counter(&runs))
		first := ""
		w.fate = func(to Address, n int) fate {
			if n == 1 {
				first = to.Node
				return cut
			}
			if n == 2 {
				go w.servers[first].Close(context.Background())
			}
			return offline
		}
		_, err := w.client.Do(t.Context(), Call{App: "web", Target: TargetAny, Method: "do", Retry: DefaultRetry()})
		want(t, err, []error{pluginapi.ErrUnknownOutcome}, pluginapi.ErrUnreachable)
		for _, to := range w.requests() {
			if to.Node != first {
				t.Errorf("sent to %v", w.requests())
			}
		}
		if len(w.requests()) != 4 || runs.Load() != 1 {
			t.Errorf("%d requests, %d runs", len(w.requests()), runs.Load())
		}
		_ = s
	})
}

// A call to any that came through the queue group is not repeated in doubt when
// nobody has said who took it: it could come to another.
func TestQueueIsNotRepeated(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var runs atomic.Int32
		w.serve("a", counter(&runs))
		w.town.settle()
		w.fate = func(Address, int) fate { return cutEarly }
		_, err := w.client.Do(t.Context(), Call{App: "web", Target: TargetAny, Method: "do", Retry: DefaultRetry()})
		want(t, err, []error{pluginapi.ErrUnknownOutcome})
		if len(w.requests()) != 1 {
			t.Errorf("sent to %v", w.requests())
		}
	})
}

// What was not begun is tried again elsewhere; an error of the handler is not.
func TestRetryElsewhere(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var runs atomic.Int32
		gate := make(chan struct{})
		handlers := map[string]Handler{
			"block": func(context.Context, []byte) ([]byte, error) { <-gate; return nil, nil },
			"do":    echo,
			"fail":  func(context.Context, []byte) ([]byte, error) { runs.Add(1); return nil, pluginapi.ErrBusy },
		}
		w.serve("a", handlers, func(c *ServerConfig) { c.Pool = 1 })
		go func() { _, _ = w.client.Do(context.Background(), Call{App: "web", Target: "a", Method: "block"}) }()
		synctest.Wait()
		go func() { <-time.After(50 * time.Millisecond); close(gate) }()
		if _, err := w.client.Do(t.Context(), Call{App: "web", Target: TargetAny, Method: "do", Retry: DefaultRetry()}); err != nil {
			t.Error(err)
		}
		_, err := w.client.Do(t.Context(), Call{App: "web", Target: TargetAny, Method: "fail", Retry: DefaultRetry()})
		want(t, err, []error{pluginapi.ErrBusy})
		if runs.Load() != 1 {
			t.Errorf("%d runs", runs.Load())
		}
	})
}

// The pauses of a retry double, up to the most, give or take half.
func TestRetryPauses(t *testing.T) {
	r := DefaultRetry()
	for n, mid := range []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		for range 100 {
			if d := r.pause(n); d < mid*time.Millisecond/2 || d > mid*time.Millisecond*3/2 {
				t.Fatalf("pause %d is %v", n, d)
			}
		}
	}
	inBubble(t, func(t *testing.T, w *world) {
		begun := time.Now()
		_, err := w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "do", Retry: r})
		want(t, err, []error{pluginapi.ErrUnreachable})
		if took := time.Since(begun); len(w.requests()) != 4 || took < 350*time.Millisecond || took > 1050*time.Millisecond {
			t.Errorf("%d requests in %v", len(w.requests()), took)
		}
		begun = time.Now()
		_, err = w.client.Do(t.Context(), Call{App: "web", Target: "a", Method: "do", Retry: r, Timeout: 60 * time.Millisecond})
		want(t, err, []error{pluginapi.ErrUnreachable})
		if took := time.Since(begun); took > 60*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

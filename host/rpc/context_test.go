package rpc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// A handler's context is one as package context has them: what is derived from
// it ends with it, and what was released is not called.
func TestCallContextIsAContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		due := time.Now().Add(time.Minute)
		for _, why := range []error{context.Canceled, context.DeadlineExceeded} {
			ctx := &callContext{due: due, call: HandlerContext{Method: "m"}}
			child, cancel := context.WithCancel(context.WithValue(ctx, handlerKey{}, nil))
			defer cancel()
			loose, release := context.WithTimeout(ctx, time.Hour)
			release()
			called, never := make(chan struct{}), false
			stopCalled := context.AfterFunc(ctx, func() { close(called) })
			stopNever := context.AfterFunc(ctx, func() { never = true })
			if d, ok := loose.Deadline(); !ok || !d.Equal(due) || ctx.Err() != nil || child.Err() != nil || !stopNever() || stopNever() {
				t.Errorf("before the end: %v %v", d, ctx.Err())
			}
			if why == context.Canceled {
				select {
				case <-ctx.Done():
					t.Error("done")
				default:
				}
			}
			ctx.end(why)
			ctx.end(errors.New("again"))
			<-ctx.Done()
			<-child.Done()
			<-called
			after := make(chan struct{})
			context.AfterFunc(ctx, func() { close(after) })
			<-after
			late, cancel := context.WithCancel(ctx)
			defer cancel()
			if ctx.Err() != why || child.Err() != why || late.Err() != why || context.Cause(child) != why || never || stopCalled() || len(ctx.after) != 0 {
				t.Errorf("after the end by %v: %v %v %v %v", why, ctx.Err(), child.Err(), context.Cause(child), never)
			}
			if GetHandlerContext(ctx).Method != "m" {
				t.Error("no handler context")
			}
		}
	})
}

// Each call has its own deadline, whatever the order in which they come, and a
// handler that does not heed it is told of at once.
func TestManyDeadlines(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		handlers := map[string]Handler{
			"heeds": func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() },
			"deaf": func(ctx context.Context, _ []byte) ([]byte, error) {
				<-time.After(time.Minute)
				return nil, ctx.Err()
			},
			"do": echo,
		}
		w.serve("a", handlers)
		type end struct {
			asked, took time.Duration
		}
		ends := make(chan end)
		n := 0
		for i, d := range []time.Duration{5, 20, 1, 10, 2, 1, 15} {
			for _, method := range []string{"heeds", "deaf"} {
				n++
				go func() {
					<-time.After(time.Duration(i) * 100 * time.Millisecond)
					begun := time.Now()
					_, err := w.client.Do(context.Background(), Call{App: "web", Target: "a", Method: method, Timeout: d * time.Second})
					want(t, err, []error{pluginapi.ErrTimeout, pluginapi.ErrUnknownOutcome})
					if _, remote := errors.AsType[*RemoteError](err); !remote {
						t.Errorf("not the node's word: %v", err)
					}
					ends <- end{d * time.Second, time.Since(begun)}
				}()
			}
		}
		for range n {
			if e := <-ends; e.took != budget(e.asked) {
				t.Errorf("a call of %v ended after %v", e.asked, e.took)
			}
		}
		<-time.After(time.Minute)
		if _, err := w.client.Do(context.Background(), Call{App: "web", Target: "a", Method: "do", Timeout: time.Second}); err != nil {
			t.Error(err)
		}
	})
}

package events

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestTimeout: it is a context with a deadline, whether somebody waits or not.
func TestTimeout(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		parent, stop := context.WithCancel(context.WithValue(t.Context(), key{}, 7))
		for name, c := range map[string]struct {
			do   func(*timeout)
			want error
		}{
			"new":                  {func(*timeout) {}, nil},
			"waited for":           {func(x *timeout) { _ = x.Done() }, nil},
			"past, nobody waits":   {func(*timeout) { time.Sleep(time.Second) }, context.DeadlineExceeded},
			"past, somebody waits": {func(x *timeout) { <-x.Done() }, context.DeadlineExceeded},
			"ended":                {func(x *timeout) { x.end() }, context.Canceled},
			"ended, waited before": {func(x *timeout) { _ = x.Done(); x.end(); <-x.Done() }, context.Canceled},
			"ended, waited after":  {func(x *timeout) { x.end(); <-x.Done() }, context.Canceled},
			"past, then ended":     {func(x *timeout) { time.Sleep(2 * time.Second); x.end() }, context.DeadlineExceeded},
			"a child":              {func(x *timeout) { ctx, end := context.WithCancel(x); defer end(); <-ctx.Done() }, context.DeadlineExceeded},
		} {
			x := withTimeout(parent, time.Now(), time.Second)
			if at, ok := x.Deadline(); !ok || time.Until(at) != time.Second {
				t.Errorf("%s: deadline in %v", name, time.Until(at))
			}
			c.do(x)
			if err := x.Err(); err != c.want {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
			if x.Value(key{}) != 7 {
				t.Errorf("%s: no values", name)
			}
			x.end()
		}
		waiting, idle := withTimeout(parent, time.Now(), time.Hour), withTimeout(parent, time.Now(), time.Hour)
		_ = waiting.Done()
		stop()
		<-waiting.Done()
		if waiting.Err() != context.Canceled || idle.Err() != context.Canceled {
			t.Errorf("the parent has ended: %v, %v", waiting.Err(), idle.Err())
		}
		waiting.end()
	})
}

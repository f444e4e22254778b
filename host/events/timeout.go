package events

import (
	"context"
	"sync"
	"time"
)

// timeout is a context with a deadline that starts a timer only when somebody
// waits for it: most handlers never do, and a timer costs as much as all else
// that is done for one event.
type timeout struct {
	parent context.Context
	until  time.Time

	mu     sync.Mutex
	real   context.Context // made by the first Done
	cancel context.CancelFunc
	ended  bool
}

func withTimeout(parent context.Context, from time.Time, d time.Duration) *timeout {
	return &timeout{parent: parent, until: from.Add(d)}
}

// Deadline implements [context.Context].
func (t *timeout) Deadline() (time.Time, bool) {
	if at, ok := t.parent.Deadline(); ok && at.Before(t.until) {
		return at, true
	}
	return t.until, true
}

// Done implements [context.Context].
func (t *timeout) Done() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.real == nil {
		t.real, t.cancel = context.WithDeadline(t.parent, t.until)
		if t.ended {
			t.cancel()
		}
	}
	return t.real.Done()
}

// Err implements [context.Context].
func (t *timeout) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.real != nil:
		return t.real.Err()
	case t.parent.Err() != nil:
		return t.parent.Err()
	case !time.Now().Before(t.until):
		return context.DeadlineExceeded
	case t.ended:
		return context.Canceled
	}
	return nil
}

// Value implements [context.Context].
func (t *timeout) Value(key any) any { return t.parent.Value(key) }

// end cancels it. What Err says from then on is what it would have said, if the
// deadline had passed before.
func (t *timeout) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	if t.cancel != nil {
		t.cancel()
	}
}

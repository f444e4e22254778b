package host

import (
	"context"
	"sync"
)

// mailbox keeps the events of one app until its hooks have been called. Putting
// never waits: a slow hook holds up its own app only.
type mailbox struct {
	mu     sync.Mutex
	items  []any
	signal chan struct{}
}

func newMailbox() *mailbox { return &mailbox{signal: make(chan struct{}, 1)} }

func (m *mailbox) put(e any) {
	m.mu.Lock()
	m.items = append(m.items, e)
	m.mu.Unlock()
	m.wake()
}

// putHealth adds a change of the health. When the one before it, to the
// opposite, has not been told yet, neither is: a check that flaps cannot fill
// the mailbox of a slow hook.
func (m *mailbox) putHealth(e healthChanged) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.items); n > 0 {
		if _, untold := m.items[n-1].(healthChanged); untold {
			m.items = m.items[:n-1]
			return
		}
	}
	m.items = append(m.items, e)
	m.wake()
}

func (m *mailbox) wake() {
	select {
	case m.signal <- struct{}{}:
	default:
	}
}

// next waits for the next event; ok is false when the context has ended.
func (m *mailbox) next(ctx context.Context) (e any, ok bool) {
	for {
		m.mu.Lock()
		if len(m.items) > 0 {
			e, m.items = m.items[0], m.items[1:]
			m.mu.Unlock()
			return e, ctx.Err() == nil
		}
		m.mu.Unlock()
		select {
		case <-m.signal:
		case <-ctx.Done():
			return nil, false
		}
	}
}

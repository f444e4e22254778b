package host

import (
	"sync"

	"github.com/ozanturksever/go-cluster/host/core"
)

// queue carries inputs to the loop. Putting never waits: what puts may be the
// code that the loop waits for.
type queue struct {
	mu     sync.Mutex
	items  []core.Input
	signal chan struct{}
}

func newQueue() *queue { return &queue{signal: make(chan struct{}, 1)} }

func (q *queue) put(in ...core.Input) {
	q.mu.Lock()
	q.items = append(q.items, in...)
	q.mu.Unlock()
	select {
	case q.signal <- struct{}{}:
	default:
	}
}

// putFirst puts an input before all others.
func (q *queue) putFirst(in core.Input) {
	q.mu.Lock()
	q.items = append([]core.Input{in}, q.items...)
	q.mu.Unlock()
	q.put()
}

func (q *queue) take() []core.Input {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = nil
	return items
}

package backend

import "sync"

const (
	maxQueued = 1 << 20 // bytes that wait for a slow reader; what comes after is dropped
	lineCost  = 64      // what a line costs besides its bytes
)

// line is one line of output, without its newline.
type line struct {
	text   string
	stderr bool
}

// queue is what stands between the service, which must never wait, and a log
// or a handler, which may be slow. When it is full, lines are dropped and
// counted.
type queue struct {
	mu      sync.Mutex
	lines   []line
	size    int
	dropped uint64
	trouble error // why the last lines were dropped, where there is more to say than "too slow"

	wake   chan struct{} // has a token when there is something to take
	closed chan struct{}
}

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, 1), closed: make(chan struct{})}
}

// push adds a line. It never blocks.
func (q *queue) push(l line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.size+len(l.text)+lineCost > maxQueued {
		q.dropped++
		return
	}
	q.lines = append(q.lines, l)
	q.size += len(l.text) + lineCost
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns all lines that wait. It blocks until there are some, and returns
// false when the queue is closed and empty.
func (q *queue) take() ([]line, bool) {
	for {
		if batch := q.grab(); len(batch) > 0 {
			return batch, true
		}
		select {
		case <-q.wake:
		case <-q.closed:
			batch := q.grab()
			return batch, len(batch) > 0
		}
	}
}

func (q *queue) grab() []line {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch := q.lines
	q.lines, q.size = nil, 0
	return batch
}

// close ends take once the rest has been taken. Call it once, after the last push.
func (q *queue) close() { close(q.closed) }

// lose counts lines that were taken but went nowhere.
func (q *queue) lose(n int, why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped += uint64(n)
	q.trouble = why
}

// losses returns how many lines were dropped, and the last trouble; nil when
// the last lines went well.
func (q *queue) losses() (uint64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped, q.trouble
}

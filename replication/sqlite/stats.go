package sqlite

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// CaptureStats counts what a Capture has done since it was opened.
type CaptureStats struct {
	Changes      uint64 // given out whole
	Transactions uint64
	Pages        uint64
	Differences  uint64        // changes that were found by comparing all pages
	Trusted      uint64        // times that frames had no right salts or checksums: the writer's SQLite is older than 3.50.4
	Recoveries   uint64        // times that the index of the log had to be built again
	LetGo        uint64        // times that the log was over its ceiling
	Checkpoints  uint64        // begun
	Partial      uint64        // of these, after which the log could not begin anew
	SealLast     time.Duration // how long the last checkpoint held writers off
	SealMax      time.Duration
	Unsafe       bool   // frames of that kind are in the log still: a crash of all programs would lose what is after them
	Looks        uint64 // at the index of the log
	LogBytes     int64  // committed in the log now
	UnreadBytes  int64  // of these, not yet read
}

type counters struct {
	changes, transactions, pages, differences atomic.Uint64
	trusted, recoveries, letGo                atomic.Uint64
	checkpoints, partial                      atomic.Uint64
	looks                                     atomic.Uint64
	sealLast, sealMax                         atomic.Int64
}

// sealed notes how long writers were held off. One goroutine calls it.
func (c *counters) sealed(d time.Duration) {
	c.sealLast.Store(int64(d))
	c.sealMax.Store(max(c.sealMax.Load(), int64(d)))
}

func (c *counters) stats() CaptureStats {
	return CaptureStats{
		Changes: c.changes.Load(), Transactions: c.transactions.Load(), Pages: c.pages.Load(),
		Differences: c.differences.Load(), Trusted: c.trusted.Load(), Recoveries: c.recoveries.Load(),
		LetGo: c.letGo.Load(), Looks: c.looks.Load(), Checkpoints: c.checkpoints.Load(), Partial: c.partial.Load(),
		SealLast: time.Duration(c.sealLast.Load()), SealMax: time.Duration(c.sealMax.Load()),
	}
}

// waiters wait until the tail has come to what was committed when they began to.
type waiters struct {
	kick   chan struct{} // wakes the tail
	mu     sync.Mutex
	list   []chan struct{} // closed when they have what they wait for
	closed bool
	end    chan struct{} // closed with the tail
}

func newWaiters(kick chan struct{}) *waiters {
	return &waiters{kick: kick, end: make(chan struct{})}
}

// wait is false when ctx ended first, or the tail did.
func (w *waiters) wait(ctx context.Context) bool {
	c := make(chan struct{})
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return false
	}
	w.list = append(w.list, c)
	w.mu.Unlock()
	select {
	case w.kick <- struct{}{}:
	default:
	}
	select {
	case <-c:
		return true
	case <-w.end:
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, o := range w.list {
		if o == c {
			w.list = append(w.list[:i], w.list[i+1:]...)
			break
		}
	}
	return false
}

// take hands over who waits, to be released once the tail has come to what the
// index says after this call.
func (w *waiters) take() []chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.list
	w.list = nil
	return list
}

// close ends all waiting.
func (w *waiters) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		close(w.end)
	}
}

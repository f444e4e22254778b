package audit

import (
	"context"
	"crypto/rand"
	"sync"
	"time"
)

const (
	maxWaiting = 10_000           // entries that wait to be written
	lateNote   = 30 * time.Second // an entry that waits longer is worth a line in the log
	retryWrite = 200 * time.Millisecond
	calm       = 250 * time.Millisecond // before what came is written: after a fault the store has more urgent things to do
)

// record is an entry that waits to be written.
type record struct {
	entry Entry
	id    string // names it for two minutes: written twice, it is stored once
}

// box holds what waits to be written, and counts what it had no room for.
type box struct {
	mu      sync.Mutex
	records []record
	dropped int
	since   time.Time // the first one was dropped
	signal  chan struct{}
}

// put never waits. Without room the entry is dropped: the oldest ones say how it
// began.
func (b *box) put(r record) (kept bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.records) >= maxWaiting {
		if b.dropped == 0 {
			b.since = r.entry.Time
		}
		b.dropped++
		return false
	}
	b.records = append(b.records, r)
	select {
	case b.signal <- struct{}{}:
	default:
	}
	return true
}

// first returns the one to write; when all are written, an entry that says how
// many were dropped.
func (b *box) first() (record, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.records) == 0 && b.dropped > 0 {
		b.records = append(b.records, record{gap(b.dropped, b.since), rand.Text()})
		b.dropped = 0
	}
	if len(b.records) == 0 {
		return record{}, false
	}
	return b.records[0], true
}

func (b *box) pop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records = b.records[1:]
}

// left is how many were not written.
func (b *box) left() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.records) + b.dropped
}

func gap(dropped int, since time.Time) Entry {
	return Entry{Time: time.Now(), Category: "audit", Action: "gap", Data: map[string]any{"dropped": dropped, "since": since.UTC()}}
}

// Put writes an entry of the platform itself, later and without waiting. Two
// entries with the same id, not "", are one, whichever node writes it.
func (l *Log) Put(e Entry, id string) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if id == "" {
		id = rand.Text()
	}
	e.NodeID = l.cfg.Node
	if _, _, err := Encode(e); err != nil { // it could never be written
		l.cfg.Logger.Error("audit entry", "category", e.Category, "action", e.Action, "err", err)
		return
	}
	if !l.box.put(record{e, id}) && l.cfg.OnDrop != nil {
		l.cfg.OnDrop(1)
	}
}

// Run writes what was put, in order, until ctx ends; then it writes what is left
// for a last while, and says what it could not write.
func (l *Log) Run(ctx context.Context, last time.Duration) {
	l.drain(ctx, true)
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), last)
	defer cancel()
	l.drain(ending, false)
	l.stop()
	if n := l.box.left(); n > 0 {
		l.cfg.Logger.Warn("audit entries were not written", "entries", n)
		if l.cfg.OnDrop != nil {
			l.cfg.OnDrop(n)
		}
	}
}

// drain writes until ctx ends, or, if it is not to wait for more, until all is
// written.
func (l *Log) drain(ctx context.Context, wait bool) {
	var noted time.Time
	for ctx.Err() == nil {
		r, ok := l.box.first()
		if !ok {
			if !wait {
				return
			}
			select {
			case <-l.box.signal:
				pause(ctx, calm)
			case <-ctx.Done():
			}
			continue
		}
		err := l.write(ctx, r.entry, r.id)
		if err == nil {
			l.box.pop()
			continue
		}
		if age := time.Since(r.entry.Time); age > lateNote && time.Since(noted) > lateNote && ctx.Err() == nil {
			noted = time.Now()
			l.cfg.Logger.Warn("audit entries wait to be written", "entries", l.box.left(), "oldest", age.Round(time.Second), "err", err)
		}
		pause(ctx, retryWrite)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

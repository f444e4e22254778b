package bus

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

const (
	liveWait  = 250 * time.Millisecond // the live path may be this much later than a read
	feedMost  = 1024                   // changes that wait for a slow reader
	feedBytes = 32 << 20               // the same in bytes of values
)

// Watch calls fn with the current value of each key that matches pattern ("*"
// is one part, a last ">" is all further ones; a key is a pattern too), then
// with an entry OpSynced, and then with each change, in order, until ctx ends;
// then it returns nil. fn runs on the goroutine of Watch.
//
// Nothing is lost silently: when changes were missed (a reconnect, a link that
// broke, a reader more than 1024 changes behind) fn gets an entry OpResync, then
// the current values as at the start, then OpSynced. A loss that no later change
// of the key shows is found by a check each 5 s, after 15 s at the latest. All
// watches of one pattern share one subscription, and one copy of the current
// values in memory.
//
// # Errors
//
// [pluginapi.ErrInvalid] for a bad pattern, ErrRefused when the server denies
// the subscription, ErrClosed after Close of the connection, ErrReplaced when
// the stream was deleted and created again.
func (b *Bucket) Watch(ctx context.Context, pattern string, fn func(Entry)) error {
	err := checkBucketPattern(pattern)
	if err == nil {
		f := newFeed()
		err = b.r.attend(ctx, pattern, f, f.ready, func(w *watcher) {
			for _, e := range w.feed(f) {
				if ctx.Err() != nil {
					return
				}
				e.Value = bytes.Clone(e.Value) // the others have the same
				fn(e)
			}
		})
	}
	return b.wrap("watch", pattern, err)
}

// Entries is Watch into a channel, which is closed when the watch has ended:
// with ctx, with the connection, or with what Watch would return.
func (b *Bucket) Entries(ctx context.Context, pattern string) (<-chan Entry, error) {
	if err := checkBucketPattern(pattern); err != nil {
		return nil, b.wrap("watch", pattern, err)
	}
	out := make(chan Entry)
	c := b.r.s.c
	ok := c.spawn(func() {
		defer close(out)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(c.life, cancel)()
		err := b.Watch(ctx, pattern, func(e Entry) {
			select {
			case out <- e:
			case <-ctx.Done():
			}
		})
		if err != nil && !errors.Is(err, ErrClosed) {
			c.log.Warn("watch ended", "bucket", b.names.Bucket(), "pattern", pattern, "error", err)
		}
	})
	if !ok {
		return nil, b.wrap("watch", pattern, ErrClosed)
	}
	return out, nil
}

// feed is a follower that gets each change. Its fields are guarded by the
// watcher's mutex.
type feed struct {
	need  uint64        // the round of reads that makes up for what is missing
	state feedState     // what the reader gets next
	again bool          // the reader has got values before
	queue []Record      // changes that it has not got yet
	bytes int           // of the values in queue
	ready chan struct{} // holds a token when there is something to take
}

type feedState int

const (
	feedWaits   feedState = iota // nothing, before a read has ended
	feedValues                   // all current values
	feedChanges                  // the queue
)

func newFeed() *feed { return &feed{ready: make(chan struct{}, 1)} }

func (f *feed) push(rec Record) {
	if f.state != feedChanges {
		return // it is among the values
	}
	f.queue = append(f.queue, rec)
	f.bytes += len(rec.Value)
	if len(f.queue) > feedMost || f.bytes > feedBytes {
		f.drop(feedValues)
	}
	signal(f.ready)
}

func (f *feed) drop(next feedState) { f.state, f.queue, f.bytes = next, nil, 0 }

func (f *feed) miss(round uint64) {
	f.need = max(f.need, round)
	f.drop(feedWaits)
}

func (f *feed) whole(round uint64) {
	if f.state == feedWaits && f.need <= round {
		f.state = feedValues
		signal(f.ready)
	}
}

// feed takes what a reader has not got yet.
func (w *watcher) feed(f *feed) []Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Entry
	switch f.state {
	case feedChanges:
		for _, rec := range f.queue {
			out = append(out, rec.entry())
		}
	case feedValues:
		if f.again {
			out = append(out, Entry{Op: OpResync})
		}
		for _, rec := range slices.SortedFunc(maps.Values(w.known), func(a, b Record) int { return cmp.Compare(a.Seq, b.Seq) }) {
			if !rec.deleted {
				out = append(out, rec.entry())
			}
		}
		out = append(out, Entry{Op: OpSynced})
		f.again = true
	case feedWaits:
		return nil
	}
	f.drop(feedChanges)
	return out
}

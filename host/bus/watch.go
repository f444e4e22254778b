package bus

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
)

// Watch calls fn with all records that match pattern, in one call that may be
// empty, and then with each change, in order, until ctx ends; then it returns
// nil. fn runs on the goroutine of Watch. While it runs, changes are gathered,
// only the newest of each key: what is kept is bounded by the number of keys.
// Of one key fn never gets an older sequence than before. fn must not change
// the values it gets; it may keep them.
//
// Changes come at once, without being asked for. Should one get lost (a link
// breaks, a queue overflows) it is found: by the next message of its key, after
// a reconnect, or by a check each 5 s, at the latest after 15 s; the records are
// then read from the stream's leader until that succeeds. So a watcher can be
// late, but does not stay behind. Several watches of one pattern share one
// subscription.
//
// # Errors
//
// [pluginapi.ErrInvalid] for a bad pattern, ErrRefused when the server denies
// the subscription, ErrClosed after Close of the connection, ErrReplaced when
// the stream was deleted and created again.
func (r *Records) Watch(ctx context.Context, pattern string, fn func([]Record)) error {
	if err := checkPattern(pattern); err != nil {
		return fmt.Errorf("watch records: %w", err)
	}
	f := newLatest()
	if err := r.attend(ctx, pattern, f, f.ready, func(w *watcher) {
		if batch, ok := w.take(f); ok {
			fn(batch)
		}
	}); err != nil {
		return fmt.Errorf("watch records %s: %w", pattern, err)
	}
	return nil
}

// attend lets f follow the watcher of a pattern until ctx ends, and calls give
// for each token of ready.
func (r *Records) attend(ctx context.Context, pattern string, f follower, ready <-chan struct{}, give func(*watcher)) error {
	w, err := r.join(pattern)
	if err != nil {
		return err
	}
	defer r.leave(w)
	w.follow(f)
	defer w.unfollow(f)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.done:
			if ctx.Err() != nil {
				return nil
			}
			return w.err
		case <-ready:
			if ctx.Err() != nil {
				return nil
			}
			give(w)
		}
	}
}

// join returns the watcher of a pattern and starts it if it is the first.
func (r *Records) join(pattern string) (*watcher, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.watchers[pattern]
	if w == nil {
		w = newWatcher(r, pattern)
		if !r.s.c.spawn(w.run) {
			w.cancel()
			return nil, ErrClosed
		}
		r.watchers[pattern] = w
	}
	w.users++
	return w, nil
}

// leave ends the watcher with its last user and waits for it.
func (r *Records) leave(w *watcher) {
	r.mu.Lock()
	w.users--
	last := w.users == 0
	if last {
		w.cancel()
		r.forget(w)
	}
	r.mu.Unlock()
	if last {
		<-w.done
	}
}

// forget takes a watcher out of the book, so that the next Watch starts a new
// one. r.mu is held.
func (r *Records) forget(w *watcher) {
	if r.watchers[w.pattern] == w {
		delete(r.watchers, w.pattern)
	}
}

// follower is one Watch of a watcher. Its methods are called with the watcher's
// mutex held.
type follower interface {
	// push brings a change, newer than what came of its key before.
	push(rec Record)
	// miss says that changes may have been missed, or are not known yet: what is
	// known is whole again when a read from round on has ended.
	miss(round uint64)
	// whole says that the read of a round has ended.
	whole(round uint64)
}

// follow enters a follower, and asks for a read: what is known may have missed
// something that its user knows to have happened.
func (w *watcher) follow(f follower) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f.miss(w.round + 1)
	w.followers[f] = struct{}{}
	w.ask(false)
}

// latest is a follower that gets the newest of each key.
type latest struct {
	need    uint64            // the first read that began after it came; 0: not entered yet
	begun   bool              // that read has ended: there is something to give
	given   bool              // fn has got all records
	changed map[string]Record // what fn has not got yet
	ready   chan struct{}     // holds one token when there is something to take
}

func newLatest() *latest {
	return &latest{changed: map[string]Record{}, ready: make(chan struct{}, 1)}
}

func (f *latest) push(rec Record) {
	f.changed[rec.Key] = rec
	if f.begun {
		signal(f.ready)
	}
}

// miss matters at the start only: later the read brings the newest of each key.
func (f *latest) miss(round uint64) {
	if f.need == 0 {
		f.need = round
	}
}

func (f *latest) whole(round uint64) {
	if !f.begun && f.need <= round {
		f.begun = true
		signal(f.ready)
	}
}

func (w *watcher) unfollow(f follower) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.followers, f)
}

// take returns what the follower has not got yet.
func (w *watcher) take(f *latest) ([]Record, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !f.begun {
		return nil, false
	}
	from := f.changed
	if !f.given {
		from = w.known
	} else if len(from) == 0 {
		return nil, false
	}
	f.given = true
	out := slices.SortedFunc(maps.Values(from), func(a, b Record) int { return cmp.Compare(a.Seq, b.Seq) })
	clear(f.changed)
	return out, true
}

// signal leaves a token in a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

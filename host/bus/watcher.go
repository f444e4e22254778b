package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	checkEvery   = 5 * time.Second       // how often a watcher looks whether it has missed something
	verifyEvery  = 15 * time.Second      // how often it does so for every key
	readTimeout  = 2 * time.Second       // bounds one read
	retryWait    = 25 * time.Millisecond // before a failed read is tried again; doubles
	retryWaitMax = time.Second
	calmWait     = 100 * time.Millisecond // all nodes reconnect at once: they read within this time
	catchUpMost  = 64                     // more changes than these are read as a whole list
)

// watcher follows the records of one pattern for all who watch it.
//
// The live path is the subscription to what the stream publishes again. It may
// lose messages. Each message names the sequence that its key had before, which
// shows a loss; what that cannot show (the last change of a key was lost) is
// found by reading, on the goroutine of run. Who watches all keys gets every
// sequence of the stream: while none is missing there is nothing to read.
type watcher struct {
	r       *Records
	pattern string
	ctx     context.Context // ends with the last user, or the connection
	cancel  context.CancelFunc
	done    chan struct{}
	err     error // why it ended; set before done is closed
	users   int   // guarded by r.mu

	mu        sync.Mutex
	known     map[string]Record // the newest of each key
	newest    uint64            // the highest sequence in known
	loaded    bool              // known was complete once
	round     uint64            // reads begun
	calm      bool              // the next read need not be at once
	liveFrom  uint64            // the live path has brought every sequence from here
	liveTo    uint64            // to here
	dropped   int               // messages that nats.go threw away because receive was slow
	followers map[follower]struct{}
	wake      chan struct{} // holds a token when a read is wanted

	// Used by run only. Every matching record with a sequence up to verified has
	// been seen, or a newer one of its key.
	verified   uint64
	verifiedAt time.Time
	lastSeq    uint64 // of the stream, at the last check that found nothing amiss
}

func newWatcher(r *Records, pattern string) *watcher {
	w := &watcher{
		r: r, pattern: pattern, done: make(chan struct{}),
		known: map[string]Record{}, followers: map[follower]struct{}{}, wake: make(chan struct{}, 1),
	}
	w.ctx, w.cancel = context.WithCancel(r.s.c.life)
	return w
}

// run is the watcher's goroutine.
func (w *watcher) run() {
	defer close(w.done)
	defer w.cancel()
	w.err = w.loop()
	w.r.mu.Lock()
	w.r.forget(w)
	w.r.mu.Unlock()
}

func (w *watcher) loop() error {
	c := w.r.s.c
	sub, err := c.subscribe(w.r.cfg.Republish+"."+w.pattern, "", w.receive)
	if err != nil {
		return err
	}
	defer sub.cancel()
	defer c.OnState(func(connected bool) {
		if connected {
			w.mu.Lock()
			w.ask(true)
			w.mu.Unlock()
		}
	})()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(checkEvery*3/4 + rand.N(checkEvery/2))
		select {
		case <-w.ctx.Done():
			return ErrClosed
		case <-w.wake:
			err = w.settle()
		case <-timer.C:
			err = w.check()
		}
		if errors.Is(err, ErrReplaced) {
			return err
		}
	}
}

// ask asks for a read. calm means that it may wait a little; nobody makes a
// read later that another wants now. w.mu is held.
func (w *watcher) ask(calm bool) {
	w.calm = calm && (w.calm || len(w.wake) == 0)
	signal(w.wake)
}

// receive takes one message of the live path. Anybody with the right to publish
// on its subject can have sent it, so only what is well-formed counts.
func (w *watcher) receive(m *nats.Msg) {
	rec, before, ok := w.parse(m)
	dropped, _ := m.Sub.Dropped() // what is dropped is dropped behind a message that we get
	w.mu.Lock()
	defer w.mu.Unlock()
	if dropped > w.dropped {
		w.dropped = dropped
		w.miss()
	}
	if !ok {
		w.r.s.c.log.Warn("message is not a record", "subject", m.Subject)
		return
	}
	w.arrived(rec.Seq)
	seen := w.known[rec.Key].Seq
	if rec.Seq <= seen {
		return
	}
	w.put(rec)
	if w.loaded && before != seen {
		w.miss()
	}
}

// arrived counts a message of the live path: it continues those before it, or
// begins anew after a gap. w.mu is held.
func (w *watcher) arrived(seq uint64) {
	switch {
	case seq == w.liveTo+1:
		w.liveTo = seq
	case seq < w.liveFrom || seq > w.liveTo:
		w.liveFrom, w.liveTo = seq, seq
	}
}

// complete reports whether everything up to the stream's last sequence was seen:
// by the reads, and by the live path where it goes on from there without a gap.
func (w *watcher) complete(last uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.liveFrom <= w.verified+1 {
		w.verified = max(w.verified, w.liveTo)
	}
	return w.loaded && last <= w.verified
}

// miss tells the followers that something was lost, and asks for a read. w.mu is
// held.
func (w *watcher) miss() {
	for f := range w.followers {
		f.miss(w.round + 1)
	}
	w.ask(false)
}

func (w *watcher) parse(m *nats.Msg) (rec Record, before uint64, ok bool) {
	key, ok := strings.CutPrefix(m.Subject, w.r.cfg.Republish+".")
	seq, err1 := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 63)
	before, err2 := strconv.ParseUint(m.Header.Get("Nats-Last-Sequence"), 10, 63)
	ok = ok && err1 == nil && err2 == nil && seq > before && w.r.kind.checkKey(key) == nil &&
		m.Header.Get("Nats-Stream") == w.r.cfg.Stream &&
		m.Header.Get("Nats-Subject") == w.r.cfg.Subject+"."+key
	at, _ := time.Parse(time.RFC3339Nano, m.Header.Get("Nats-Time-Stamp")) // for show only
	return Record{Key: key, Seq: seq, Value: m.Data, deleted: deletes(m.Header), time: at}, before, ok
}

// put enters a record if it is newer than what is known. w.mu is held.
func (w *watcher) put(rec Record) {
	if rec.Seq <= w.known[rec.Key].Seq {
		return
	}
	w.known[rec.Key] = rec
	w.newest = max(w.newest, rec.Seq)
	for f := range w.followers {
		f.push(rec)
	}
}

// settle reads until it succeeds or the watcher ends.
func (w *watcher) settle() error {
	wait := retryWait
	for failures := 0; ; failures++ {
		w.mu.Lock()
		calm := w.calm
		w.calm = false
		w.mu.Unlock()
		if calm && !pause(w.ctx, 0, calmWait) {
			return w.ctx.Err()
		}
		err := w.read()
		if err == nil || errors.Is(err, ErrReplaced) || w.ctx.Err() != nil {
			return err
		}
		if failures == 5 {
			w.r.s.c.log.Warn("records cannot be read, trying on", "stream", w.r.cfg.Stream, "pattern", w.pattern, "error", err)
		}
		timer := time.NewTimer(wait + rand.N(wait))
		select {
		case <-w.ctx.Done():
		case <-w.wake: // the connection is back, or somebody new waits
		case <-timer.C:
		}
		timer.Stop()
		wait = min(2*wait, retryWaitMax)
	}
}

// read brings known up to date and serves the followers that wait for it.
func (w *watcher) read() error {
	ctx, cancel := context.WithTimeout(w.ctx, readTimeout)
	defer cancel()
	w.mu.Lock()
	w.round++
	round := w.round
	w.mu.Unlock()
	in, err := w.r.info(ctx)
	if err != nil {
		return err
	}
	var found []Record
	if !w.complete(in.State.LastSeq) {
		if found, err = w.fetch(ctx); err != nil {
			return err
		}
	}
	lost := w.lost(found)
	w.lastSeq, w.verifiedAt = in.State.LastSeq, time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if lost {
		for f := range w.followers {
			f.miss(round)
		}
	}
	for _, rec := range found {
		w.verified = max(w.verified, rec.Seq)
		w.put(rec)
	}
	w.loaded = true
	for f := range w.followers {
		f.whole(round)
	}
	return nil
}

// lostTries is how often a read looks whether the live path has brought what it
// found.
const lostTries = 10

// lost says whether the live path has missed something that a read has found:
// it may only be a little later. Where only the newest counts, nobody asks.
func (w *watcher) lost(found []Record) bool {
	if w.r.kind.exact == 0 || !w.loaded {
		return false
	}
	for range lostTries {
		if !w.behind(found) {
			return false
		}
		pause(w.ctx, w.r.kind.exact/lostTries, 0)
	}
	return w.behind(found)
}

func (w *watcher) behind(found []Record) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rec := range found {
		if rec.Seq > w.known[rec.Key].Seq {
			return true
		}
	}
	return false
}

// fetch reads what may have changed since the last read.
func (w *watcher) fetch(ctx context.Context) ([]Record, error) {
	if !wild(w.pattern) {
		rec, err := w.r.get(ctx, w.pattern)
		if err != nil || rec.Seq == 0 {
			return nil, err
		}
		return []Record{rec}, nil
	}
	if w.loaded { // written by this goroutine only
		if found, done, err := w.catchUp(ctx); err != nil || done {
			return found, err
		}
	}
	found, _, err := w.r.list(w.ctx, w.pattern)
	return found, err
}

// catchUp walks over the records that were stored after verified. A key that
// changes meanwhile moves to the end, ahead of the walk, so nothing slips
// through, whatever server answers each step. done is false when there are too
// many.
func (w *watcher) catchUp(ctx context.Context) (found []Record, done bool, err error) {
	seq := w.verified
	for range catchUpMost {
		m, err := w.r.s.next(ctx, w.r.cfg.Subject+"."+w.pattern, seq+1)
		if err != nil || m.Seq == 0 {
			return found, err == nil, err
		}
		if rec, ok := w.r.record(m); ok {
			found = append(found, rec)
		}
		seq = m.Seq
	}
	return nil, false, nil
}

// check looks whether something was missed, with one or two small requests when
// nothing was.
func (w *watcher) check() error {
	ctx, cancel := context.WithTimeout(w.ctx, readTimeout)
	defer cancel()
	in, err := w.r.info(ctx)
	if errors.Is(err, ErrReplaced) {
		return err
	}
	if err == nil && w.complete(in.State.LastSeq) {
		w.lastSeq, w.verifiedAt = in.State.LastSeq, time.Now()
		return nil
	}
	if time.Since(w.verifiedAt) >= verifyEvery {
		return w.settle()
	}
	if err == nil && in.State.LastSeq == w.lastSeq {
		return nil
	}
	if err == nil && wild(w.pattern) {
		w.mu.Lock()
		newest := w.newest
		w.mu.Unlock()
		var m stored
		if m, err = w.r.s.next(ctx, w.r.cfg.Subject+"."+w.pattern, newest+1); err == nil && m.Seq == 0 {
			w.lastSeq = in.State.LastSeq
			return nil
		}
	}
	if err != nil {
		w.r.s.c.log.Debug("check of a watch", "pattern", w.pattern, "error", fmt.Sprint(err))
	}
	return w.settle()
}

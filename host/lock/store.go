package lock

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/core/lock"
)

// Pauses before something is tried again. Each is made longer by up to its own
// length, so that many do not try at the same moment.
const (
	crowdPause   = 2 * time.Millisecond // another write of the record is on its way
	oldNewsPause = 100 * time.Millisecond
	refusedPause = 15 * time.Millisecond
	readPause    = 10 * time.Millisecond // doubles
	readPauseMax = 500 * time.Millisecond
	watchPause   = 500 * time.Millisecond
)

// write does one compare-and-set and tells the machine what became of it.
func (s *slot) write(w lock.Write) {
	ctx, cancel := context.WithTimeout(s.k.life, s.k.cfg.Timeout)
	defer cancel()
	seq, err := s.records.CAS(ctx, s.name.String(), w.After, w.Record.Encode())
	switch {
	case err == nil:
		s.step(lock.Stored{Seq: seq})
		return
	case errors.Is(err, bus.ErrConflict) && s.hears(w.After):
		s.step(lock.Beaten{})
		return
	case errors.Is(err, bus.ErrConflict):
		s.find(w.After+1, true) // unless the record has moved on, a conflict proves nothing
		return
	}
	s.k.cfg.Logger.Debug("write lock", "lock", s.name.String(), "err", err)
	if pause(s.k.life, refusedPause) {
		s.find(0, !errors.Is(err, bus.ErrRefused))
	}
}

// hears waits a moment for the watch to tell of a change after the sequence old. It
// does not wait when there is no watch.
func (s *slot) hears(old uint64) bool {
	s.mu.Lock()
	heard, watched, news := s.machine.Seq() > old, s.stop != nil, make(chan struct{})
	s.news = news
	s.mu.Unlock()
	if heard || !watched {
		return heard
	}
	t := time.NewTimer(crowdPause)
	defer t.Stop()
	select {
	case <-news:
	case <-t.C:
	case <-s.k.life.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.machine.Seq() > old
}

// find reads the record until that succeeds, and tells the machine. A record with
// a lower sequence than least is about to change, or is old news: it is read once
// more.
func (s *slot) find(least uint64, maybe bool) {
	for wait := readPause; ; wait = min(2*wait, readPauseMax) {
		rec, err := s.read()
		if err == nil && rec.Seq >= least {
			s.found(rec, maybe)
			return
		}
		again := wait
		switch {
		case err != nil:
			s.k.cfg.Logger.Debug("read lock", "lock", s.name.String(), "err", err)
		case rec.Seq+1 == least:
			least, again = 0, crowdPause
		default:
			least, again = 0, oldNewsPause
		}
		if !pause(s.k.life, again) {
			return
		}
	}
}

func (s *slot) read() (bus.Record, error) {
	ctx, cancel := context.WithTimeout(s.k.life, s.k.cfg.Timeout)
	defer cancel()
	return s.records.Get(ctx, s.name.String())
}

func (s *slot) found(rec bus.Record, maybe bool) {
	seen, err := decode(rec)
	if err != nil {
		s.step(lock.Unreadable{Err: err})
		return
	}
	s.step(lock.Found{Seen: seen, Maybe: maybe})
}

func decode(rec bus.Record) (lock.Seen, error) {
	if rec.Seq == 0 {
		return lock.Seen{}, nil
	}
	r, err := lock.Decode(rec.Key, rec.Value)
	return lock.Seen{Seq: rec.Seq, Record: r}, err
}

// watch tells the machine each change of the record. It is begun again until ctx
// ends: the connection may be away.
func (s *slot) watch(ctx context.Context) {
	for {
		err := s.records.Watch(ctx, s.name.String(), func(recs []bus.Record) {
			for _, rec := range recs {
				// What cannot be read is found again by who wants the lock, and told.
				if seen, err := decode(rec); err == nil {
					s.step(seen)
				}
			}
		})
		if ctx.Err() != nil {
			return
		}
		s.k.cfg.Logger.Warn("watch lock", "lock", s.name.String(), "err", err)
		if !pause(ctx, watchPause) {
			return
		}
	}
}

// pause waits for d and up to as long again. It is false when ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d + rand.N(d))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

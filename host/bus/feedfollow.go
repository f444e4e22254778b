package bus

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

const (
	feedRoom = 256             // messages that wait; more are read again from the stream
	feedLook = 5 * time.Second // between two looks for what was missed while nothing came
)

// feedReader reads a feed: what is published again as it is stored, and from the
// stream what was missed of that.
type feedReader struct {
	f    *Feed
	fn   func(FeedMessage)
	next uint64 // what comes next
	in   chan Message
}

// Follow hands on the messages from seq on, each once and in order, until ctx
// ends; messages that somebody else has written are left out. Each comes as soon
// as it is stored. What is missed, because a connection or a server was lost, is
// read when the next one comes, and every 5 s.
//
// # Errors
//
// ErrClosed when the connection was closed; ErrRefused when it may not listen.
func (f *Feed) Follow(ctx context.Context, seq uint64, fn func(FeedMessage)) error {
	w := &feedReader{f: f, fn: fn, next: max(1, seq), in: make(chan Message, feedRoom)}
	cancel, err := f.s.c.Subscribe(f.cfg.Republish+".*", "", func(m Message) {
		select {
		case w.in <- m:
		default: // it is read from the stream
		}
	})
	if err != nil {
		return fmt.Errorf("follow feed %s: %w", f.cfg.Stream, err)
	}
	defer cancel()
	look := time.NewTimer(0)
	defer look.Stop()
	for ctx.Err() == nil {
		select {
		case m := <-w.in:
			w.heard(ctx, m)
		case <-look.C:
			w.catchUp(ctx, 0)
			look.Reset(feedLook)
		case <-ctx.Done():
		case <-f.s.c.life.Done():
			return fmt.Errorf("follow feed %s: %w", f.cfg.Stream, ErrClosed)
		}
	}
	return nil
}

// heard takes a message that was published again.
func (w *feedReader) heard(ctx context.Context, m Message) {
	if m.Header.Get("Nats-Stream") != w.f.cfg.Stream {
		return
	}
	seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	switch {
	case err != nil || seq < w.next:
	case seq == w.next:
		w.tell(stored{Subject: m.Header.Get("Nats-Subject"), Seq: seq, Data: m.Data})
	default:
		w.catchUp(ctx, seq)
	}
}

// catchUp reads what the stream has, up to the message at least, if there is
// one. It tries until ctx ends when that is known to be there.
func (w *feedReader) catchUp(ctx context.Context, least uint64) {
	for try := feedTry; ctx.Err() == nil; try = min(2*try, kvReadTry) {
		for {
			asked, cancel := context.WithTimeout(ctx, try)
			m, err := w.f.s.next(asked, w.f.cfg.Subject+".*", w.next)
			cancel()
			if err != nil {
				w.f.s.c.log.Debug("follow feed", "stream", w.f.cfg.Stream, "error", err)
				break
			}
			if m.Seq == 0 {
				if w.next > least {
					return
				}
				break // it was told of, and this server does not have it yet
			}
			try = max(try, time.Second)
			w.tell(m)
		}
		if least == 0 && try >= kvReadTry || !pause(ctx, kvRetry, kvRetryMax) {
			return
		}
	}
}

// tell hands a message on.
func (w *feedReader) tell(m stored) {
	w.next = m.Seq + 1
	out := FeedMessage{Seq: m.Seq, Data: m.Data}
	if m.Subject == w.f.cfg.epoch() {
		var err error
		if out.Epoch, err = highestEpoch(m); err != nil {
			w.f.s.c.log.Warn("message of a feed", "stream", w.f.cfg.Stream, "error", err)
			return
		}
	}
	w.fn(out)
}

package rpc

import (
	"container/list"
	"time"
)

// Bounds of what is remembered of calls that may be repeated.
const (
	windowSpan    = 2 * time.Minute
	windowCalls   = 16384
	windowBytes   = 8 << 20
	windowAnswer  = 4 << 10 // the largest answer that is kept
	windowPerCall = 256     // what a call without an answer is counted as
)

// Window remembers calls that may be repeated, so that none is run twice. It is
// bounded in time, number and bytes. What it has forgotten it knows: a
// repetition of a call that may have been there is told from one that cannot.
type Window struct {
	calls   map[string]*memory
	order   *list.List // of *memory, by arrival
	bytes   int
	horizon time.Time // what arrived until then may be forgotten
}

// memory is one call.
type memory struct {
	key  string
	at   time.Time
	run  *run // while it runs
	head Header
	body []byte
	cut  int // bytes of an answer that was too large to be kept; 0: it was kept
	elem *list.Element
}

// verdict is what is to be done with a call.
type verdict int

const (
	begin     verdict = iota // it is new
	join                     // it runs
	repeat                   // it was answered
	forgotten                // it may have been run, nobody knows
)

// NewWindow returns an empty window. What arrived before now is not known to
// it.
func NewWindow(now time.Time) *Window {
	return &Window{calls: map[string]*memory{}, order: list.New(), horizon: now}
}

// look says what is to be done with a call that arrives now and was first sent
// age ago; 0 means that this is the first time.
func (w *Window) look(now time.Time, key string, age time.Duration) (verdict, *memory) {
	w.expire(now)
	if m := w.calls[key]; m != nil {
		if m.run != nil {
			return join, m
		}
		return repeat, m
	}
	// Clocks run within a few percent of each other.
	if age > 0 && !now.Add(-age-age/16-10*time.Millisecond).After(w.horizon) {
		return forgotten, nil
	}
	return begin, nil
}

// enter remembers a call that begins.
func (w *Window) enter(now time.Time, key string, r *run) {
	m := &memory{key: key, at: now, run: r}
	m.elem = w.order.PushBack(m)
	w.calls[key] = m
	w.bytes += windowPerCall
	w.expire(now)
}

// finish remembers the answer of a call.
func (w *Window) finish(key string, head Header, body []byte) {
	m := w.calls[key]
	if m == nil {
		return
	}
	m.run = nil
	if len(body) > windowAnswer {
		m.cut = len(body)
		return
	}
	m.head, m.body = head, append([]byte(nil), body...)
	w.bytes += len(body)
}

// expire forgets the oldest calls that do not run any more, until the rest is
// within the bounds.
func (w *Window) expire(now time.Time) {
	for e := w.order.Front(); e != nil; {
		m := e.Value.(*memory)
		if now.Sub(m.at) < windowSpan && len(w.calls) <= windowCalls && w.bytes <= windowBytes {
			return
		}
		e = e.Next()
		if m.run != nil {
			continue
		}
		w.order.Remove(m.elem)
		delete(w.calls, m.key)
		w.bytes -= windowPerCall + len(m.body)
		if m.at.After(w.horizon) {
			w.horizon = m.at
		}
	}
}

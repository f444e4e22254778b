package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// How long is waited for a node that is no member.
const (
	goneGrace  = 250 * time.Millisecond // it was one: its answer may be on the way
	absentWait = 2 * time.Second        // it was none when it was called: for its word that it has begun
)

// errGoneAway is the end of a call to a node that is no member any more.
var errGoneAway = fmt.Errorf("%w: the node is not in the platform any more and has not answered", pluginapi.ErrUnknownOutcome)

// waiting is an attempt that waits for its answer.
type waiting struct {
	to     Address
	probe  bool
	words  chan word
	timer  *time.Timer // of the call's deadline
	early  atomic.Bool // an early word has come
	absent bool        // it is sent to a node that is no member
	node   string      // who has it; "": any, nobody knows. Guarded by the client
	inc    uint64      // of that node; 0: not known yet. Guarded by the client
	gone   bool        // that has been told. Guarded by the client
}

// word is what an attempt is told while it waits.
type word struct {
	kind wordKind
	h    Header
	data []byte
	err  error
}

type wordKind int

const (
	finalWord wordKind = iota // the answer
	takenWord                 // a node has begun
	goneWord                  // the node is no member any more
)

// maxWords is how many words may come while nobody reads: one of each kind.
const maxWords = 3

// Answered implements Asker.
func (w *waiting) Answered(h Header, data []byte, err error) {
	if err == nil && len(h[HeadTaken]) > 0 {
		if w.early.CompareAndSwap(false, true) { // only the first says something
			w.words <- word{kind: takenWord, h: h}
		}
		return
	}
	w.words <- word{h: h, data: data, err: err}
}

// newWaiting returns an attempt that nobody has told anything yet.
func (c *Client) newWaiting(to Address) *waiting {
	w, used := c.spare.Get().(*waiting)
	if !used {
		w = &waiting{words: make(chan word, maxWords), timer: time.NewTimer(time.Hour)}
	}
	w.to, w.node = to, to.Node
	return w
}

// release lets an attempt be used again. It must be out of the book, and what it
// has asked answered or forgotten. One that could be told an early word is not
// used again: that may still be on the way.
func (c *Client) release(w *waiting) {
	w.timer.Stop()
	if w.absent || w.to.Node == "" {
		return
	}
	for len(w.words) > 0 {
		<-w.words
	}
	*w = waiting{words: w.words, timer: w.timer}
	c.spare.Put(w)
}

// await waits for the answer to a question that was sent.
func (c *Client) await(out *outing, w *waiting, ticket uint64) (Header, []byte, error) {
	w.timer.Reset(time.Until(out.until))
	var grace <-chan time.Time
	wait := func(d time.Duration) (stop func() bool) {
		t := time.NewTimer(d)
		grace = t.C
		return t.Stop
	}
	if w.absent {
		defer wait(absentWait)()
	}
	var gone bool
	var err error
	for err == nil {
		select {
		case in := <-w.words:
			switch in.kind {
			case finalWord:
				return in.h, in.data, in.err
			case takenWord:
				if !gone {
					grace = nil
				}
				c.taken(w, in.h)
			case goneWord:
				gone = true
				defer wait(goneGrace)()
			}
		case <-grace:
			err = errGoneAway
		case <-w.timer.C:
			err = fmt.Errorf("%w: %w", pluginapi.ErrUnknownOutcome, pluginapi.ErrTimeout)
		case <-out.Context.Done():
			err = fmt.Errorf("%w: %w", pluginapi.ErrUnknownOutcome, ended(out.Context))
		case <-c.closing:
			err = fmt.Errorf("%w: %w", pluginapi.ErrUnknownOutcome, context.Canceled)
		}
	}
	if c.cfg.Bus.Forget(ticket) {
		return nil, nil, err
	}
	for { // it came in the same moment
		if in := <-w.words; in.kind == finalWord {
			return in.h, in.data, in.err
		}
	}
}

// taken takes note of the node that has begun to handle a call to any.
func (c *Client) taken(w *waiting, h Header) {
	r := reader{h: h}
	node := r.name(HeadTaken, "node")
	if r.err != nil {
		return
	}
	inc, _ := c.cfg.Directory.Incarnation(node)
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.node == "" {
		w.node, w.inc = node, inc
	}
}

// absent reports whether a node is known to be no member.
func (c *Client) absent(node string) bool {
	inc, known := c.cfg.Directory.Incarnation(node)
	return known && inc == 0
}

// Review is told that the members may have changed. A call to a node that is no
// member any more, or has begun another life, is not waited for: it ends a
// moment later, as one whose outcome is unknown.
func (c *Client) Review() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.loads {
		for w := range l.out {
			if w.node == "" || w.gone {
				continue
			}
			inc, known := c.cfg.Directory.Incarnation(w.node)
			switch {
			case !known || inc == w.inc:
			case w.inc == 0:
				w.inc = inc
			default:
				w.gone = true
				w.words <- word{kind: goneWord}
			}
		}
	}
}

// send makes one attempt at one node. node is who has taken it, if that is
// known.
func (c *Client) send(ctx context.Context, call *Call, to Address, q Question) (node string, _ []byte, err error) {
	w, err := c.track(to, call.Circuit)
	if err != nil {
		return to.Node, nil, err
	}
	if left, ok := ctx.Deadline(); ok {
		q.Wait = budget(time.Until(left))
	}
	q.Where = to.Node == "" || w.absent
	var h Header
	var data []byte
	var note string
	if q.plain() {
		note = q.note()
	} else {
		h = q.header()
	}
	ticket, err := c.cfg.Bus.Ask(to, h, note, call.Payload, w)
	if err == nil {
		h, data, err = c.await(call.out, w, ticket)
	}
	node = c.untrack(w, call.Circuit, wayOf(err))
	c.release(w)
	if err == nil {
		data, err = readAnswer(to, call.Method, h, data)
		return node, data, err
	}
	unknown := errors.Is(err, pluginapi.ErrUnknownOutcome)
	if unknown && errors.Is(ctx.Err(), context.Canceled) {
		c.giveUp(ctx, Address{to.App, node}, q.ID)
	}
	if errors.Is(err, context.Canceled) && c.isClosed() {
		err = fmt.Errorf("%w: %w", pluginapi.ErrShuttingDown, err)
	}
	if !unknown && !errors.Is(err, pluginapi.ErrUnreachable) && ended(ctx) == nil {
		err = fmt.Errorf("%w: %w", pluginapi.ErrUnreachable, err) // this node is cut off
	}
	return node, nil, fmt.Errorf("call %s of app %s%s: %w", call.Method, to.App, at(node), err)
}

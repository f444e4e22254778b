package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication/wal"
)

// pinWish is a wish for the database as it is after all that was given out.
type pinWish struct {
	ctx   context.Context
	conn  *sql.Conn
	index *wal.Index // of the moment that conn has pinned; nil: not yet
	at    func()
	taken atomic.Bool // by who answers it, or by who does not wait for that any more
	done  chan pinAnswer
}

type pinAnswer struct {
	table *Table // nil with an error; its hashes are not to be read
	err   error
}

// Pin holds the database as it is at a moment, while others write: up to there
// all has been given out, and nothing else. at is called at that moment, by the
// goroutine of Run: no call of Emit is under way. ctx bounds also what is read.
// As long as the pin is open the log of the database grows; it is to be closed
// before the capture is.
//
// # Errors
//
// [pluginapi.ErrShuttingDown] when Run has ended, [pluginapi.ErrBusy] when the
// log was let go of meanwhile.
func (c *Capture) Pin(ctx context.Context, at func()) (*Pinned, error) {
	conn, err := c.d.conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("pin %s: %w", c.d.path, err)
	}
	w := &pinWish{ctx: ctx, conn: conn, at: at, done: make(chan pinAnswer, 1)}
	answer := c.ask(w)
	if answer.err != nil {
		return nil, fmt.Errorf("pin %s: %w", c.d.path, answer.err)
	}
	p := &Pinned{
		pageSize: answer.table.pageSize, pages: answer.table.Pages(), sum: answer.table.sum, next: 1,
		close: func() { rollback(conn); discard(conn) },
	}
	m, err := c.d.momentOf(*w.index, w.index.Backfilled >= w.index.MaxFrame)
	if err == nil && m.pages != p.pages {
		err = fmt.Errorf("%w: %d pages, not %d", errMoved, m.pages, p.pages)
	}
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("pin %s: %w", c.d.path, err)
	}
	buf := make([]byte, p.pageSize)
	p.read = func(number uint32) ([]byte, error) { return buf, errors.Join(ctx.Err(), c.d.read(m, number, buf)) }
	return p, nil
}

// ask hands the wish to Run and waits for the answer. With an error the
// connection is, or will be, closed.
func (c *Capture) ask(w *pinWish) pinAnswer {
	kick := func() {
		select {
		case c.kick <- struct{}{}:
		default:
		}
	}
	kick()
	select {
	case c.pins <- w:
	case <-c.isGiven.end:
		discard(w.conn)
		return pinAnswer{err: pluginapi.ErrShuttingDown}
	case <-w.ctx.Done():
		discard(w.conn)
		return pinAnswer{err: w.ctx.Err()}
	}
	kick()
	select {
	case a := <-w.done:
		return a
	case <-w.ctx.Done():
		if w.taken.Swap(true) {
			return <-w.done
		}
		kick() // Run closes the connection
		return pinAnswer{err: w.ctx.Err()}
	}
}

// wished looks after a wish. It returns one whose moment is pinned, if there is
// one.
func (c *Capture) wished(ctx context.Context) *pinWish {
	if c.wish == nil {
		select {
		case c.wish = <-c.pins:
		default:
			return nil
		}
	}
	w := c.wish
	if err := w.ctx.Err(); err != nil {
		c.endWish(pinAnswer{err: err})
		return nil
	}
	if w.index == nil {
		var err error
		if w.index, err = c.k.pinFor(ctx, w.conn); err != nil {
			c.endWish(pinAnswer{err: err})
			return nil
		}
	}
	c.lastGot = time.Now() // look again soon
	if w.index == nil {
		return nil
	}
	return w
}

// endWish answers the wish. The connection of one that nobody waits for, or that
// has failed, is closed.
func (c *Capture) endWish(a pinAnswer) {
	w := c.wish
	c.wish = nil
	if w == nil {
		return
	}
	taken := w.taken.Swap(true)
	if taken || a.err != nil {
		rollback(w.conn)
		discard(w.conn)
	}
	if taken {
		return
	}
	if a.err == nil {
		w.at()
	}
	w.done <- a
}

// toWish looks how far the moment of a wish is. It returns the index up to which
// is to be read for it, or nil.
func (c *Capture) toWish(w *pinWish) *wal.Index {
	switch c.judge(*w.index) {
	case more:
		return w.index
	case nothing:
		t := Table{pageSize: c.d.pageSize, hashes: c.table.hashes, sum: c.table.sum}
		c.endWish(pinAnswer{table: &t})
	case broken:
		c.endWish(pinAnswer{err: fmt.Errorf("%w: the log was let go of", pluginapi.ErrBusy)})
	}
	return nil
}

// pinForWait is how long writers are waited for, so that none comes in between.
const pinForWait = 20 * time.Millisecond

// pinFor pins the present moment on a connection, for a reader. It returns nil
// when that cannot be now.
func (k *keeper) pinFor(ctx context.Context, c *sql.Conn) (*wal.Index, error) {
	if !k.mu.TryLock() {
		return nil, nil // a round, which may wait for who calls this
	}
	defer k.mu.Unlock()
	if k.d.lock(ctx, byteWrite, pinForWait) == nil {
		defer k.d.shm.unlock(byteWrite)
	}
	return k.pinBetween(ctx, c)
}

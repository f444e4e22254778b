package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication/page"
)

// mostFailures in a row end a capture: the database cannot be read.
const mostFailures = 50

// resync gives out the difference between the database as it is now and what
// was given out before, and reads on from there. A failure that may pass is
// tried again, by the next step.
func (c *Capture) resync(ctx context.Context) error {
	err := c.compare(ctx)
	switch {
	case err == nil:
		c.failed = 0
		return nil
	case c.fatal(err), c.failed >= mostFailures, c.at.PageSize == 0 && errors.Is(err, pluginapi.ErrBusy):
		return err // the last: at the start another one has the lock
	}
	c.failed++
	c.o.Logger.Warn("compare pages", "database", c.d.path, "error", err)
	c.k.letGo()
	select {
	case <-ctx.Done():
	case <-time.After(min(time.Second, time.Duration(c.failed*c.failed)*time.Millisecond)):
	}
	return nil
}

func (c *Capture) compare(ctx context.Context) error {
	m, err := c.k.attach(ctx)
	if err != nil {
		return err
	}
	c.k.raised.Store(int64(m.pages) * int64(c.d.pageSize))
	defer c.k.raised.Store(0)
	now, err := c.d.scan(ctx, m)
	if err != nil {
		return err
	}
	if err := c.giveDifference(ctx, m, now); err != nil {
		return err
	}
	c.table = now
	c.at, c.change, c.bad = m.index.End(), m.index.Change, 0
	c.at.PageSize = c.d.pageSize
	return nil
}

// giveDifference gives out the pages of a moment that are not those of the
// table, as one change.
func (c *Capture) giveDifference(ctx context.Context, m moment, now *Table) error {
	var numbers []uint32
	for i, h := range now.hashes {
		if h != 0 && (h != c.table.hash(uint32(i+1)) || now.pageSize != c.table.pageSize) {
			numbers = append(numbers, uint32(i+1))
		}
	}
	ch := Change{PageSize: c.d.pageSize, Commit: m.pages, TX: 1, Pre: c.table.Sum(), Post: now.Sum()}
	before := c.stats.changes.Load()
	err := c.give(ctx, ch, numbers, func(n uint32, buf []byte) ([]byte, error) {
		if err := c.d.read(m, n, buf); err != nil {
			return nil, fmt.Errorf("%w: %w", errMoved, err)
		}
		if page.Hash(page.Page{Number: n, Data: buf}) != now.hash(n) {
			return nil, fmt.Errorf("%w: page %d", errMoved, n)
		}
		return buf, nil
	})
	c.stats.differences.Add(c.stats.changes.Load() - before)
	return err
}

// emitError is what the consumer returned.
type emitError struct{ error }

func (e emitError) Unwrap() error { return e.error }

// fatal is an error that a new look at the database cannot mend.
func (c *Capture) fatal(err error) bool {
	var e emitError
	return errors.As(err, &e) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

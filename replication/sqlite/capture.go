package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication/wal"
)

// Emit is given each change, in order. What it returns as an error ends the
// capture. While it has not returned nothing else is read: it is the brake of
// the capture.
type Emit func(ctx context.Context, c Change) error

// Capture takes the changes out of a database that others write. Make it with
// OpenCapture, call Run once, then Close.
type Capture struct {
	d       *database
	o       CaptureOptions
	k       *keeper
	w       *waker
	kick    chan struct{}
	isRead  *waiters // until it is read
	isGiven *waiters // until it is given out
	pins    chan *pinWish
	stats   counters
	ran     atomic.Bool

	// The rest is Run's own.
	emit    Emit
	table   *Table       // of what was given out
	at      wal.Position // read up to there
	change  uint32       // the index's count of changes there
	reader  *wal.Reader
	batch   batch
	out     []byte // of pages that are not in memory
	wish    *pinWish
	reading []chan struct{}
	giving  []chan struct{}
	bad     int       // times in a row that the log did not follow
	failed  int       // times in a row that the pages could not be compared
	invalid time.Time // since when the index is not valid; zero: it is
	lastGot time.Time
	checked time.Time // when the files were last looked for
}

// OpenCapture opens the database at path, which must be there. It is refused
// with ErrNotDatabase or ErrNotWAL, on a network file system, and where the
// program that owns it has locked it for good.
func OpenCapture(ctx context.Context, path string, o CaptureOptions) (*Capture, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	d, err := open(ctx, path, o.Convert, "wal_autocheckpoint(0)", "synchronous(normal)")
	if err != nil {
		return nil, err
	}
	c := &Capture{d: d, o: o, kick: make(chan struct{}, 1), pins: make(chan *pinWish)}
	c.isRead, c.isGiven = newWaiters(c.kick), newWaiters(c.kick)
	if c.k, err = newKeeper(ctx, d, o, c.isRead, &c.stats); err == nil {
		c.w, err = newWaker(d.log.path)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("open database %s: %w", d.path, err)
	}
	return c, nil
}

// Close lets go of the database. Run must have returned.
func (c *Capture) Close() {
	if c.w != nil {
		c.w.close()
	}
	if c.k != nil {
		c.k.close()
	}
	c.d.close()
}

// Run captures until ctx ends, and returns its error then. given is the table
// of what the receiver of the changes has; nil: it has nothing. It is Run's from
// now on. The first change is the difference to it, if there is one: what was
// written before Run began is found too, so that the owner of the database need
// not wait for it.
//
// It also returns when emit fails, and with ErrReplaced when the database's
// files are others.
func (c *Capture) Run(ctx context.Context, given *Table, emit Emit) error {
	if c.ran.Swap(true) {
		return fmt.Errorf("%w: capture of %s has run already: open another one", pluginapi.ErrInvalid, c.d.path)
	}
	if given == nil {
		given = &Table{}
	}
	c.table, c.emit, c.reader = given, emit, wal.NewReader(c.d.log, wal.Position{PageSize: c.d.pageSize})
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { c.k.run(ctx) })
	err := c.loop(ctx)
	c.isRead.close()
	c.isGiven.close()
	c.endWish(pinAnswer{err: pluginapi.ErrShuttingDown})
	cancel()
	wg.Wait()
	c.k.letGo()
	c.w.disarm()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("capture %s: %w", c.d.path, err)
	}
	return err
}

// Table is the hashes of what was given out. It is for use after Run has
// returned, and while Run is in Emit with part 0 of a change: then it is what
// was before that.
func (c *Capture) Table() *Table { return c.table }

// Sync waits until every transaction that was committed before the call has
// been given out, and emit has returned.
func (c *Capture) Sync(ctx context.Context) error {
	switch {
	case c.isGiven.wait(ctx):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return pluginapi.ErrShuttingDown
}

// Stats returns what was done up to now. It is not for use after Close.
func (c *Capture) Stats() CaptureStats {
	s := c.stats.stats()
	s.Unsafe = c.k.needReset.Load()
	if x, err := c.d.index(); err == nil {
		frame := int64(wal.FrameHeaderSize + c.d.pageSize)
		s.LogBytes, s.UnreadBytes = int64(x.MaxFrame)*frame, int64(c.k.unread(x))*frame
	}
	return s
}

// Times of the loop.
const (
	busyPoll    = time.Millisecond       // between two looks at the index
	busyTime    = 100 * time.Millisecond // how long nothing comes until only writes wake it
	armTime     = 3 * time.Millisecond   // how long nothing comes until writes wake it as well
	wokenTime   = time.Millisecond       // from a write to the commit that it belongs to, mostly
	wokenNap    = 50 * time.Microsecond  // between two looks then
	restPoll    = time.Second            // at rest, between two looks at everything
	invalidTime = 20 * time.Millisecond  // for a writer to finish the index
	checkTime   = time.Second
)

func (c *Capture) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	c.toil()
	var woken time.Time // by a write
	armed := false
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		now := time.Now()
		if now.Sub(c.checked) >= checkTime {
			c.checked = now
			if err := c.d.inPlace(); err != nil {
				return err
			}
		}
		got, err := c.step(ctx)
		quiet := now.Sub(c.lastGot)
		switch {
		case err != nil:
			return err
		case got:
			c.lastGot, woken = time.Now(), time.Time{}
			if armed && quiet < armTime { // it looks often enough, and writers pay for being watched
				armed = false
				c.w.disarm()
			}
		case !armed && quiet >= armTime: // and look once more: a write may have been before
			if err := c.w.arm(); err != nil {
				return cmp.Or(c.d.inPlace(), err)
			}
			armed = true
		case now.Sub(woken) < wokenTime:
			nap(wokenNap) // the index is memory that a program of others writes: nothing tells of it
		default:
			if c.wait(ctx, timer, min(quiet, now.Sub(woken)) < busyTime) {
				woken = time.Now()
			}
		}
	}
}

// wait waits for a write, a wish to know that there was none, or the time to
// look at the index. It says whether something was written.
func (c *Capture) wait(ctx context.Context, timer *time.Timer, busy bool) bool {
	poll := busyPoll
	if !busy {
		poll = restPoll
		c.k.busy.Store(false)
	}
	timer.Reset(poll)
	select {
	case <-ctx.Done():
	case <-c.kick:
	case <-timer.C:
		if !busy {
			c.k.wake()
		}
	case <-c.w.c:
		return true
	}
	return false
}

// toil lets the keeper look after the log now and then: the tail is not at rest.
func (c *Capture) toil() {
	if !c.k.busy.Swap(true) {
		c.k.wake()
	}
}

// step reads what is new and gives it out. It says whether there may be more.
func (c *Capture) step(ctx context.Context) (got bool, err error) {
	c.reading = append(c.reading, c.isRead.take()...)
	c.giving = append(c.giving, c.isGiven.take()...)
	if !c.k.holding.Load() {
		c.toil()
		return true, c.resync(ctx)
	}
	c.stats.looks.Add(1)
	x, err := c.d.index()
	if err != nil {
		return false, c.recover(ctx)
	}
	c.invalid = time.Time{}
	present := true
	if w := c.wished(ctx); w != nil {
		if to := c.toWish(w); to != nil {
			x, present = *to, false
		}
	}
	verdict := c.judge(x)
	if verdict == nothing {
		release(&c.reading)
		release(&c.giving)
		return false, nil
	}
	c.toil()
	if verdict == broken {
		c.o.Logger.Info("history of the log changed: comparing all pages", "database", c.d.path)
		return true, c.resync(ctx)
	}
	err = c.follow(ctx, x, present)
	switch {
	case err == nil:
		c.change, c.bad = x.Change, 0
		return true, nil
	case errors.Is(err, errMoved) || !c.k.holding.Load() && !c.fatal(err):
		c.k.letGo()
		return true, nil
	case errors.Is(err, wal.ErrChain), errors.Is(err, wal.ErrEnd), errors.Is(err, wal.ErrHeader):
		c.bad++
		c.lastGot = time.Now() // look again soon
		return false, nil
	}
	return false, err
}

// release ends the waiting of who waited when the index was read.
func release(list *[]chan struct{}) {
	for _, w := range *list {
		close(w)
	}
	*list = (*list)[:0]
}

// recover waits for a writer that is at work on the index, and has the index
// built again if that writer is gone.
func (c *Capture) recover(ctx context.Context) error {
	now := time.Now()
	c.lastGot = now // look again soon
	if c.invalid.IsZero() {
		c.invalid = now
	}
	if now.Sub(c.invalid) < invalidTime {
		return nil
	}
	c.invalid = time.Time{}
	c.o.Logger.Warn("index of the log is not valid, its writer is gone: building it again", "database", c.d.path)
	if err := c.k.recover(ctx); err != nil && ctx.Err() == nil {
		c.o.Logger.Warn("recover", "database", c.d.path, "error", err)
	}
	return nil
}

// What the index can say against what was read.
const (
	nothing = iota // nothing new
	more           // frames follow
	broken         // it does not follow from what was read
)

func (c *Capture) judge(x wal.Index) int {
	switch {
	case x.Change < c.change:
		return broken // the index was built again
	case x.Salt != c.at.Salt && x.MaxFrame == 0:
		return nothing
	case x.Salt != c.at.Salt:
		if s := c.k.restart.Load(); s == nil || *s != c.at.Salt {
			return broken // the log began anew without our leave
		}
		return more
	case x.MaxFrame > c.at.Frame:
		return more
	case x.MaxFrame < c.at.Frame, x.MaxFrame > 0 && x.Sum != c.at.Sum:
		return broken
	}
	return nothing
}

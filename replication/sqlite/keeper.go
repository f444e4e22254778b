package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ozanturksever/go-cluster/replication/wal"
)

// keeper holds the pins and the lock of checkpoints, and does the checkpoints.
// It works beside the tail, so that reading goes on while the disk is busy; the
// tail may also be stuck in its consumer.
type keeper struct {
	d     *database
	o     CaptureOptions
	tail  *waiters // for what the tail has read
	stats *counters
	kick  chan struct{}

	mu    sync.Mutex // one round, attachment or recovery at a time
	pin   *sql.Conn  // with the read transaction that stands now
	spare *sql.Conn
	work  *sql.Conn // for checkpoints and recoveries
	own   bool      // byteCheckpoint is locked

	round      atomic.Pointer[context.CancelFunc] // ends the round that is under way
	holding    atomic.Bool                        // pinned without a gap since the last attach
	busy       atomic.Bool                        // the tail is not at rest
	raised     atomic.Int64                       // a ceiling for the time of a difference, in bytes
	needReset  atomic.Bool                        // frames that no recovery would take are in the log
	restart    atomic.Pointer[wal.Salt]           // the life of the log that may end: all of it is in the file and was read
	read       atomic.Pointer[wal.Position]       // how far the tail has read
	lastRound  wal.Position
	lastChange wal.Position // what the index said when it last changed
	changedAt  time.Time
	notBefore  time.Time // no round before
}

func newKeeper(ctx context.Context, d *database, o CaptureOptions, tail *waiters, stats *counters) (*keeper, error) {
	k := &keeper{d: d, o: o, tail: tail, stats: stats, kick: make(chan struct{}, 1)}
	for _, c := range []**sql.Conn{&k.pin, &k.spare, &k.work} {
		var err error
		if *c, err = d.conn(ctx); err != nil {
			return nil, fmt.Errorf("open connection: %w", err)
		}
	}
	return k, nil
}

// close ends what newKeeper and attach began.
func (k *keeper) close() {
	k.letGo()
	for _, c := range []*sql.Conn{k.pin, k.spare, k.work} {
		discard(c)
	}
}

// letGo gives up the pins and the lock. Whatever happens to the log from now
// on, the next attach finds the difference.
func (k *keeper) letGo() {
	k.interrupt()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drop()
}

func (k *keeper) drop() {
	k.holding.Store(false)
	k.restart.Store(nil)
	rollback(k.pin)
	rollback(k.spare)
	k.disown()
}

func (k *keeper) interrupt() {
	if cancel := k.round.Load(); cancel != nil {
		(*cancel)()
	}
}

// Times that a lock of others is waited for.
const (
	ownWait      = 5 * time.Second // other checkpoints, at the start
	attachWait   = time.Second     // other writers, at the start
	ownAgainWait = 20 * time.Millisecond
	sealWait     = 500 * time.Millisecond
	readWait     = 5 * time.Second       // for the tail, writers running
	sealedWait   = 50 * time.Millisecond // for the tail, writers held off
)

// attach pins the present moment and returns it. The pins of before are given
// up.
func (k *keeper) attach(ctx context.Context) (moment, error) {
	k.interrupt()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drop()
	if err := k.d.lock(ctx, byteCheckpoint, ownWait); err != nil {
		return moment{}, fmt.Errorf("take lock of checkpoints, which another program has (is the database replicated twice?): %w", err)
	}
	k.own = true
	x, err := k.pinNow(ctx)
	if err != nil {
		k.drop()
		return moment{}, fmt.Errorf("pin: %w", err)
	}
	inFile := x.Backfilled >= x.MaxFrame
	if inFile {
		k.restart.Store(&x.Salt)
	}
	m, err := k.d.momentOf(x, inFile)
	if err != nil {
		k.drop()
		return moment{}, err
	}
	end := x.End()
	k.read.Store(&end)
	k.holding.Store(true)
	return m, nil
}

// pinNow pins, and returns what the index said at that moment. With writers
// held off there is no doubt; where one of them has been at work for long, the
// index is the same before and after.
func (k *keeper) pinNow(ctx context.Context) (wal.Index, error) {
	for {
		sealed := k.d.lock(ctx, byteWrite, attachWait) == nil
		x, err := k.pinBetween(ctx, k.pin)
		if sealed {
			k.d.shm.unlock(byteWrite)
		}
		if err != nil || x != nil {
			if err != nil {
				return wal.Index{}, err
			}
			return *x, nil
		}
		if err := ctx.Err(); err != nil {
			return wal.Index{}, err
		}
	}
}

// pinBetween returns nothing where a commit came in between.
func (k *keeper) pinBetween(ctx context.Context, c *sql.Conn) (*wal.Index, error) {
	before, beforeErr := k.d.index()
	if err := begin(ctx, c); err != nil {
		return nil, err
	}
	after, err := k.d.index()
	before.Marks, after.Marks = [5]uint32{}, [5]uint32{}
	if err != nil || beforeErr != nil || before != after {
		rollback(c)
		return nil, nil
	}
	return &after, nil
}

// disown and ownAgain let others, and our own connection, do what needs
// byteCheckpoint.
func (k *keeper) disown() {
	if k.own {
		k.own = false
		k.d.shm.unlock(byteCheckpoint)
	}
}

func (k *keeper) ownAgain() {
	if ok, err := k.d.shm.lock(byteCheckpoint); err == nil && ok {
		k.own = true
	}
}

// recover lets a connection of ours build the index again. Another process
// cannot, since it needs byteCheckpoint.
func (k *keeper) recover(ctx context.Context) error {
	k.interrupt()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drop()
	ctx, cancel := context.WithTimeout(ctx, ownWait)
	defer cancel()
	err := begin(ctx, k.work)
	rollback(k.work)
	if err != nil {
		return fmt.Errorf("recover index of the log: %w", err)
	}
	k.stats.recoveries.Add(1)
	return nil
}

// run looks after the log until ctx ends: when it is kicked, and now and then
// while the tail is not at rest.
func (k *keeper) run(ctx context.Context) {
	const between = 20 * time.Millisecond
	timer := time.NewTimer(between)
	defer timer.Stop()
	for {
		var tick <-chan time.Time
		if k.busy.Load() {
			timer.Reset(between)
			tick = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case <-k.kick:
		case <-tick:
		}
		k.look(ctx)
	}
}

func (k *keeper) wake() {
	select {
	case k.kick <- struct{}{}:
	default:
	}
}

// quietTime is how long nothing is committed until what is left in the log is
// copied into the file.
const quietTime = 30 * time.Second

// look decides what is to be done.
func (k *keeper) look(ctx context.Context) {
	x, err := k.d.index()
	if err != nil || !k.holding.Load() {
		return
	}
	now := time.Now()
	if end := x.End(); end != k.lastChange {
		k.lastChange, k.changedAt = end, now
	}
	frame := int64(wal.FrameHeaderSize + k.d.pageSize)
	size := int64(x.MaxFrame) * frame
	if ceiling := max(k.o.Ceiling, k.raised.Load()); size > ceiling && int64(k.unread(x))*frame > ceiling/2 {
		k.o.Logger.Warn("log over its ceiling, consumer too slow: letting go of it, the difference of pages will follow",
			"database", k.d.path, "bytes", size)
		k.stats.letGo.Add(1)
		k.letGo()
		return
	}
	grown := int64(x.MaxFrame)
	if x.Salt == k.lastRound.Salt {
		grown -= int64(k.lastRound.Frame)
	}
	due := k.needReset.Load() || x.MaxFrame > x.Backfilled &&
		(grown*frame >= k.o.Checkpoint || now.Sub(k.changedAt) >= quietTime)
	if !due || now.Before(k.notBefore) {
		return
	}
	k.lastRound = x.End()
	ok, err := k.checkpoint(ctx, size > k.o.Ceiling)
	if err != nil && ctx.Err() == nil {
		k.o.Logger.Warn("checkpoint", "database", k.d.path, "error", err)
	}
	if !ok {
		k.stats.partial.Add(1)
		k.notBefore = now.Add(250 * time.Millisecond)
	}
}

// unread is how many committed frames the tail has not read.
func (k *keeper) unread(x wal.Index) uint32 {
	at := k.read.Load()
	if at == nil || at.Salt != x.Salt {
		return x.MaxFrame
	}
	return x.MaxFrame - min(at.Frame, x.MaxFrame)
}

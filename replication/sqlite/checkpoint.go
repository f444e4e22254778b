package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/replication/wal"
)

// Phase 1 ends when so few frames are left, or after so many passes.
const (
	fewFrames = 200
	passes    = 5
)

// checkpoint copies the log into the database file. It says whether all of it
// is there, so that the next writer begins the log anew. With noLimit writers
// are held off for as long as that takes.
func (k *keeper) checkpoint(ctx context.Context, noLimit bool) (full bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	k.round.Store(&cancel)
	defer k.round.Store(nil)
	if !k.holding.Load() {
		return false, nil
	}
	defer func() {
		if !k.own && k.holding.Load() {
			k.ownAgain()
		}
	}()
	k.stats.checkpoints.Add(1)
	if ok, err := k.backfill(ctx); !ok {
		return false, err
	}
	if full, err = k.sealed(ctx, noLimit); err != nil || !full {
		return false, err
	}
	if k.needReset.Load() {
		return k.forceRestart(ctx)
	}
	return true, nil
}

// backfill is phase 1: it copies while writers run, until little is left.
func (k *keeper) backfill(ctx context.Context) (bool, error) {
	for range passes {
		x, err := k.d.index()
		if err != nil {
			return false, nil // a writer is at work on it
		}
		if x.MaxFrame-min(x.Backfilled, x.MaxFrame) < fewFrames {
			break
		}
		if ok, err := k.movePin(ctx, readWait); !ok {
			return false, err
		}
		if err := k.passive(ctx, nil); err != nil {
			return false, err
		}
	}
	return true, nil
}

// movePin pins the present moment and gives up the older pin, when the tail has
// read all that was in the log at the newer one.
func (k *keeper) movePin(ctx context.Context, most time.Duration) (bool, error) {
	if err := begin(ctx, k.spare); err != nil {
		return false, fmt.Errorf("pin: %w", err)
	}
	wait, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if !k.tail.wait(wait) {
		rollback(k.spare)
		return false, nil
	}
	rollback(k.pin)
	k.pin, k.spare = k.spare, k.pin
	return true, nil
}

// passive copies what no reader stands against. Between our giving the lock of
// checkpoints to our own connection and back, a writer that checkpoints by
// itself may take it: then its copying comes first, and ours after it, unless
// stop is closed. Copying that has begun is not broken off: it would count for
// nothing.
func (k *keeper) passive(ctx context.Context, stop <-chan struct{}) error {
	const between = 200 * time.Microsecond
	k.disown()
	defer func() { k.own = k.d.lock(ctx, byteCheckpoint, ownAgainWait) == nil }()
	for {
		var busy, log, done int
		err := k.work.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &log, &done)
		if err != nil {
			return fmt.Errorf("copy the log into the database: %w", err)
		}
		if busy == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-stop:
			return nil
		case <-time.After(between):
		}
	}
}

// sealed is phase 2: with writers held off, the rest is copied, and the pin
// becomes one of the file alone, which lets the log begin anew and nothing more
// be copied. When that takes too long, writers go on and the log stays.
func (k *keeper) sealed(ctx context.Context, noLimit bool) (full bool, err error) {
	if err := k.d.log.sync(); err != nil { // what the copying would wait for, with writers held off
		return false, err
	}
	ready, cancel := context.WithTimeout(ctx, sealWait)
	defer cancel()
	if !k.tail.wait(ready) {
		return false, nil // its consumer is slow: no writer is to wait for that
	}
	if k.d.lock(ctx, byteWrite, sealWait) != nil {
		return false, nil // writers are faster; another time
	}
	began := time.Now()
	held := true
	unseal := func() {
		if held {
			held = false
			k.d.shm.unlock(byteWrite)
			k.stats.sealed(time.Since(began))
		}
	}
	defer unseal()
	if ok, err := k.movePin(ctx, sealedWait); !ok {
		return false, err
	}
	done := make(chan error, 1)
	stop := make(chan struct{})
	go func() { done <- k.passive(ctx, stop) }()
	limit := time.NewTimer(max(0, k.o.SealLimit-time.Since(began)))
	defer limit.Stop()
	if noLimit {
		limit.Stop()
	}
	select {
	case err = <-done:
	case <-limit.C:
		unseal()
		close(stop)
		return false, <-done // a slow disk; what was copied stays copied
	}
	if err != nil {
		return false, err
	}
	x, err := k.d.index()
	if err != nil || x.Backfilled < x.MaxFrame {
		return false, nil // a reader of others stands against it
	}
	return k.pinFile(ctx, x)
}

// pinFile moves the pin to the database file. All of the log was read, and
// nobody writes.
func (k *keeper) pinFile(ctx context.Context, x wal.Index) (bool, error) {
	if err := begin(ctx, k.spare); err != nil {
		return false, fmt.Errorf("pin: %w", err)
	}
	k.restart.Store(&x.Salt)
	rollback(k.pin)
	k.pin, k.spare = k.spare, k.pin
	return true, nil
}

// forceRestart writes what is there already, so that the log begins anew at
// once: a recovery would stop at frames without right salts and checksums, and
// lose what is after them.
func (k *keeper) forceRestart(ctx context.Context) (bool, error) {
	before, err := k.d.index()
	if err != nil {
		return false, nil
	}
	if _, err := k.work.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return false, fmt.Errorf("restart the log: %w", err)
	}
	var version int64
	err = k.work.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	if err == nil {
		_, err = k.work.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version=%d", version))
	}
	if err == nil {
		_, err = k.work.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		rollback(k.work)
		return false, fmt.Errorf("restart the log: %w", err)
	}
	after, err := k.d.index()
	if err != nil || after.Salt == before.Salt {
		return false, nil // a reader of others stands against it
	}
	k.needReset.Store(false)
	return true, nil
}

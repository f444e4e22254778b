package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/ozanturksever/go-cluster/host/lock"
)

// holderWait bounds the read of [Lock.Holder], which has no context.
const holderWait = 2 * time.Second

// Lock is a lock that all nodes of the platform share. One Lock value is one
// customer: it holds the lock once or not at all, and all values for the same
// name exclude each other, on one node as on several.
//
// Used by several goroutines at once a Lock behaves like a sync.Mutex: who calls
// Lock while another goroutine holds it waits, also if that is the same goroutine,
// and any goroutine may unlock. Goroutines that want places of their own in the
// queue of the platform need a Lock each.
//
// The lock is held as long as this node's session is: a node that dies, hangs or
// is cut off loses it after the lease time (see [WithLeaseTTL]), and its Context
// has ended before. Code that runs on although the context has ended is stopped by
// nobody: hand the Token to whoever stores the result, and let it refuse a token
// lower than one it has seen.
type Lock struct {
	app      *App // nil: a lock of the platform
	platform *Platform
	lock     *lock.Lock
}

// Lock returns a lock of this app: one holds it at a time. The name has 1 to 63 of
// A-Z a-z 0-9 - _; a bad one is reported by the methods of the lock. Nothing is
// done before the first of them is called.
func (a *App) Lock(name string) *Lock { return a.newLock(lock.NewExclusive(a.lockName(name))) }

// Semaphore returns a lock of this app that up to limit hold at a time, 1 to 999.
// All who use it must name the same limit; to change it, let everybody go first.
func (a *App) Semaphore(name string, limit int) *Lock {
	return a.newLock(lock.NewSemaphore(a.lockName(name), limit))
}

// ReadLock returns the reading side of a read-write lock: up to 1000 hold it at a
// time, while nobody holds the other side. Who waits to write is not overtaken by
// who comes later to read.
func (a *App) ReadLock(name string) *Lock { return a.newLock(lock.NewRead(a.lockName(name))) }

// WriteLock returns the writing side of [App.ReadLock]: one holds it at a time,
// and excludes all readers.
func (a *App) WriteLock(name string) *Lock { return a.newLock(lock.NewWrite(a.lockName(name))) }

func (a *App) lockName(name string) lock.Name { return lock.Name{App: a.name, Lock: name} }

func (a *App) newLock(l *lock.Lock) *Lock { return &Lock{app: a, lock: l} }

// Lock returns a lock of the platform, see [App.Lock]. No lock of an app has the
// same name.
func (p *Platform) Lock(name string) *Lock {
	return &Lock{platform: p, lock: lock.NewExclusive(lock.Name{Lock: name})}
}

// Semaphore returns a semaphore of the platform, see [App.Semaphore].
func (p *Platform) Semaphore(name string, limit int) *Lock {
	return &Lock{platform: p, lock: lock.NewSemaphore(lock.Name{Lock: name}, limit)}
}

// ReadLock returns the reading side of a read-write lock of the platform, see
// [App.ReadLock].
func (p *Platform) ReadLock(name string) *Lock {
	return &Lock{platform: p, lock: lock.NewRead(lock.Name{Lock: name})}
}

// WriteLock returns the writing side of a read-write lock of the platform, see
// [App.WriteLock].
func (p *Platform) WriteLock(name string) *Lock {
	return &Lock{platform: p, lock: lock.NewWrite(lock.Name{Lock: name})}
}

func (l *Lock) keeper() (*lock.Keeper, error) {
	running := l.platform.running
	if l.app != nil {
		running = l.app.running
	}
	n, err := running()
	if err != nil {
		return nil, err
	}
	return n.Locks()
}

// warn logs what a method has no other way to tell.
func (l *Lock) warn(what string, err error) {
	p := l.platform
	if l.app != nil {
		p = l.app.platform
	}
	if p != nil && p.cfg.Logger != nil {
		p.cfg.Logger.Warn(what, "err", err)
	}
}

// Lock waits until the lock is held. Who waits comes in in the order of asking. A
// node that loses its session while it waits goes on waiting in its next one, at
// the end of the queue.
//
// # Errors
//
// ErrTimeout or the context's error: the place in the queue is given up, also if
// it cannot be reached at the moment. ErrShuttingDown when the node leaves.
// ErrBusy when 1000 wait already. ErrInvalid for a bad name, for one that is in
// use as another kind of lock, before Run and before the node has joined.
func (l *Lock) Lock(ctx context.Context) error {
	k, err := l.keeper()
	if err != nil {
		return err
	}
	return l.lock.Lock(ctx, k)
}

// TryLock takes the lock and reports whether it is held now. It never waits for
// another holder, only for the answer of the store, as long as ctx and the node's
// session last. When it is false for another reason than a holder, the reason is
// logged.
func (l *Lock) TryLock(ctx context.Context) bool {
	k, err := l.keeper()
	if err == nil {
		err = l.lock.TryLock(ctx, k)
	}
	if err != nil && !errors.Is(err, ErrLockHeld) {
		l.warn("try lock", err)
	}
	return err == nil
}

// Unlock gives the lock back, to the next one in the queue if there is one. It
// returns when that is stored.
//
// # Errors
//
// ErrLockNotHeld when this Lock does not hold the lock, or has lost it because
// the session ended; nobody else's hold is touched. ErrUnknownOutcome when ctx
// has ended first: the lock is not held any more by this Lock, and it is given
// back as soon as the store can be reached. ErrShuttingDown when the node has
// ended: the lock ends with its session.
func (l *Lock) Unlock(ctx context.Context) error { return l.lock.Unlock(ctx) }

// Holder returns the node that holds the lock, the one that has held it for the
// longest time if there are several; "" if nobody does or it cannot be found out.
// It asks the store, for 2 s at most, and may be old when it returns.
func (l *Lock) Holder() string {
	k, err := l.keeper()
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), holderWait)
	defer cancel()
	node, err := l.lock.Holder(ctx, k)
	if err != nil {
		l.warn("read holder of lock", err)
	}
	return node
}

// Token returns the fencing number of this hold: it is higher than that of every
// earlier hold of the same lock. It is 0 when the lock is not held at this very
// moment.
func (l *Lock) Token() Epoch { return l.lock.Token() }

// Context returns a context that ends with the hold: with Unlock, with the loss
// of the session, when the node begins to shut down, and, if the session is not
// being renewed, a third of the lease time before it ends. context.Cause tells
// which. It has ended already if the lock is not held. Unlock has to be called all
// the same.
func (l *Lock) Context() context.Context { return l.lock.Context() }

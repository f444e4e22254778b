package lock

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ozanturksever/go-cluster/host/core/lock"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Lock is one customer of a lock: it holds it once or not at all. Its methods may
// be called at the same time. The keeper that they get must always be the same.
type Lock struct {
	name   Name
	shared bool
	limit  int
	fault  error
	turn   chan struct{} // holds a token while the lock is held or waited for

	mu   sync.Mutex
	held *hold
}

// NewExclusive returns a lock that one holds at a time.
func NewExclusive(name Name) *Lock { return newLock(name, false, 0) }

// NewSemaphore returns a lock that up to limit hold at a time.
func NewSemaphore(name Name, limit int) *Lock {
	l := newLock(name, true, limit)
	if limit < 1 || limit >= lock.MaxShared {
		l.fault = errors.Join(l.fault, fmt.Errorf("%w: semaphore %s for %d holders: allowed are 1 to %d", pluginapi.ErrInvalid, name, limit, lock.MaxShared-1))
	}
	return l
}

// NewRead returns the side of a read-write lock that many hold at a time.
func NewRead(name Name) *Lock { return newLock(name, true, lock.MaxShared) }

// NewWrite returns the side of a read-write lock that excludes all others.
func NewWrite(name Name) *Lock { return newLock(name, false, lock.MaxShared) }

func newLock(name Name, shared bool, limit int) *Lock {
	l := &Lock{name: name, shared: shared, limit: limit, turn: make(chan struct{}, 1)}
	l.fault = pluginapi.CheckName("lock", name.Lock)
	return l
}

// Lock waits until the lock is held.
func (l *Lock) Lock(ctx context.Context, k *Keeper) error { return l.take(ctx, k, false) }

// TryLock takes the lock if that is possible now.
func (l *Lock) TryLock(ctx context.Context, k *Keeper) error { return l.take(ctx, k, true) }

func (l *Lock) take(ctx context.Context, k *Keeper, try bool) error {
	if err := l.check(ctx); err != nil {
		return err
	}
	if k.leaving.Err() != nil {
		return fmt.Errorf("lock %s: %w", l.name, pluginapi.ErrShuttingDown)
	}
	if err := l.takeTurn(ctx, k, try); err != nil {
		return fmt.Errorf("lock %s: %w", l.name, err)
	}
	h, err := k.enter(ctx, l.name, lock.Enter{Shared: l.shared, Limit: l.limit, Try: try})
	if err != nil {
		<-l.turn
		return fmt.Errorf("lock %s: %w", l.name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = h
	return nil
}

func (l *Lock) check(ctx context.Context) error {
	if ctx == nil {
		return fmt.Errorf("lock %s: %w: the context is nil", l.name, pluginapi.ErrInvalid)
	}
	if l.fault != nil {
		return l.fault
	}
	if ctx.Err() != nil {
		return fmt.Errorf("lock %s: %w", l.name, ended(ctx))
	}
	return nil
}

// takeTurn makes sure that nobody else uses this object.
func (l *Lock) takeTurn(ctx context.Context, k *Keeper, try bool) error {
	if try {
		select {
		case l.turn <- struct{}{}:
			return nil
		default:
			return pluginapi.ErrLockHeld
		}
	}
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ended(ctx)
	case <-k.leaving.Done():
		return pluginapi.ErrShuttingDown
	}
}

// Unlock gives the lock back.
func (l *Lock) Unlock(ctx context.Context) error {
	if ctx == nil {
		return fmt.Errorf("unlock %s: %w: the context is nil", l.name, pluginapi.ErrInvalid)
	}
	l.mu.Lock()
	h := l.held
	l.held = nil
	l.mu.Unlock()
	if h == nil {
		return fmt.Errorf("unlock %s: %w", l.name, pluginapi.ErrLockNotHeld)
	}
	defer func() { <-l.turn }()
	if err := h.release(ctx); err != nil {
		return fmt.Errorf("unlock %s: %w", l.name, err)
	}
	return nil
}

// Token returns the epoch in which the lock is held at this very moment, else 0.
func (l *Lock) Token() pluginapi.Epoch {
	if h := l.now(); h != nil && h.valid() {
		return h.epoch
	}
	return 0
}

// Context returns a context that ends when the lock is not held any more, or not
// for long; one that has ended if it is not held.
func (l *Lock) Context() context.Context {
	if h := l.now(); h != nil {
		return h.ctx
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(fmt.Errorf("lock %s: %w", l.name, pluginapi.ErrLockNotHeld))
	return ctx
}

func (l *Lock) now() *hold {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held
}

// Holder returns the node that has held the lock for the longest time of those
// that hold it now; "" if nobody does.
func (l *Lock) Holder(ctx context.Context, k *Keeper) (string, error) {
	if l.fault != nil {
		return "", l.fault
	}
	if h := l.now(); h != nil && h.valid() && !l.shared {
		return h.self.Node, nil
	}
	node, err := k.holder(ctx, l.name)
	if err != nil {
		return "", fmt.Errorf("read holder of lock %s: %w", l.name, err)
	}
	return node, nil
}

// enter holds a lock, or says why not. Before it believes that others are in the
// way it looks whether they live.
func (k *Keeper) enter(ctx context.Context, name Name, e lock.Enter) (*hold, error) {
	s, err := k.slot(ctx, name)
	if err != nil {
		return nil, err
	}
	defer k.unpin(s)
	h, err := s.enter(ctx, e)
	if (errors.Is(err, pluginapi.ErrLockHeld) || errors.Is(err, pluginapi.ErrInvalid)) && s.findDead(ctx) {
		return s.enter(ctx, e)
	}
	return h, err
}

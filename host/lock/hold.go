package lock

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/lock"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Why the context of what was held has ended; see context.Cause.
var (
	errLost     = fmt.Errorf("%w any more: the session in which it was taken is over", pluginapi.ErrLockNotHeld)
	errEnding   = fmt.Errorf("%w for long: the session is about to end and is not being renewed", pluginapi.ErrLockNotHeld)
	errReleased = fmt.Errorf("%w any more: it was released", pluginapi.ErrLockNotHeld)
)

// hold is a lock that was granted.
type hold struct {
	slot   *slot
	ticket uint64
	left   <-chan struct{}
	epoch  pluginapi.Epoch
	self   election.Holder
	since  time.Time
	ctx    context.Context
	end    context.CancelCauseFunc
	over   atomic.Pointer[error] // why it is over; nil: it is not
}

func (k *Keeper) newHold(s *slot, e lock.Granted, t *ticket, now time.Time) *hold {
	h := &hold{slot: s, ticket: e.Ticket, left: t.left, epoch: e.Epoch, self: e.Self, since: now}
	h.ctx, h.end = context.WithCancelCause(context.Background())
	k.mu.Lock()
	k.holds[h] = struct{}{}
	k.mu.Unlock()
	h.warn(now, k.cfg.Session())
	k.hurry()
	return h
}

// warn ends the context when the session is about to end.
func (h *hold) warn(now time.Time, s Session) {
	switch {
	case s.Leaving:
		h.end(pluginapi.ErrShuttingDown)
	case s.Self != h.self:
		h.end(errLost)
	case !now.Before(s.Stop):
		h.end(errEnding)
	}
}

// finish ends what was held, with the first reason that is given.
func (h *hold) finish(why error) {
	h.over.CompareAndSwap(nil, &why)
	h.end(why)
	h.slot.k.mu.Lock()
	delete(h.slot.k.holds, h)
	h.slot.k.mu.Unlock()
}

// lost is why it is over when the session is: the session may have been given up
// by a node that shuts down, before Run has come to say so.
func (h *hold) lost() error {
	if h.slot.k.cfg.Session().Leaving {
		return pluginapi.ErrShuttingDown
	}
	return errLost
}

// valid reports whether it is held at this very moment.
func (h *hold) valid() bool {
	return h.over.Load() == nil && h.slot.k.cfg.Session().Self == h.self
}

// release gives the lock back and waits until that is stored. When ctx ends
// first, it goes on by itself.
func (h *hold) release(ctx context.Context) error {
	h.end(errReleased)
	h.slot.step(lock.Leave{Ticket: h.ticket})
	select {
	case <-h.left:
	case <-ctx.Done():
		return fmt.Errorf("%w: the lock is being released all the same: %w", pluginapi.ErrUnknownOutcome, ended(ctx))
	case <-h.slot.k.life.Done():
		return pluginapi.ErrShuttingDown
	}
	if why := h.over.Load(); *why != errReleased {
		return *why
	}
	return nil
}

// ended returns the error of a context that has ended, as users know it.
func ended(ctx context.Context) error {
	if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", pluginapi.ErrTimeout, context.DeadlineExceeded)
}

package cluster

import (
	"context"
	"fmt"
)

// Election is the leadership of a singleton app, as this node sees it.
type Election struct{ a *App }

// IsLeader reports whether this node leads the app at this very moment: it
// compares the lease's deadline with the clock each time. Do not keep the
// answer.
func (e *Election) IsLeader() bool {
	_, ok := e.a.lease()
	return ok
}

// Epoch returns the epoch of the leadership: this node's own while it leads,
// else the one that it knows of; 0 before there was any.
func (e *Election) Epoch() Epoch {
	if l, ok := e.a.lease(); ok {
		return l.Epoch
	}
	return e.a.view().Epoch
}

// Lease returns this node's leadership, to be checked right before each act
// that cannot be undone.
//
// # Errors
//
// ErrNotLeader.
func (e *Election) Lease() (Lease, error) {
	if l, ok := e.a.lease(); ok {
		return l, nil
	}
	return Lease{}, fmt.Errorf("lead %s: %w", e.a.name, ErrNotLeader)
}

// Leader returns the node that leads the app, "" if none is known.
func (e *Election) Leader() string { return e.a.view().Leader }

// WaitForLeadership returns when this node leads the app. It takes nothing away
// from the app's hooks or from LeaderChan. It may be called before Run.
//
// # Errors
//
// ErrTimeout when the context's deadline passes, its error when it is
// cancelled, ErrShuttingDown when Run has returned, ErrInvalid for an app that
// is not registered or when Run has refused what it was given.
func (e *Election) WaitForLeadership(ctx context.Context) error {
	if err := e.a.registered(); err != nil {
		return err
	}
	n, err := e.a.platform.await(ctx)
	if err != nil {
		return err
	}
	return n.WaitForLeadership(ctx, e.a.name)
}

// StepDown gives the leadership to the best standby. It returns when this
// node's work has stopped and the standby holds the leadership.
//
// # Errors
//
// ErrNotLeader; ErrNoStandby, and then this node leads on; ErrTimeout when the
// context's deadline passes, and then the change goes on without a witness;
// ErrShuttingDown.
func (e *Election) StepDown(ctx context.Context) error {
	n, err := e.a.running()
	if err != nil {
		return err
	}
	_, err = n.StepDown(ctx, e.a.name)
	return err
}

// LeaderChan returns a channel with the newest state of the leadership that was
// not read yet, beginning with the present one; it is closed when Run has
// returned. Each call returns a channel of its own, so that no reader takes a
// state from another. Before Run it returns nil.
func (e *Election) LeaderChan() <-chan bool {
	n, err := e.a.running()
	if err != nil {
		return nil
	}
	return n.LeaderChan(e.a.name)
}

package pluginapi

import (
	"context"
	"time"
)

// Epoch is the fencing number of a leadership, a lock or a partition: it rises
// with each change of owner and never goes down. Whoever receives a side effect
// refuses one with an epoch lower than the highest it has seen.
type Epoch uint64

// Lease is a leadership at the moment of use: its epoch, and whether it still
// holds. Valid compares the lease's deadline with a clock that counts suspend,
// each time it is called; it must be asked right before an act that cannot be
// undone, and its answer must not be kept.
type Lease struct {
	Epoch Epoch
	Valid func() bool
	// Until is how long the lease still holds if it is not renewed.
	Until func() time.Duration
}

type leaseKey struct{}

// WithLease returns a context that carries a lease. The host gives such a
// context to backends and hooks.
func WithLease(ctx context.Context, l Lease) context.Context {
	return context.WithValue(ctx, leaseKey{}, l)
}

// LeaseFrom returns the lease that the context carries. Without one ok is
// false; there is then no leadership to check (a backend of a spread app, or a
// backend used outside the host).
func LeaseFrom(ctx context.Context) (l Lease, ok bool) {
	l, ok = ctx.Value(leaseKey{}).(Lease)
	return l, ok
}

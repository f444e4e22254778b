package host

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// buckets are the KV buckets that this node has opened, by app. An app that
// never uses its bucket has none, here and in the store.
type buckets struct {
	mu    sync.Mutex
	byApp map[string]*appBucket
}

// appBucket is the bucket of one app.
type appBucket struct {
	opening chan struct{}    // holds a token while somebody opens it
	bucket  *bus.Bucket      // nil before; guarded by buckets.mu
	writer  *bus.EpochWriter // of the newest epoch that this node has led in; guarded by buckets.mu
}

func (b *buckets) of(app string) *appBucket {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byApp == nil {
		b.byApp = map[string]*appBucket{}
	}
	if b.byApp[app] == nil {
		b.byApp[app] = &appBucket{opening: make(chan struct{}, 1)}
	}
	return b.byApp[app]
}

func (b *buckets) opened(a *appBucket) *bus.Bucket {
	b.mu.Lock()
	defer b.mu.Unlock()
	return a.bucket
}

// writer returns the writer of the present leadership; refused is told of what
// the store refuses it.
func (b *buckets) writer(a *appBucket, lease pluginapi.Lease, refused func()) *bus.EpochWriter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.writer == nil || a.writer.Epoch() < lease.Epoch {
		a.writer = a.bucket.EpochWriter(lease.Epoch, lease.Valid, refused)
	}
	return a.writer
}

// Bucket returns the KV bucket of an app; the first call opens it, which makes
// it if no node has.
//
// # Errors
//
// As of [Node.Conn] and [bus.OpenBucket].
func (n *Node) Bucket(ctx context.Context, app string) (*bus.Bucket, error) {
	conn, err := n.Conn()
	if err != nil {
		return nil, fmt.Errorf("use bucket of %s: %w", app, err)
	}
	a := n.buckets.of(app)
	if b := n.buckets.opened(a); b != nil {
		return b, nil
	}
	ctx, cancel := context.WithTimeout(ctx, bus.KVTimeout)
	defer cancel()
	select {
	case a.opening <- struct{}{}:
		defer func() { <-a.opening }()
	case <-ctx.Done():
		return nil, fmt.Errorf("open bucket of %s: %w", app, endOf(ctx))
	}
	if b := n.buckets.opened(a); b != nil {
		return b, nil
	}
	names, err := n.names.App(app)
	if err != nil {
		return nil, err
	}
	b, err := bus.OpenBucket(ctx, conn, names, n.replicas())
	if err != nil {
		return nil, err
	}
	n.buckets.mu.Lock()
	a.bucket = b
	n.buckets.mu.Unlock()
	return b, nil
}

// EpochWriter returns what makes fenced changes of the app's bucket in the epoch
// in which this node leads the app.
//
// # Errors
//
// ErrNotLeader, and as of [Node.Bucket].
func (n *Node) EpochWriter(ctx context.Context, app string) (*bus.EpochWriter, error) {
	if _, err := n.Bucket(ctx, app); err != nil {
		return nil, err
	}
	lease, ok := n.Lease(app)
	if !ok {
		return nil, fmt.Errorf("make a fenced change of %s: %w", app, pluginapi.ErrNotLeader)
	}
	return n.buckets.writer(n.buckets.of(app), lease, func() { n.cfg.Figures.Fenced("kv", app) }), nil
}

// endOf is why a context has ended, by the name that users know.
func endOf(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return pluginapi.ErrTimeout
	}
	return ctx.Err()
}

package replica

import (
	"context"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication"
)

// Feed is [replication.Feed] over a feed of the bus.
type Feed struct{ f *bus.Feed }

// NewFeed returns the feed of an app's database.
func NewFeed(f *bus.Feed) Feed { return Feed{f} }

// Raise implements [replication.Feed].
func (f Feed) Raise(ctx context.Context, epoch uint64) (replication.Head, error) {
	h, err := f.f.Raise(ctx, pluginapi.Epoch(epoch))
	return head(h), err
}

// Head implements [replication.Feed].
func (f Feed) Head(ctx context.Context) (replication.Head, error) {
	h, err := f.f.Head(ctx)
	return head(h), err
}

func head(h bus.FeedHead) replication.Head {
	return replication.Head{Epoch: uint64(h.Epoch), EpochSeq: h.EpochSeq, Last: h.Last, LastSeq: h.LastSeq}
}

// Append implements [replication.Feed].
func (f Feed) Append(ctx context.Context, after uint64, messages [][]byte) (uint64, error) {
	return f.f.Append(ctx, after, messages)
}

// Follow implements [replication.Feed].
func (f Feed) Follow(ctx context.Context, seq uint64, fn func(replication.Message)) error {
	return f.f.Follow(ctx, seq, func(m bus.FeedMessage) {
		fn(replication.Message{Seq: m.Seq, Epoch: uint64(m.Epoch), Data: m.Data})
	})
}

// Bounds implements [replication.Feed].
func (f Feed) Bounds(ctx context.Context) (first, last uint64, err error) {
	first, last, _, err = f.f.Bounds(ctx)
	return first, last, err
}

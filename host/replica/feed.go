package replica

import (
	"context"
	"time"

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

// Bytes is how much is stored for the feed, in bytes, on each of its servers.
func (f Feed) Bytes(ctx context.Context) (uint64, error) {
	_, _, n, err := f.f.Bounds(ctx)
	return n, err
}

// Trim drops the changes before seq.
func (f Feed) Trim(ctx context.Context, seq uint64) error { return f.f.Trim(ctx, seq) }

// Begun is when the oldest change that is left was begun, by the earlier of the
// clocks of its leader and of the servers; zero when there is none.
func (f Feed) Begun(ctx context.Context) (time.Time, error) {
	data, stored, err := f.f.Oldest(ctx)
	if err != nil || data == nil {
		return time.Time{}, err
	}
	if begun, err := replication.Begun(data); err == nil && begun.Before(stored) {
		return begun, nil
	}
	return stored, nil
}

// KeepOff moves the leader of the feed's stream off a server; see [bus.Feed].
func (f Feed) KeepOff(ctx context.Context, server string) (moved bool, err error) {
	return f.f.KeepOff(ctx, server)
}

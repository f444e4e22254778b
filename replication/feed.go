package replication

import (
	"context"

	"github.com/ozanturksever/go-cluster/replication/snapshot"
)

// Head is the end of a feed.
type Head struct {
	Epoch    uint64 // 0: none was raised
	EpochSeq uint64 // of the message that raised it
	Last     []byte // last message of the last change; nil: there is none
	LastSeq  uint64
}

// Message is a message of a feed: one of a change, or the raise of an epoch.
type Message struct {
	Seq   uint64
	Epoch uint64 // raised by it; 0: Data is a segment
	Data  []byte
}

// Feed is the stream of an app's changes, with one writer: see the feed of
// package bus.
type Feed interface {
	// Raise makes an epoch the highest and returns the end of the feed. It fails
	// with ErrFenced when a newer one is there.
	Raise(ctx context.Context, epoch uint64) (Head, error)
	// Head returns the end of the feed.
	Head(ctx context.Context) (Head, error)
	// Append appends the messages of one change, all or none, if the feed ends with
	// the message at after. An error proves nothing but ErrTooLarge.
	Append(ctx context.Context, after uint64, messages [][]byte) (seq uint64, err error)
	// Follow hands on the messages from seq on, each once and in order, until ctx ends.
	Follow(ctx context.Context, seq uint64, fn func(Message)) error
	// Bounds returns the sequence of the first message that is left, and of the last.
	Bounds(ctx context.Context) (first, last uint64, err error)
}

// Shelf keeps the manifests of an app's snapshots.
type Shelf interface {
	List(ctx context.Context) ([]snapshot.Manifest, error)
	Put(ctx context.Context, m snapshot.Manifest) error
}

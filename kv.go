package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/ozanturksever/go-cluster/host/bus"
)

// KV is the key-value bucket of an app: a NATS KV bucket with up to three
// replicas, so that NATS tools can read it too. It is made when it is first used.
//
// Keys are 1 to 255 of A-Z a-z 0-9 - _ / = in parts joined by single dots.
// Values have at most [MaxValueSize] bytes, less where NATS allows smaller
// messages. The newest 5 changes of a key are kept.
//
// Reads ask the server that leads the bucket's stream. That may be old by
// seconds when the server has been cut off from the others and does not know it
// yet: see [KV.Linearizable]. While there is no such server, or the connection is
// down, calls try again until ctx ends, for 10 s if it has no deadline. A change
// is sent again only if it was certainly not taken.
//
// Errors of all methods, by errors.Is:
//   - ErrUnknownOutcome: of a change, it may have been made and may still be;
//     of a read, no answer came. With any other error nothing was changed,
//     but for one case: a server that was frozen and wakes may answer with
//     ErrConflict by what it knew, while the one that leads now makes the change.
//   - ErrInvalid for a key, pattern or argument that cannot be, and before Run
//     has connected; ErrTooLarge names the limit.
//   - ErrTimeout when the deadline of ctx passed, the error of ctx when it was
//     cancelled.
//   - ErrUnreachable when nobody serves the bucket, ErrShuttingDown when Run has
//     returned or is about to.
type KV struct {
	a            *App
	linearizable bool
}

// KeyValueEntry is a stored change of a key, or a word of a watch about itself;
// see [bus.Entry].
type KeyValueEntry = bus.Entry

// KeyValueOp says what a KeyValueEntry tells.
type KeyValueOp = bus.Op

// What an entry can tell. The last two come from a watch only and have no key.
const (
	KeyValuePut    = bus.OpPut    // the key has this value
	KeyValueDelete = bus.OpDelete // the key was deleted
	KeyValueSynced = bus.OpSynced // all current values were given; what follows is new
	KeyValueResync = bus.OpResync // changes were missed: forget all values, the current ones follow, then KeyValueSynced
)

// KeyValueChange is one of the changes of [KV.Apply].
type KeyValueChange = bus.Change

// Bounds of a bucket.
const (
	MaxValueSize  = bus.MaxKVValue    // bytes of a value
	MaxBatch      = bus.MaxBatch      // changes of one Apply
	MaxBatchBytes = bus.MaxBatchBytes // bytes of the values of one Apply
)

// KV returns the app's key-value bucket.
func (a *App) KV() *KV { return &KV{a: a} }

// Linearizable returns the same bucket with Get and GetEntry that are as they
// were at a moment within the call: whatever was acknowledged before it is seen.
// Each such read costs a write to a majority of the servers.
func (kv *KV) Linearizable() *KV { return &KV{a: kv.a, linearizable: true} }

// Get returns a key's value.
//
// # Errors
//
// ErrKeyNotFound when it has none.
func (kv *KV) Get(ctx context.Context, key string) ([]byte, error) {
	e, err := kv.GetEntry(ctx, key)
	return e.Value, err
}

// GetEntry returns a key's value with its revision.
//
// # Errors
//
// ErrKeyNotFound when it has none.
func (kv *KV) GetEntry(ctx context.Context, key string) (KeyValueEntry, error) {
	read := (*bus.Bucket).Get
	if kv.linearizable {
		read = (*bus.Bucket).GetLinearizable
	}
	return within(ctx, kv, func(b *bus.Bucket) (KeyValueEntry, error) { return read(b, ctx, key) })
}

// Put writes a value, whatever is there.
func (kv *KV) Put(ctx context.Context, key string, value []byte) error {
	_, err := kv.PutRevision(ctx, key, value)
	return err
}

// PutRevision is Put, and returns the revision that it has made.
func (kv *KV) PutRevision(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	return within(ctx, kv, func(b *bus.Bucket) (uint64, error) { return b.Put(ctx, key, value) })
}

// Create writes a value if the key has none, and returns its revision.
//
// # Errors
//
// ErrKeyExists when it has one.
func (kv *KV) Create(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	return within(ctx, kv, func(b *bus.Bucket) (uint64, error) { return b.Create(ctx, key, value) })
}

// Update writes a value if the key is at revision, and returns the new one.
//
// # Errors
//
// ErrConflict when it is not.
func (kv *KV) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return within(ctx, kv, func(b *bus.Bucket) (uint64, error) { return b.Update(ctx, key, value, revision) })
}

// Delete takes the value of a key away, if there is one. Its history stays.
func (kv *KV) Delete(ctx context.Context, key string) error {
	_, err := within(ctx, kv, func(b *bus.Bucket) (any, error) { return nil, b.Delete(ctx, key) })
	return err
}

// DeleteRevision is Delete if the key is at revision.
//
// # Errors
//
// ErrConflict when it is not.
func (kv *KV) DeleteRevision(ctx context.Context, key string, revision uint64) error {
	_, err := within(ctx, kv, func(b *bus.Bucket) (any, error) { return nil, b.DeleteRevision(ctx, key, revision) })
	return err
}

// Apply makes all changes or none, and returns their revisions in the same
// order. A change with a Revision holds only if its key is at that revision.
// There may be up to [MaxBatch] of them, each key once.
//
// # Errors
//
// ErrConflict when a key is not at its revision; ErrTooLarge.
func (kv *KV) Apply(ctx context.Context, changes ...KeyValueChange) (revisions []uint64, err error) {
	return within(ctx, kv, func(b *bus.Bucket) ([]uint64, error) { return b.Apply(ctx, changes) })
}

// RaiseEpoch makes this node's leadership of the app the newest that the bucket has
// seen: from then on it refuses fenced changes of every older one. The first
// fenced change of a leadership does that by itself; a leader that reads before
// it writes raises the epoch first.
//
// # Errors
//
// ErrNotLeader when this node's lease does not hold at this moment, ErrFenced
// when a newer leader has been here.
func (kv *KV) RaiseEpoch(ctx context.Context) error {
	_, err := fenced(ctx, kv, func(w *bus.EpochWriter) (any, error) { return nil, w.Raise(ctx) })
	return err
}

// PutFenced is PutRevision in the name of this node's leadership of the app. The
// store itself refuses it once a newer leader has made one, whatever the
// clocks say. Plain changes are not fenced: what only the leader may write has
// to be written by PutFenced and ApplyFenced alone.
//
// # Errors
//
// As of [KV.RaiseEpoch].
func (kv *KV) PutFenced(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	return fenced(ctx, kv, func(w *bus.EpochWriter) (uint64, error) { return w.Put(ctx, key, value) })
}

// ApplyFenced is Apply in the name of this node's leadership, see
// [KV.PutFenced].
//
// # Errors
//
// As of [KV.RaiseEpoch] and [KV.Apply].
func (kv *KV) ApplyFenced(ctx context.Context, changes ...KeyValueChange) (revisions []uint64, err error) {
	return fenced(ctx, kv, func(w *bus.EpochWriter) ([]uint64, error) { return w.Apply(ctx, changes) })
}

// Keys lists the keys that have a value and begin with prefix, sorted; "" lists
// all. It reads every one of them, so it costs as much as reading their values.
func (kv *KV) Keys(ctx context.Context, prefix string) ([]string, error) {
	return within(ctx, kv, func(b *bus.Bucket) ([]string, error) { return b.Keys(ctx, prefix) })
}

// History returns the newest changes of a key, deletes too, oldest first.
//
// # Errors
//
// ErrKeyNotFound when the key was never written.
func (kv *KV) History(ctx context.Context, key string) ([]KeyValueEntry, error) {
	return within(ctx, kv, func(b *bus.Bucket) ([]KeyValueEntry, error) { return b.History(ctx, key) })
}

// Watch returns a channel with the current value of each key that matches key,
// then an entry KeyValueSynced, and then each change in order. key may be a
// pattern: "*" stands for one part, a last ">" for all further ones.
//
// Nothing is lost silently: when changes were missed (the connection broke, the
// reader was more than 1024 changes behind) an entry KeyValueResync comes, then
// the current values, then KeyValueSynced. The current values of what is watched
// are kept in memory.
//
// The channel is closed when ctx ends, or the platform does, or the bucket is
// taken away; [KV.WatchFunc] tells which. End ctx to end the watch.
func (kv *KV) Watch(ctx context.Context, key string) (<-chan KeyValueEntry, error) {
	return within(ctx, kv, func(b *bus.Bucket) (<-chan KeyValueEntry, error) { return b.Entries(ctx, key) })
}

// WatchFunc is Watch that calls fn with each entry, on its own goroutine, and
// returns when ctx has ended (nil) or the watch has: ErrShuttingDown.
func (kv *KV) WatchFunc(ctx context.Context, key string, fn func(KeyValueEntry)) error {
	if fn == nil {
		return fmt.Errorf("watch key %.80q: %w: the function is nil", key, ErrInvalid)
	}
	_, err := within(ctx, kv, func(b *bus.Bucket) (any, error) { return nil, b.Watch(ctx, key, fn) })
	return err
}

// within makes one call of the bucket.
func within[T any](ctx context.Context, kv *KV, call func(*bus.Bucket) (T, error)) (out T, err error) {
	n, err := kv.a.running()
	if err != nil {
		return out, err
	}
	b, err := n.Bucket(ctx, kv.a.name)
	if err == nil {
		out, err = call(b)
	}
	return out, kvError(err)
}

// fenced makes one call of the writer of this node's leadership.
func fenced[T any](ctx context.Context, kv *KV, call func(*bus.EpochWriter) (T, error)) (out T, err error) {
	if kv.a.mode != ModeSingleton {
		return out, fmt.Errorf("%w: app %s has no leader: only a Singleton app makes fenced changes", ErrInvalid, kv.a.name)
	}
	n, err := kv.a.running()
	if err != nil {
		return out, err
	}
	w, err := n.EpochWriter(ctx, kv.a.name)
	if err == nil {
		out, err = call(w)
	}
	return out, kvError(err)
}

// kvError gives an error of the bus the name that users know.
func kvError(err error) error {
	if errors.Is(err, bus.ErrClosed) {
		return fmt.Errorf("%w: %w", ErrShuttingDown, err)
	}
	return err
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Op says what an [Entry] tells.
type Op string

// What an entry can tell. The last two come from a watch only.
const (
	OpPut    Op = "put"    // the key has this value
	OpDelete Op = "delete" // the key was deleted; Value is nil
	OpSynced Op = "synced" // all current values were given; what follows is new
	OpResync Op = "resync" // changes were missed: forget all values, the current ones follow, and then OpSynced
)

// Entry is one stored change of a key of a [Bucket], or a word of a watch about
// itself (OpSynced, OpResync), which has no key.
type Entry struct {
	Key      string
	Value    []byte
	Revision uint64    // sequence of the change: it rises with each change of the bucket
	Op       Op        // what it tells
	Created  time.Time // when it was stored, by the clock of the server that stored it
}

// Bucket is the key-value bucket of one app: a NATS KV bucket, so that other
// programs can use it as well. Its methods may be called at the same time. They
// speak to the server that leads the bucket's stream.
//
// Without a deadline in ctx each of them gives up after KVTimeout. While the
// stream has no leader, or the connection is down, they try again; a change is
// sent again only if it was certainly not taken.
//
// For the errors of all of them: ErrUnknown means that a change may have been
// done and may still be. With any other error nothing was changed, but for one
// case: a server that was frozen and wakes may answer ErrConflict by what it
// knew, while the one that leads now makes the change.
// [pluginapi.ErrInvalid] for a bad key, [pluginapi.ErrTooLarge] for a value over
// the limit, [pluginapi.ErrTimeout] or the error of ctx when it ended,
// ErrClosed.
type Bucket struct {
	r      *Records
	names  AppNames
	atomic bool // the stream takes batches
}

// Bounds of a bucket.
const (
	// KVHistory is how many changes of a key are kept.
	KVHistory = 5
	// MaxKVKey is the longest key, in bytes.
	MaxKVKey = maxKey
	// MaxKVValue is the largest value, in bytes. It is less where the NATS
	// servers allow smaller messages.
	MaxKVValue = 1<<20 - kvOverhead
	// KVTimeout bounds a call whose context has no deadline.
	KVTimeout = 10 * time.Second

	kvOverhead = 4 << 10 // headers and key count too
)

// headers of stored messages.
const (
	headOp            = "KV-Operation"
	headExpect        = "Nats-Expected-Last-Subject-Sequence"
	headExpectSubject = "Nats-Expected-Last-Subject-Sequence-Subject"
)

// OpenBucket creates the app's bucket, or checks that the existing one has all
// settings that matter, as [OpenRecords] does with records. replicas 0 means up
// to three.
//
// # Errors
//
// As of [OpenRecords].
func OpenBucket(ctx context.Context, c *Conn, names AppNames, replicas int) (*Bucket, error) {
	cfg := bucketConfig(names, replicas)
	s := stream{c, cfg.Stream}
	want := bucketStream(names)
	in, err := s.ensure(ctx, wanted{want, replicas, verifyBucket(want)})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", names.Bucket(), err)
	}
	b := &Bucket{
		r:     newRecords(s, cfg, in.Created, kind{checkKey: checkBucketKey, exact: liveWait}),
		names: names, atomic: takesBatches(in.Config),
	}
	if _, err := b.r.Grow(ctx); err != nil {
		c.log.Debug("replicas of a stream could not be raised yet", "stream", cfg.Stream, "error", err)
	}
	return b, nil
}

func (b *Bucket) subject(key string) string { return b.r.cfg.Subject + "." + key }

// Put writes a value, whatever is there, and returns its revision.
func (b *Bucket) Put(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	if err = b.check(key, value); err == nil {
		revision, err = b.change(ctx, &nats.Msg{Subject: b.subject(key), Data: value})
	}
	return revision, b.wrap("put", key, err)
}

// Create writes a value if the key has none: it never had one, or was deleted.
//
// # Errors
//
// [pluginapi.ErrKeyExists].
func (b *Bucket) Create(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	if err = b.check(key, value); err == nil {
		revision, err = b.create(ctx, key, value)
	}
	return revision, b.wrap("create", key, err)
}

// create begins as if the key never had a value. After a conflict it looks:
// over a delete marker it writes by the marker's revision.
func (b *Bucket) create(ctx context.Context, key string, value []byte) (uint64, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	for at, wait := uint64(0), retryWait; ; {
		revision, err := b.cas(ctx, &nats.Msg{Subject: b.subject(key), Data: value}, key, at)
		if !errors.Is(err, ErrConflict) {
			return revision, err
		}
		rec, err := b.read(ctx, key)
		switch {
		case err != nil:
			return 0, err
		case rec.Seq > 0 && !rec.deleted:
			return 0, fmt.Errorf("%w: at revision %d", pluginapi.ErrKeyExists, rec.Seq)
		case rec.Seq == at && !pause(ctx, 0, wait): // the reader may be behind
			return 0, timedOut(ctx.Err())
		}
		at = rec.Seq
	}
}

// Update writes a value if the key is at a revision.
//
// # Errors
//
// ErrConflict when it is not.
func (b *Bucket) Update(ctx context.Context, key string, value []byte, at uint64) (revision uint64, err error) {
	if err = errors.Join(b.check(key, value), checkRevision(at)); err == nil {
		revision, err = b.cas(ctx, &nats.Msg{Subject: b.subject(key), Data: value}, key, at)
	}
	return revision, b.wrap("update", key, err)
}

// Delete writes a delete marker: the key has no value any more, its history
// stays. It does so too when there is no value.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	err := b.check(key, nil)
	if err == nil {
		_, err = b.change(ctx, &nats.Msg{Subject: b.subject(key), Header: deletion()})
	}
	return b.wrap("delete", key, err)
}

// DeleteRevision deletes a key if it is at a revision.
//
// # Errors
//
// ErrConflict when it is not.
func (b *Bucket) DeleteRevision(ctx context.Context, key string, at uint64) error {
	err := errors.Join(b.check(key, nil), checkRevision(at))
	if err == nil {
		_, err = b.cas(ctx, &nats.Msg{Subject: b.subject(key), Header: deletion()}, key, at)
	}
	return b.wrap("delete", key, err)
}

func deletion() nats.Header { return nats.Header{headOp: {"DEL"}} }

// deletes says whether the header of a stored message makes it a delete marker.
// The second word and the last header are never written by us, but by other
// clients, and by servers where keys expire.
func deletes(h nats.Header) bool {
	op := h.Get(headOp)
	return op == "DEL" || op == "PURGE" || h.Get("Nats-Marker-Reason") != ""
}

// cas sends a change of key that holds only if the key is at a revision; 0 is
// no revision at all.
func (b *Bucket) cas(ctx context.Context, m *nats.Msg, key string, at uint64) (uint64, error) {
	b.condition(m, b.subject(key), at)
	return b.change(ctx, m)
}

func (b *Bucket) condition(m *nats.Msg, subject string, at uint64) {
	if m.Header == nil {
		m.Header = nats.Header{}
	}
	m.Header[headExpect] = []string{strconv.FormatUint(at, 10)}
	if subject != m.Subject {
		m.Header[headExpectSubject] = []string{subject}
	}
}

// change stores a message. It sends it again as long as it was certainly not
// taken and may be later.
func (b *Bucket) change(ctx context.Context, m *nats.Msg) (revision uint64, err error) {
	if revision, err = b.r.s.put(ctx, m); err == nil || !untaken(err) {
		return revision, err
	}
	err = insist(ctx, untaken, func(ctx context.Context) error {
		revision, err = b.r.s.put(ctx, m)
		return err
	})
	return revision, err
}

func (b *Bucket) wrap(verb, key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s key %.80q in bucket %s: %w", verb, key, b.names.Bucket(), err)
}

package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Bounds of a batch.
const (
	MaxBatch      = 999     // changes; the server takes 1000, one may be ours
	MaxBatchBytes = 8 << 20 // of all values
)

// Change is one of several changes that are made all together or not at all.
type Change struct {
	Key      string
	Op       Op     // OpPut ("" is the same) or OpDelete
	Value    []byte // of a put
	Revision uint64 // the key must be at this revision; 0: whatever is there
}

// Apply makes all changes, or none if one of their revisions does not hold, and
// returns their new revisions, in the same order. Nobody sees some of them
// stored without the others; a watch gets them one after the other. A key may be
// there once.
//
// # Errors
//
// ErrConflict when a key is not at its revision. [pluginapi.ErrTooLarge] for
// more than MaxBatch changes or MaxBatchBytes. ErrRefused when the servers are
// older than 2.12 and know no batches.
func (b *Bucket) Apply(ctx context.Context, changes []Change) ([]uint64, error) {
	msgs, err := b.batch(changes)
	if err == nil && len(msgs) == 0 {
		return nil, nil
	}
	var last uint64
	if err == nil {
		last, err = b.changeAll(ctx, msgs)
	}
	if err != nil {
		return nil, fmt.Errorf("apply %d changes to bucket %s: %w", len(changes), b.names.Bucket(), err)
	}
	return revisions(last, len(changes)), nil
}

// revisions of a batch are in a row.
func revisions(last uint64, n int) []uint64 {
	out := make([]uint64, n)
	for i := range out {
		out[i] = last - uint64(n-1-i)
	}
	return out
}

// batch checks the changes, all faults at once, and makes their messages.
func (b *Bucket) batch(changes []Change) (msgs []*nats.Msg, err error) {
	if len(changes) > MaxBatch {
		return nil, fmt.Errorf("%w: %d changes, the most is %d", pluginapi.ErrTooLarge, len(changes), MaxBatch)
	}
	if !b.atomic {
		return nil, asRefused(errors.New("the stream takes no atomic batches: NATS servers before 2.12 have none: upgrade them, or allow them (allow_atomic) on the stream"))
	}
	var faults []error
	size, seen := 0, map[string]bool{}
	for i, c := range changes {
		m := &nats.Msg{Subject: b.subject(c.Key), Header: nats.Header{}}
		fault := b.check(c.Key, c.Value)
		switch {
		case fault != nil:
		case seen[c.Key]:
			fault = fmt.Errorf("%w: key %.80q is there twice", pluginapi.ErrInvalid, c.Key)
		case c.Op == OpPut || c.Op == "":
			m.Data = c.Value
		case c.Op == OpDelete && len(c.Value) == 0:
			m.Header = deletion()
		default:
			fault = fmt.Errorf("%w: op %q: give put, or delete without a value", pluginapi.ErrInvalid, c.Op)
		}
		if fault != nil {
			faults = append(faults, fmt.Errorf("change %d: %w", i+1, fault))
		}
		if c.Revision != 0 {
			b.condition(m, m.Subject, c.Revision)
		}
		seen[c.Key] = true
		size += len(c.Value)
		msgs = append(msgs, m)
	}
	if size > MaxBatchBytes {
		faults = append(faults, fmt.Errorf("%w: %d bytes of values, the most is %d", pluginapi.ErrTooLarge, size, MaxBatchBytes))
	}
	return msgs, errors.Join(faults...)
}

// changeAll stores messages as one batch and returns the sequence of the last.
func (b *Bucket) changeAll(ctx context.Context, msgs []*nats.Msg) (last uint64, err error) {
	err = insist(ctx, func(err error) bool { return untaken(err) || isAPI(err, codeBatchCut, codeBatchBusy) },
		func(ctx context.Context) error {
			last, err = b.r.s.putAll(ctx, msgs)
			return err
		})
	return last, err
}

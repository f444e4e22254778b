package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Fence makes changes of a bucket in the name of one epoch. The highest epoch
// that has made one is a message in the bucket's stream; each fenced change
// holds only if that is still its own, so the stream itself refuses an older
// leader, whatever clocks say. Its methods may be called at the same time; one
// change is on its way at a time.
//
// All return [pluginapi.ErrFenced] when a newer epoch has raised the fence, and
// [pluginapi.ErrNotLeader] when valid says no, besides the errors of [Bucket].
type Fence struct {
	b       *Bucket
	epoch   pluginapi.Epoch
	valid   func() bool
	turn    chan struct{} // holds a token while a change is on its way
	seq     uint64        // sequence of the epoch's message; 0: not raised yet. Guarded by turn
	refused atomic.Uint64
}

// fenceRecord is the message that holds the highest epoch.
type fenceRecord struct {
	Epoch pluginapi.Epoch `json:"epoch"`
}

// Fence returns the fence of an epoch; valid says whether the epoch's lease
// holds at that moment, and is asked before anything is sent.
func (b *Bucket) Fence(epoch pluginapi.Epoch, valid func() bool) *Fence {
	return &Fence{b: b, epoch: epoch, valid: valid, turn: make(chan struct{}, 1)}
}

// Epoch returns the epoch whose fence it is.
func (f *Fence) Epoch() pluginapi.Epoch { return f.epoch }

// Refused counts the changes that were refused because of a newer epoch.
func (f *Fence) Refused() uint64 { return f.refused.Load() }

// Raise makes the epoch the highest: afterwards no older one changes anything
// behind the fence. The first change of an epoch does it by itself.
func (f *Fence) Raise(ctx context.Context) error {
	err := f.inTurn(ctx, f.raise)
	if err != nil {
		return fmt.Errorf("raise fence of bucket %s to epoch %d: %w", f.b.names.Bucket(), f.epoch, err)
	}
	return nil
}

// Put is [Bucket.Put] behind the fence.
func (f *Fence) Put(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	if err = f.b.check(key, value); err == nil {
		err = f.inTurn(ctx, func(ctx context.Context) error {
			revision, err = f.change(ctx, func() (uint64, error) {
				m := &nats.Msg{Subject: f.b.subject(key), Data: value}
				f.b.condition(m, f.b.names.KVEpoch(), f.seq)
				return f.b.change(ctx, m)
			})
			return err
		})
	}
	return revision, f.b.wrap("put (fenced)", key, err)
}

// Apply is [Bucket.Apply] behind the fence.
func (f *Fence) Apply(ctx context.Context, changes []Change) (revs []uint64, err error) {
	msgs, err := f.b.batch(changes)
	if err == nil {
		err = f.inTurn(ctx, func(ctx context.Context) error {
			last, err := f.change(ctx, func() (uint64, error) {
				proof := &nats.Msg{Subject: f.b.names.KVCheck()}
				f.b.condition(proof, f.b.names.KVEpoch(), f.seq)
				return f.b.changeAll(ctx, append([]*nats.Msg{proof}, msgs...))
			})
			revs = revisions(last, len(changes))
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("apply %d changes (fenced) to bucket %s: %w", len(changes), f.b.names.Bucket(), err)
	}
	return revs, nil
}

// inTurn calls do when no other change of this fence is on its way: of two that
// name the same epoch at once the stream would refuse one.
func (f *Fence) inTurn(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return timedOut(ctx.Err())
	}
	err := do(ctx)
	if errors.Is(err, pluginapi.ErrFenced) {
		f.refused.Add(1)
	}
	return err
}

// change raises the fence if need be and makes a change. A conflict is looked
// into: the fence may have been raised, or only a key not be where it was
// expected.
func (f *Fence) change(ctx context.Context, do func() (uint64, error)) (uint64, error) {
	for {
		if err := f.raise(ctx); err != nil {
			return 0, err
		}
		if !f.valid() {
			return 0, pluginapi.ErrNotLeader
		}
		seq, err := do()
		if !errors.Is(err, ErrConflict) {
			return seq, err
		}
		was := f.seq
		f.seq = 0
		if raised := f.raise(ctx); raised != nil {
			return 0, raised
		}
		if f.seq == was || ctx.Err() != nil {
			return 0, err
		}
	}
}

// raise stores the epoch as the highest, unless it is known to be. A write of
// unknown fate needs no care: it would store the same epoch, and of all writes
// on top of one sequence the stream takes one.
func (f *Fence) raise(ctx context.Context) error {
	again := func(err error) bool { return unread(err) || errors.Is(err, ErrConflict) }
	return insist(ctx, again, func(ctx context.Context) error {
		if f.seq != 0 {
			return nil
		}
		if !f.valid() {
			return pluginapi.ErrNotLeader
		}
		ctx, cancel := context.WithTimeout(ctx, kvReadTry)
		defer cancel()
		m, err := f.b.r.s.last(ctx, f.b.names.KVEpoch())
		if err != nil {
			return err
		}
		highest, err := fenceEpoch(m)
		switch {
		case err != nil:
			return err
		case highest > f.epoch:
			return fmt.Errorf("%w: epoch %d has been here, this is %d", pluginapi.ErrFenced, highest, f.epoch)
		case highest == f.epoch:
			f.seq = m.Seq
			return nil
		}
		f.seq, err = f.store(ctx, m.Seq)
		return err
	})
}

func (f *Fence) store(ctx context.Context, after uint64) (uint64, error) {
	value, err := json.Marshal(fenceRecord{f.epoch})
	if err != nil {
		return 0, fmt.Errorf("encode epoch: %w", err)
	}
	m := &nats.Msg{Subject: f.b.names.KVEpoch(), Data: value}
	f.b.condition(m, m.Subject, after)
	return f.b.r.s.put(ctx, m)
}

// fenceEpoch decodes the highest epoch; 0 when there was none.
func fenceEpoch(m stored) (pluginapi.Epoch, error) {
	if m.Seq == 0 {
		return 0, nil
	}
	var rec fenceRecord
	if err := json.Unmarshal(m.Data, &rec); err != nil || rec.Epoch == 0 {
		return 0, asRefused(fmt.Errorf("the fence at sequence %d holds no epoch: %.80q: somebody else has written to %s", m.Seq, m.Data, m.Subject))
	}
	return rec.Epoch, nil
}

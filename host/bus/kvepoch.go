package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// EpochWriter makes fenced changes of a bucket: in the name of one epoch. The
// highest epoch that has made one is a message in the bucket's stream; each
// fenced change holds only if that is still its own, so the stream itself refuses
// an older leader, whatever clocks say. Its methods may be called at the same time; one
// change is on its way at a time.
//
// All return [pluginapi.ErrFenced] when a newer epoch has been raised, and
// [pluginapi.ErrNotLeader] when valid says no, besides the errors of [Bucket].
type EpochWriter struct {
	b       *Bucket
	epoch   pluginapi.Epoch
	valid   func() bool
	turn    chan struct{} // holds a token while a change is on its way
	seq     uint64        // sequence of the epoch's message; 0: not raised yet. Guarded by turn
	refused func()        // called for each change that a newer epoch has refused; nil: nobody
}

// epochRecord is the message that holds the highest epoch.
type epochRecord struct {
	Epoch pluginapi.Epoch `json:"epoch"`
}

// EpochWriter returns the writer of an epoch; valid says whether the epoch's
// lease holds at that moment, and is asked before anything is sent. refused, if
// not nil, is told of each change that was refused because of a newer epoch. Two
// writers of one epoch only slow each other down.
func (b *Bucket) EpochWriter(epoch pluginapi.Epoch, valid func() bool, refused func()) *EpochWriter {
	return &EpochWriter{b: b, epoch: epoch, valid: valid, refused: refused, turn: make(chan struct{}, 1)}
}

// Epoch returns the epoch that it writes in.
func (w *EpochWriter) Epoch() pluginapi.Epoch { return w.epoch }

// Raise makes the epoch the highest: afterwards no older one makes a fenced
// change. The first change of an epoch does it by itself.
func (w *EpochWriter) Raise(ctx context.Context) error {
	err := w.inTurn(ctx, w.raise)
	if err != nil {
		return fmt.Errorf("raise epoch of bucket %s to %d: %w", w.b.names.Bucket(), w.epoch, err)
	}
	return nil
}

// Put is [Bucket.Put], fenced.
func (w *EpochWriter) Put(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	if err = w.b.check(key, value); err == nil {
		err = w.inTurn(ctx, func(ctx context.Context) error {
			revision, err = w.change(ctx, func() (uint64, error) {
				m := &nats.Msg{Subject: w.b.subject(key), Data: value}
				w.b.condition(m, w.b.names.KVEpoch(), w.seq)
				return w.b.change(ctx, m)
			})
			return err
		})
	}
	return revision, w.b.wrap("put (fenced)", key, err)
}

// Apply is [Bucket.Apply], fenced.
func (w *EpochWriter) Apply(ctx context.Context, changes []Change) (revs []uint64, err error) {
	msgs, err := w.b.batch(changes)
	if err == nil {
		err = w.inTurn(ctx, func(ctx context.Context) error {
			last, err := w.change(ctx, func() (uint64, error) {
				proof := &nats.Msg{Subject: w.b.names.KVCheck()}
				w.b.condition(proof, w.b.names.KVEpoch(), w.seq)
				return w.b.changeAll(ctx, append([]*nats.Msg{proof}, msgs...))
			})
			revs = revisions(last, len(changes))
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("apply %d changes (fenced) to bucket %s: %w", len(changes), w.b.names.Bucket(), err)
	}
	return revs, nil
}

// inTurn calls do when no other change of this epoch is on its way: of two that
// name the same epoch at once the stream would refuse one.
func (w *EpochWriter) inTurn(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return timedOut(ctx.Err())
	}
	err := do(ctx)
	if errors.Is(err, pluginapi.ErrFenced) && w.refused != nil {
		w.refused()
	}
	return err
}

// change raises the epoch if need be and makes a change. A conflict is looked
// into: the epoch may have been overtaken, or only a key not be where it was
// expected.
func (w *EpochWriter) change(ctx context.Context, do func() (uint64, error)) (uint64, error) {
	for {
		if err := w.raise(ctx); err != nil {
			return 0, err
		}
		if !w.valid() {
			return 0, pluginapi.ErrNotLeader
		}
		seq, err := do()
		if !errors.Is(err, ErrConflict) {
			return seq, err
		}
		was := w.seq
		w.seq = 0
		if raised := w.raise(ctx); raised != nil {
			return 0, raised
		}
		if w.seq == was || ctx.Err() != nil {
			return 0, err
		}
	}
}

// raise stores the epoch as the highest, unless it is known to be. A write of
// unknown fate needs no care: it would store the same epoch, and of all writes
// on top of one sequence the stream takes one.
func (w *EpochWriter) raise(ctx context.Context) error {
	again := func(err error) bool { return unread(err) || errors.Is(err, ErrConflict) }
	return insist(ctx, again, func(ctx context.Context) error {
		if w.seq != 0 {
			return nil
		}
		if !w.valid() {
			return pluginapi.ErrNotLeader
		}
		ctx, cancel := context.WithTimeout(ctx, kvReadTry)
		defer cancel()
		m, err := w.b.r.s.last(ctx, w.b.names.KVEpoch())
		if err != nil {
			return err
		}
		highest, err := highestEpoch(m)
		switch {
		case err != nil:
			return err
		case highest > w.epoch:
			return fmt.Errorf("%w: epoch %d has been here, this is %d", pluginapi.ErrFenced, highest, w.epoch)
		case highest == w.epoch:
			w.seq = m.Seq
			return nil
		}
		w.seq, err = w.store(ctx, m.Seq)
		return err
	})
}

func (w *EpochWriter) store(ctx context.Context, after uint64) (uint64, error) {
	value, err := json.Marshal(epochRecord{w.epoch})
	if err != nil {
		return 0, fmt.Errorf("encode epoch: %w", err)
	}
	m := &nats.Msg{Subject: w.b.names.KVEpoch(), Data: value}
	w.b.condition(m, m.Subject, after)
	return w.b.r.s.put(ctx, m)
}

// highestEpoch decodes the highest epoch; 0 when there was none.
func highestEpoch(m stored) (pluginapi.Epoch, error) {
	if m.Seq == 0 {
		return 0, nil
	}
	var rec epochRecord
	if err := json.Unmarshal(m.Data, &rec); err != nil || rec.Epoch == 0 {
		return 0, asRefused(fmt.Errorf("the message at sequence %d holds no epoch: %.80q: somebody else has written to %s", m.Seq, m.Data, m.Subject))
	}
	return rec.Epoch, nil
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Get reads a key's value from the server that leads the stream. That may be old
// by seconds if that server has been cut off from the others and does not know
// it yet; only a change with a revision and [Bucket.GetLinearizable] prove
// anything.
//
// # Errors
//
// [pluginapi.ErrKeyNotFound] when the key has no value.
func (b *Bucket) Get(ctx context.Context, key string) (Entry, error) {
	rec, err := Record{}, b.check(key, nil)
	if err == nil {
		rec, err = b.read(ctx, key)
	}
	return b.found(key, rec, err)
}

// GetLinearizable reads a key's value as it was at a moment within the call: no
// change that was acknowledged before the call is missing. It costs a read and a
// write of a majority of the servers, and waits for changes of the key that are
// on their way.
//
// # Errors
//
// [pluginapi.ErrKeyNotFound] when the key had no value at that moment.
func (b *Bucket) GetLinearizable(ctx context.Context, key string) (Entry, error) {
	rec, err := Record{}, b.check(key, nil)
	if err == nil {
		err = insist(ctx, func(err error) bool { return unread(err) || errors.Is(err, ErrConflict) },
			func(ctx context.Context) (err error) {
				rec, err = b.readProved(ctx, key)
				return err
			})
	}
	return b.found(key, rec, err)
}

// readProved reads a key, and has the stream store a message on the condition
// that the key is still at what was read. What is not stored proves nothing.
func (b *Bucket) readProved(ctx context.Context, key string) (Record, error) {
	rec, err := b.readOnce(ctx, key)
	if err != nil {
		return Record{}, err
	}
	m := &nats.Msg{Subject: b.names.KVCheck()}
	b.condition(m, b.subject(key), rec.Seq)
	ctx, cancel := context.WithTimeout(ctx, kvReadTry)
	defer cancel()
	_, err = b.r.s.put(ctx, m)
	return rec, err
}

func (b *Bucket) readOnce(ctx context.Context, key string) (Record, error) {
	ctx, cancel := context.WithTimeout(ctx, kvReadTry)
	defer cancel()
	return b.r.get(ctx, key)
}

func (b *Bucket) found(key string, rec Record, err error) (Entry, error) {
	if err == nil && (rec.Seq == 0 || rec.deleted) {
		err = pluginapi.ErrKeyNotFound
	}
	if err != nil {
		return Entry{}, b.wrap("get", key, err)
	}
	return rec.entry(), nil
}

// read reads the newest entry of a key; Seq 0: there is none.
func (b *Bucket) read(ctx context.Context, key string) (rec Record, err error) {
	err = insist(ctx, unread, func(ctx context.Context) (err error) {
		rec, err = b.readOnce(ctx, key)
		return err
	})
	return rec, err
}

// entry is the record as users see it.
func (r Record) entry() Entry {
	e := Entry{Key: r.Key, Value: r.Value, Revision: r.Seq, Op: OpPut, Created: r.time}
	if r.deleted {
		e.Op, e.Value = OpDelete, nil
	}
	return e
}

// Keys lists the keys that begin with prefix and have a value, sorted; "" lists
// all. The prefix need not end with a dot. It reads the newest entry of each of
// them, so it costs as much as reading them all.
func (b *Bucket) Keys(ctx context.Context, prefix string) ([]string, error) {
	if err := checkPrefix(prefix); err != nil {
		return nil, b.wrap("list", prefix, err)
	}
	pattern := ">"
	if i := strings.LastIndexByte(prefix, '.'); i >= 0 {
		pattern = prefix[:i] + ".>"
	}
	var recs []Record
	err := insist(ctx, unread, func(ctx context.Context) (err error) {
		recs, _, err = b.r.list(ctx, pattern)
		return err
	})
	if err != nil {
		return nil, b.wrap("list", prefix, err)
	}
	keys := []string{}
	for _, r := range recs {
		if !r.deleted && strings.HasPrefix(r.Key, prefix) {
			keys = append(keys, r.Key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// History returns the newest KVHistory changes of a key, deletes too, oldest
// first.
//
// # Errors
//
// [pluginapi.ErrKeyNotFound] when the key was never written.
func (b *Bucket) History(ctx context.Context, key string) ([]Entry, error) {
	var out []Entry
	err := b.check(key, nil)
	if err == nil {
		err = insist(ctx, unread, func(ctx context.Context) (err error) {
			out, err = b.history(ctx, key)
			return err
		})
	}
	if err == nil && len(out) == 0 {
		err = pluginapi.ErrKeyNotFound
	}
	return out, b.wrap("read history of", key, err)
}

// history walks over the changes of a key. Those that come meanwhile push the
// oldest out.
func (b *Bucket) history(ctx context.Context, key string) (out []Entry, err error) {
	for seq := uint64(0); ; {
		ctx, cancel := context.WithTimeout(ctx, kvReadTry)
		m, err := b.r.s.next(ctx, b.subject(key), seq+1)
		cancel()
		if err != nil {
			return nil, err
		}
		if m.Seq == 0 {
			return out[max(0, len(out)-KVHistory):], nil
		}
		rec, ok := b.r.record(m)
		if !ok || rec.Key != key {
			return nil, asUnknown(fmt.Errorf("asked for %s, got %q", b.subject(key), m.Subject))
		}
		out, seq = append(out, rec.entry()), m.Seq
	}
}

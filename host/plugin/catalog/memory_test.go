package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/ozanturksever/go-cluster/host/bus"
)

// records are records in memory.
type records struct {
	mu      sync.Mutex
	seq     uint64
	all     map[string]bus.Record
	changed chan struct{} // closed at each change
	failing error
}

func newRecords() *records {
	return &records{all: map[string]bus.Record{}, changed: make(chan struct{})}
}

func (r *records) CAS(_ context.Context, key string, expect uint64, value []byte) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failing != nil {
		return 0, r.failing
	}
	if r.all[key].Seq != expect {
		return 0, fmt.Errorf("%w: is at %d", bus.ErrConflict, r.all[key].Seq)
	}
	r.seq++
	r.all[key] = bus.Record{Key: key, Seq: r.seq, Value: bytes.Clone(value)}
	close(r.changed)
	r.changed = make(chan struct{})
	return r.seq, nil
}

func (r *records) Get(_ context.Context, key string) (bus.Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[key], nil
}

func (r *records) List(_ context.Context, pattern string) (out []bus.Record, err error) {
	out, _ = r.after(pattern, 0)
	return out, nil
}

func (r *records) after(pattern string, seq uint64) (out []bus.Record, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, rec := range r.all {
		if strings.HasPrefix(key, strings.TrimSuffix(pattern, "*")) && rec.Seq > seq {
			out = append(out, rec)
		}
	}
	slices.SortFunc(out, func(a, b bus.Record) int { return int(a.Seq) - int(b.Seq) })
	return out, r.changed
}

func (r *records) Watch(ctx context.Context, pattern string, fn func([]bus.Record)) error {
	seq := uint64(0)
	for first := true; ; first = false {
		recs, changed := r.after(pattern, seq)
		if len(recs) > 0 {
			seq = recs[len(recs)-1].Seq
		}
		if first || len(recs) > 0 {
			fn(recs)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// blobs are blobs in memory.
type blobs struct {
	mu   sync.Mutex
	all  map[string][]byte
	down error
	put  func() // called behind each Put
}

func (b *blobs) Put(_ context.Context, name string, r io.Reader) (string, int64, error) {
	data, err := io.ReadAll(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all[name] = data
	if b.put != nil {
		defer b.put()
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), int64(len(data)), err
}

func (b *blobs) Get(_ context.Context, name string) (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down != nil {
		return nil, b.down
	}
	if data, ok := b.all[name]; ok {
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	return nil, bus.ErrBlobNotFound
}

func (b *blobs) Delete(_ context.Context, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.all[name]; !ok {
		return bus.ErrBlobNotFound
	}
	delete(b.all, name)
	return nil
}

func (b *blobs) names() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.all))
}

package replication_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication"
	"github.com/ozanturksever/go-cluster/replication/snapshot"
)

// feed is a stream in memory, whose answers may be lost, late or wrong.
type feed struct {
	mu      sync.Mutex
	r       *rand.Rand
	faults  int // of a hundred appends
	first   uint64
	all     []replication.Message
	changed chan struct{}
	late    []func()
}

func newFeed(seed uint64, faults int) *feed {
	return &feed{r: rand.New(rand.NewPCG(seed, 1)), faults: faults, first: 1, changed: make(chan struct{})}
}

var errAnswer = errors.New("no answer")

func (f *feed) head() (h replication.Head) {
	for _, m := range f.all {
		if m.Epoch != 0 {
			h.Epoch, h.EpochSeq = m.Epoch, m.Seq
		} else {
			h.Last, h.LastSeq = m.Data, m.Seq
		}
	}
	return h
}

func (f *feed) add(epoch uint64, data []byte) uint64 {
	m := replication.Message{Seq: uint64(len(f.all) + 1), Epoch: epoch, Data: data}
	f.all = append(f.all, m)
	close(f.changed)
	f.changed = make(chan struct{})
	return m.Seq
}

func (f *feed) Raise(_ context.Context, epoch uint64) (replication.Head, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.head()
	if h.Epoch > epoch {
		return h, pluginapi.ErrFenced
	}
	if h.Epoch < epoch {
		f.add(epoch, nil)
	}
	return f.head(), nil
}

func (f *feed) Head(context.Context) (replication.Head, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.faults > 0 && f.r.IntN(4) == 0 {
		return replication.Head{}, errAnswer
	}
	return f.head(), nil
}

func (f *feed) Append(_ context.Context, after uint64, messages [][]byte) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	write := func() (seq uint64, err error) {
		if after != uint64(len(f.all)) {
			return 0, errors.New("wrong last sequence")
		}
		for _, m := range messages {
			seq = f.add(0, slices.Clone(m))
		}
		return seq, nil
	}
	for _, l := range f.late {
		if f.r.IntN(2) == 0 {
			l()
		}
	}
	f.late = nil
	if f.r.IntN(100) >= f.faults {
		return write()
	}
	switch f.r.IntN(3) {
	case 0:
		_, _ = write()
	case 1:
		f.late = append(f.late, func() { _, _ = write() })
	}
	return 0, errAnswer
}

func (f *feed) Follow(ctx context.Context, seq uint64, fn func(replication.Message)) error {
	for {
		f.mu.Lock()
		seq = max(seq, f.first)
		var next []replication.Message
		if seq <= uint64(len(f.all)) {
			next = slices.Clone(f.all[seq-1:])
		}
		changed := f.changed
		f.mu.Unlock()
		for _, m := range next {
			if ctx.Err() != nil {
				return nil
			}
			fn(m)
			seq = m.Seq + 1
		}
		if len(next) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

func (f *feed) Bounds(context.Context) (first, last uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.first, uint64(len(f.all)), nil
}

// trim drops all messages before seq.
func (f *feed) trim(seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.first = seq
}

func (f *feed) last() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.head().LastSeq
}

// shelf keeps manifests and chunks in memory.
type shelf struct {
	mu        sync.Mutex
	manifests []snapshot.Manifest
	lists     int // times that they were listed
	chunks    map[snapshot.Digest][]byte
}

func newShelf() *shelf { return &shelf{chunks: map[snapshot.Digest][]byte{}} }

func (s *shelf) List(context.Context) ([]snapshot.Manifest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	return slices.Clone(s.manifests), nil
}

func (s *shelf) listed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists
}

// store is the chunks of a shelf.
type store struct{ *shelf }

func (s *shelf) Put(_ context.Context, m snapshot.Manifest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manifests = append(s.manifests, m)
	return nil
}

func (s store) Put(_ context.Context, d [sha256.Size]byte, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chunks[d] = slices.Clone(data)
	return nil
}

func (s store) Get(_ context.Context, d [sha256.Size]byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.chunks[d]
	if !ok {
		return nil, pluginapi.ErrKeyNotFound
	}
	return data, nil
}

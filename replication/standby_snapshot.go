package replication

import (
	"context"
	"errors"
	"fmt"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication/flow"
	"github.com/ozanturksever/go-cluster/replication/snapshot"
	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// pinning is a wish for the copy as it is between two changes.
type pinning struct {
	ctx  context.Context
	done chan pinned
}

type pinned struct {
	p   *sqlite.Pinned
	at  flow.Position
	seq uint64
	err error
}

// errNotFollowing is what a snapshot of a copy that does not follow says.
var errNotFollowing = errors.New("the copy does not follow the feed at the moment")

// Snapshot takes a snapshot of the copy, as it is between two changes, while
// changes go on, and stores it. m says whose it is: id, platform, app, node and
// time; last, if not nil, is the newest one: chunks that it has are not stored
// again.
//
// # Errors
//
// When the copy does not follow; those of the store.
func (s *Standby) Snapshot(ctx context.Context, m snapshot.Manifest, last *snapshot.Manifest) (snapshot.Manifest, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.Grace/2)
	defer cancel()
	wish := pinning{ctx, make(chan pinned, 1)}
	select {
	case s.pins <- wish:
	case <-s.ended:
		return m, fmt.Errorf("take snapshot of %s: %w", s.cfg.Path, pluginapi.ErrShuttingDown)
	case <-ctx.Done():
		return m, fmt.Errorf("take snapshot of %s: %w", s.cfg.Path, ctx.Err())
	}
	got := <-wish.done
	if got.err != nil {
		return m, fmt.Errorf("take snapshot of %s: %w", s.cfg.Path, got.err)
	}
	defer s.reading.Done()
	defer got.p.Close()
	m, err := keepSnapshot(ctx, m, got, last, s.cfg.Chunks, s.cfg.Shelf)
	if err != nil {
		return m, fmt.Errorf("take snapshot of %s: %w", s.cfg.Path, err)
	}
	return m, nil
}

// keepSnapshot stores a pinned database and then its manifest.
func keepSnapshot(ctx context.Context, m snapshot.Manifest, got pinned, last *snapshot.Manifest, chunks snapshot.Store, shelf Shelf) (snapshot.Manifest, error) {
	m.Epoch, m.TX, m.Seq = got.at.Epoch, got.at.TX, got.seq
	m.PageSize, m.Pages = got.p.PageSize(), got.p.Pages()
	m, err := snapshot.Take(ctx, m, got.p, last, chunks)
	if err != nil {
		return m, err
	}
	if m.Sum != got.p.Sum() {
		return m, fmt.Errorf("its checksum is %016x, that of the database %016x", uint64(m.Sum), uint64(got.p.Sum()))
	}
	return m, shelf.Put(ctx, m)
}

// pin answers a wish, between two changes.
func (s *Standby) pin(w pinning) {
	at, seq, follows := s.machine.Position()
	if !follows || s.applier.Table().Sum() != at.Sum || at.TX == 0 {
		w.done <- pinned{err: errNotFollowing}
		return
	}
	p, err := s.applier.Pin(w.ctx)
	if err == nil {
		s.reading.Add(1)
	}
	w.done <- pinned{p, at, seq, err}
}

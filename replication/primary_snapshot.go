package replication

import (
	"context"
	"errors"
	"fmt"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication/flow"
	"github.com/ozanturksever/go-cluster/replication/snapshot"
)

// mark waits until a transaction, the last one of a change, is in the feed.
type mark struct {
	tx   uint64
	done chan stored
}

// stored is where the feed has it.
type stored struct {
	at  flow.Position
	seq uint64
}

// errNothing is what a snapshot of a database that has never had a transaction says.
var errNothing = errors.New("there is nothing in it yet")

// Snapshot takes a snapshot of the database, as it is between two transactions,
// while its service writes, and stores it; see [Standby.Snapshot]. The feed has
// all that is in it before it is on the shelf. Until it is stored the log of the
// database grows with what is written: where there is a standby, that one takes
// snapshots at no cost to the service.
//
// # Errors
//
// [pluginapi.ErrFenced] when a newer epoch is there, [pluginapi.ErrShuttingDown]
// when Run has ended, [pluginapi.ErrBusy] when it is to be tried again; those of
// the store.
func (p *Primary) Snapshot(ctx context.Context, m snapshot.Manifest, last *snapshot.Manifest) (snapshot.Manifest, error) {
	m, err := p.takeSnapshot(ctx, m, last)
	if err != nil {
		return m, fmt.Errorf("take snapshot of %s: %w", p.cfg.Path, err)
	}
	return m, nil
}

func (p *Primary) takeSnapshot(ctx context.Context, m snapshot.Manifest, last *snapshot.Manifest) (snapshot.Manifest, error) {
	if p.cfg.Shelf == nil {
		return m, fmt.Errorf("%w: this primary was given no shelf", pluginapi.ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(ctx, snapshot.Grace/2)
	defer cancel()
	w, reads := mark{done: make(chan stored, 1)}, false
	db, err := p.capture.Pin(ctx, func() { // nothing is on its way to the encoder
		p.reading.Add(1)
		reads = true
		w.tx = p.encoder.tx
		p.wait(w)
	})
	if reads {
		defer p.reading.Done()
	}
	if err != nil {
		return m, err
	}
	defer db.Close()
	if w.tx == 0 {
		return m, errNothing
	}
	s, err := p.reached(ctx, w)
	if err != nil {
		return m, err
	}
	if s.at.Sum != db.Sum() {
		return m, fmt.Errorf("its checksum is %016x, that of the feed %016x", uint64(db.Sum()), uint64(s.at.Sum))
	}
	return keepSnapshot(ctx, m, pinned{p: db, at: s.at, seq: s.seq}, last, p.cfg.Chunks, p.cfg.Shelf)
}

// wait enters a mark.
func (p *Primary) wait(w mark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.marks = append(p.marks, w)
	p.answerMarks()
}

// answerMarks answers the marks that have come true. p.mu is held.
func (p *Primary) answerMarks() {
	left := p.marks[:0]
	for _, w := range p.marks {
		switch {
		case w.tx == p.durable.TX:
			w.done <- stored{p.durable, p.seq}
		case w.tx > p.durable.TX:
			left = append(left, w)
		}
	}
	p.marks = left
}

// reached waits for a mark.
func (p *Primary) reached(ctx context.Context, w mark) (stored, error) {
	for {
		p.mu.Lock()
		fenced, changed := p.fenced, p.changed
		p.mu.Unlock()
		select {
		case s := <-w.done:
			return s, nil
		default:
		}
		if fenced {
			return stored{}, fmt.Errorf("%w: the feed does not have all of it", pluginapi.ErrFenced)
		}
		select {
		case s := <-w.done:
			return s, nil
		case <-changed:
		case <-ctx.Done():
			return stored{}, ctx.Err()
		}
	}
}

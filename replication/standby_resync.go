package replication

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ozanturksever/go-cluster/replication/flow"
	"github.com/ozanturksever/go-cluster/replication/snapshot"
	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// resyncPause is between two looks for a snapshot that leads on.
const resyncPause = time.Second

// resync brings the copy to a snapshot from which the feed leads on: pages that
// differ are taken over in one transaction, so that whoever reads the copy finds
// one state or the other.
func (s *Standby) resync(ctx context.Context, why flow.Why) error {
	if s.from > 1 && !s.anew { // it may be elsewhere than it was thought to be
		s.anew = true
		return nil
	}
	at, _, _ := s.machine.Position()
	s.cfg.Logger.Warn("the feed does not lead on from the copy: comparing it with a snapshot",
		"database", s.cfg.Path, "why", why, "epoch", at.Epoch, "tx", at.TX)
	s.note(func() { s.follows = false; s.stats.Resyncs[why]++ })
	m, err := s.snapshot(ctx)
	if errors.Is(err, errRebuild) {
		return s.rebuild(ctx)
	}
	if err != nil {
		return err
	}
	if err := s.takeOver(ctx, m); err != nil {
		return err
	}
	s.cache, s.commit = newCache(), m.Pages
	s.cfg.Logger.Info("copy is at a snapshot", "database", s.cfg.Path, "snapshot", m.ID, "tx", m.TX, "sequence", m.Seq)
	return remember(s.cfg.Path, place{Epoch: m.Epoch, TX: m.TX, Seq: m.Seq, Sum: m.Sum})
}

// errRebuild says that there is no snapshot, but all of the feed.
var errRebuild = errors.New("the copy is made anew from the feed")

// Aside is between the path of a copy that was kept aside and the time.
const Aside = ".diverged-"

// rebuild moves the copy aside, for it has what nobody else has, with a report
// beside it, and begins with an empty one.
func (s *Standby) rebuild(ctx context.Context) error {
	if err := s.moveAside(ctx); err != nil {
		return err
	}
	if err := s.reopen(ctx); err != nil {
		return err
	}
	s.cache, s.commit = newCache(), 0
	return remember(s.cfg.Path, place{})
}

// reopen opens the copy, which may not be there, after it was closed.
func (s *Standby) reopen(ctx context.Context) error {
	a, err := sqlite.OpenApplier(ctx, s.cfg.Path, s.cfg.Apply)
	if err != nil {
		return fmt.Errorf("%w: %w", errCopy, err)
	}
	s.applier = a
	return nil
}

// moveAside closes the copy and keeps it under another name, with a report of
// what it has beside it.
func (s *Standby) moveAside(ctx context.Context) error {
	s.reading.Wait()
	s.applier.Close()
	aside := fmt.Sprintf("%s%s%s", s.cfg.Path, Aside, time.Now().UTC().Format("20060102T150405.000Z"))
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := os.Rename(s.cfg.Path+suffix, aside+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: move it aside: %w", errCopy, err)
		}
	}
	s.cfg.Logger.Warn("the copy has what the feed does not have: it is kept aside and made anew", "database", s.cfg.Path, "aside", aside)
	if head, err := s.cfg.Feed.Head(ctx); err == nil {
		if err := reportDiverged(ctx, s.cfg.Path, aside, head); err != nil {
			s.cfg.Logger.Warn("what the database aside has is not written down", "aside", aside, "err", err)
		}
	}
	s.note(func() { s.stats.Aside = append(s.stats.Aside, aside) })
	return nil
}

// snapshot returns the newest one from which the feed leads on, and waits for
// one.
func (s *Standby) snapshot(ctx context.Context) (snapshot.Manifest, error) {
	for asked := false; ; {
		first, last, err := s.cfg.Feed.Bounds(ctx)
		if err != nil {
			return snapshot.Manifest{}, err
		}
		all, err := s.cfg.Shelf.List(ctx)
		if err != nil {
			return snapshot.Manifest{}, err
		}
		// Not as long as this node may be promoted with what only it has.
		if head, err := s.cfg.Feed.Head(ctx); err == nil && head.Epoch > remembered(s.cfg.Path).Primary {
			// Behind the snapshot's message there must be all others; one at or above the
			// feed's last message means that they are not of the same feed.
			if m, found := snapshot.At(all, 0); found && m.Seq+1 >= first && m.Seq <= last {
				return m, nil
			}
			if s.whole && first <= 1 {
				return snapshot.Manifest{}, errRebuild
			}
		}
		if !asked && s.cfg.Want != nil {
			asked = true
			s.cfg.Want(ctx)
		}
		select {
		case <-time.After(resyncPause):
		case <-ctx.Done():
			return snapshot.Manifest{}, ctx.Err()
		}
	}
}

// takeOver makes the copy what the snapshot is.
func (s *Standby) takeOver(ctx context.Context, m snapshot.Manifest) error {
	table := s.applier.Table()
	switch {
	case table.Pages() == 0:
		s.applier.Close()
		return s.restore(ctx, m)
	case table.Sum() == m.Sum:
		return nil
	case table.PageSize() != m.PageSize || remembered(s.cfg.Path).Primary != 0:
		// It led last, and may have what nobody else has.
		if err := s.moveAside(ctx); err != nil {
			return err
		}
		return s.restore(ctx, m)
	}
	return s.difference(ctx, m, table)
}

// restore makes the copy, which is closed and not there.
func (s *Standby) restore(ctx context.Context, m snapshot.Manifest) error {
	failed := snapshot.Restore(ctx, m, s.cfg.Chunks, s.cfg.Path)
	if err := s.reopen(ctx); err != nil || failed != nil {
		return errors.Join(failed, err)
	}
	if sum := s.applier.Table().Sum(); sum != m.Sum {
		return fmt.Errorf("%w: restored with the checksum %016x, the snapshot has %016x", errCopy, sum, m.Sum)
	}
	return nil
}

// difference applies the pages of the snapshot that the copy does not have.
func (s *Standby) difference(ctx context.Context, m snapshot.Manifest, table *sqlite.Table) error {
	change := sqlite.Change{PageSize: m.PageSize, Commit: m.Pages, TX: 1, Pre: table.Sum(), Post: m.Sum}
	hashes := table.Hashes()
	err := snapshot.Each(ctx, m, s.cfg.Chunks, func(pages []snapshot.Page, last bool) error {
		change.Pages, change.More = change.Pages[:0], !last
		for _, p := range pages {
			if int(p.Number) > len(hashes) || hashes[p.Number-1] != p.Hash {
				change.Pages = append(change.Pages, p.Page)
			}
		}
		if err := s.applier.Apply(ctx, change); err != nil {
			return err
		}
		change.Part++
		return nil
	})
	if err != nil {
		return fmt.Errorf("take over snapshot %s: %w", m.ID, err)
	}
	return nil
}

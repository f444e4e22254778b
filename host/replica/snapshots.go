package replica

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication"
	"github.com/ozanturksever/go-cluster/replication/snapshot"
)

// SnapshotConfig is how the snapshots of a database are taken and kept.
type SnapshotConfig struct {
	Platform, App, Node string
	Interval            time.Duration      // between two, if something has changed
	Retention           snapshot.Retention // which ones are kept
	// Turn is the place of this node among those that keep copies, from 0; take is
	// false when it keeps none, and upkeep false when another one sees to them.
	Turn func() (rank int, take, upkeep bool)
	// Now is the clock; nil: the machine's.
	Now func() time.Time
}

// Snapshots takes, keeps and drops the snapshots of a database. Its methods may
// be called at the same time.
type Snapshots struct {
	k   *Keeper
	cfg SnapshotConfig

	mu     sync.Mutex
	taking sync.Mutex // one at a time
	seenID string     // the newest that was seen, and when first
	seen   time.Time
	state  SnapshotState
}

// SnapshotState is what is known of the snapshots of a database.
type SnapshotState struct {
	Newest    snapshot.Manifest // without its chunks; ID "" when none is known
	FeedBytes uint64            // stored for the feed now, before replication
	Chunks    uint64            // bytes stored for snapshots and large changes, before replication
	Err       error             // what the last look failed with
	Failures  uint64            // looks that have failed
}

// NewSnapshots returns the snapshots of the database of a keeper.
func NewSnapshots(k *Keeper, cfg SnapshotConfig) *Snapshots {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Snapshots{k: k, cfg: cfg}
}

// State returns what is known now.
func (s *Snapshots) State() SnapshotState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// mostLook bounds the pause between two looks at what there is to do.
const mostLook = 5 * time.Minute

// Run does what is due until ctx ends. What fails is logged, shown by State, and
// tried again.
func (s *Snapshots) Run(ctx context.Context) {
	const first = time.Second // as long as nothing is known
	look := time.NewTimer(first)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		err := s.Tend(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.k.cfg.Logger.Warn("tend snapshots", "database", s.k.cfg.Path, "err", err)
		}
		s.note(func(st *SnapshotState) {
			if st.Err = err; err != nil {
				st.Failures++
			}
		})
		look.Reset(first)
		if s.State().FeedBytes > 0 {
			look.Reset(min(max(s.cfg.Interval/20, first), mostLook))
		}
	}
}

func (s *Snapshots) note(change func(*SnapshotState)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.state)
}

// Tend does once what is due: a snapshot, the retention, the trimming of the
// feed, the sweeping of chunks.
func (s *Snapshots) Tend(ctx context.Context) error {
	tools, _, err := s.k.Tools()
	if errors.Is(err, pluginapi.ErrBusy) {
		return nil // the keeper says why
	}
	if err := s.measure(ctx, tools); err != nil {
		return err
	}
	rank, take, upkeep := s.cfg.Turn()
	if !take && !upkeep {
		return nil
	}
	all, err := tools.Shelf.List(ctx)
	if err != nil {
		return err
	}
	if from, epoch, tx := s.k.source(); take && from != nil && s.due(all, epoch, tx, rank) {
		m, err := s.take(ctx, from, all)
		if err != nil {
			return err
		}
		all = append(all, m)
	}
	if upkeep {
		return s.upkeep(ctx, tools, all)
	}
	return nil
}

// measure looks how much is stored.
func (s *Snapshots) measure(ctx context.Context, tools Tools) error {
	feed, err := tools.Feed.Bytes(ctx)
	if err != nil {
		return err
	}
	chunks, err := tools.Chunks.Bytes(ctx)
	if err != nil {
		return err
	}
	s.note(func(st *SnapshotState) { st.FeedBytes, st.Chunks = feed, chunks })
	return nil
}

// due says whether it is this node's turn to take a snapshot, of a database that
// has changed since the last one.
func (s *Snapshots) due(all []snapshot.Manifest, epoch, tx uint64, rank int) bool {
	last, found := newest(all)
	if !found {
		return rank == 0
	}
	now := s.cfg.Now()
	s.saw(*last, now)
	return (epoch != last.Epoch || tx != last.TX) && !now.Before(dueAt(last, s.seen, s.cfg.Interval, rank))
}

// saw notes the newest snapshot.
func (s *Snapshots) saw(m snapshot.Manifest, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seenID != m.ID {
		s.seenID, s.seen = m.ID, now
	}
	m.Chunks = nil
	s.state.Newest = m
}

// Create takes a snapshot now, whether something has changed or not.
//
// # Errors
//
// [pluginapi.ErrNoStandby] when this node has neither a copy that follows nor an original; those of
// the stores.
func (s *Snapshots) Create(ctx context.Context) (snapshot.Manifest, error) {
	tools, _, err := s.k.Tools()
	if err != nil {
		return snapshot.Manifest{}, err
	}
	from, _, _ := s.k.source()
	if _, original := from.(*replication.Primary); original {
		if _, take, _ := s.cfg.Turn(); !take {
			return snapshot.Manifest{}, fmt.Errorf("create snapshot: %w here: this node leads, a node that keeps a copy takes it at no cost to the service", pluginapi.ErrNoStandby)
		}
	}
	if from == nil {
		return snapshot.Manifest{}, fmt.Errorf("create snapshot: %w: there is nothing in the database yet, or this node's copy does not follow at the moment", pluginapi.ErrNoStandby)
	}
	all, err := tools.Shelf.List(ctx)
	if err != nil {
		return snapshot.Manifest{}, err
	}
	return s.take(ctx, from, all)
}

// idTime is the form of the time in an id, which sorts as time does.
const idTime = "20060102T150405.000Z"

func (s *Snapshots) take(ctx context.Context, from source, all []snapshot.Manifest) (snapshot.Manifest, error) {
	s.taking.Lock()
	defer s.taking.Unlock()
	now := s.cfg.Now().UTC()
	last, found := newest(all)
	if !found {
		last = nil
	}
	m, err := from.Snapshot(ctx, snapshot.Manifest{
		ID: now.Format(idTime) + "-" + s.cfg.Node, Platform: s.cfg.Platform, App: s.cfg.App, Node: s.cfg.Node, Time: now,
	}, last)
	if err != nil {
		return m, err
	}
	s.saw(m, now)
	s.k.cfg.Logger.Info("snapshot", "database", s.k.cfg.Path, "id", m.ID, "tx", m.TX, "bytes", m.Size())
	return m, nil
}

// upkeep drops what is kept no longer.
func (s *Snapshots) upkeep(ctx context.Context, tools Tools, all []snapshot.Manifest) error {
	now := s.cfg.Now().UTC()
	for _, m := range s.cfg.Retention.Drop(all, now) {
		if err := s.drop(ctx, tools, m); err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(o snapshot.Manifest) bool { return o.ID == m.ID })
		all[i].Deleted = now
	}
	head, err := tools.Feed.Head(ctx)
	if err != nil {
		return err
	}
	if seq := trimAfter(all, head.LastSeq, now); seq > 0 {
		if err := tools.Feed.Trim(ctx, seq+1); err != nil {
			return err
		}
	}
	begun, err := tools.Feed.Begun(ctx)
	if err != nil {
		return err
	}
	forget, keep := snapshot.Swept(all, now)
	swept, err := tools.Chunks.Sweep(ctx, func(d [32]byte) bool { return keep[d] }, sweepBefore(begun, now))
	if err != nil {
		return err
	}
	for _, m := range forget {
		if err := tools.Shelf.Forget(ctx, m.ID); err != nil {
			return err
		}
	}
	if swept > 0 || len(forget) > 0 {
		s.k.cfg.Logger.Info("snapshots swept", "database", s.k.cfg.Path, "chunks", swept, "manifests", len(forget))
	}
	return nil
}

// drop marks a snapshot as deleted.
func (s *Snapshots) drop(ctx context.Context, tools Tools, m snapshot.Manifest) error {
	m.Deleted = s.cfg.Now().UTC()
	if err := tools.Shelf.Put(ctx, m); err != nil {
		return fmt.Errorf("delete snapshot %s: %w", m.ID, err)
	}
	s.k.cfg.Logger.Info("snapshot deleted", "database", s.k.cfg.Path, "id", m.ID)
	return nil
}

// List returns the snapshots that are not deleted, oldest first.
func (s *Snapshots) List(ctx context.Context) ([]snapshot.Manifest, error) {
	tools, _, err := s.k.Tools()
	if err != nil {
		return nil, err
	}
	all, err := tools.Shelf.List(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(m snapshot.Manifest) bool { return !m.Deleted.IsZero() })
	slices.SortFunc(all, snapshot.Compare)
	return all, nil
}

// Find returns a snapshot, and the store of its chunks.
//
// # Errors
//
// [pluginapi.ErrKeyNotFound]; [pluginapi.ErrInvalid] when it is of another
// platform or app.
func (s *Snapshots) Find(ctx context.Context, id string) (m snapshot.Manifest, chunks snapshot.Store, err error) {
	tools, _, err := s.k.Tools()
	if err != nil {
		return m, nil, err
	}
	if m, err = tools.Shelf.Get(ctx, id); err == nil && !m.Deleted.IsZero() {
		err = fmt.Errorf("%w: it was deleted", pluginapi.ErrKeyNotFound)
	}
	if err == nil && (m.Platform != s.cfg.Platform || m.App != s.cfg.App) {
		err = fmt.Errorf("%w: it is of app %s of platform %s", pluginapi.ErrInvalid, m.App, m.Platform)
	}
	if err != nil {
		return snapshot.Manifest{}, nil, fmt.Errorf("find snapshot %.100q: %w", id, err)
	}
	return m, tools.Chunks, nil
}

// Chunk returns what is stored under a digest.
func (s *Snapshots) Chunk(ctx context.Context, d snapshot.Digest) ([]byte, error) {
	tools, _, err := s.k.Tools()
	if err != nil {
		return nil, err
	}
	return tools.Chunks.Get(ctx, d)
}

// Delete marks a snapshot as deleted; its chunks are swept [snapshot.Grace]
// later. The only one is kept: copies that come later may need it.
//
// # Errors
//
// Those of Find; [pluginapi.ErrInvalid] for the only one.
func (s *Snapshots) Delete(ctx context.Context, id string) error {
	m, _, err := s.Find(ctx, id)
	if err != nil {
		return err
	}
	all, err := s.List(ctx)
	if err != nil {
		return err
	}
	if len(all) < 2 {
		return fmt.Errorf("delete snapshot %s: %w: it is the only one, and a copy that is made later needs it: create another one before", id, pluginapi.ErrInvalid)
	}
	tools, _, err := s.k.Tools()
	if err != nil {
		return err
	}
	return s.drop(ctx, tools, m)
}

// Restore makes the database of a snapshot at a path where nothing is.
//
// # Errors
//
// Those of Find and of [snapshot.Restore]; [pluginapi.ErrInvalid] for the path of
// the database that is replicated.
func (s *Snapshots) Restore(ctx context.Context, id, path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) == s.k.cfg.Path {
		return fmt.Errorf("restore snapshot %s to %s: %w: give the full path of another file than the database that is replicated", id, path, pluginapi.ErrInvalid)
	}
	m, chunks, err := s.Find(ctx, id)
	if err != nil {
		return err
	}
	return snapshot.Restore(ctx, m, chunks, path)
}

// Verify reads all of a snapshot and compares its checksums.
//
// # Errors
//
// Those of Find; what is damaged or missing.
func (s *Snapshots) Verify(ctx context.Context, id string) error {
	m, chunks, err := s.Find(ctx, id)
	if err != nil {
		return err
	}
	return snapshot.Verify(ctx, m, chunks)
}

package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/host"
	"github.com/ozanturksever/go-cluster/host/replica"
)

// SQLiteSnapshotInterval sets the time between two snapshots of the database;
// none is taken when nothing has changed. 10 s or more (default 1 h).
func SQLiteSnapshotInterval(d time.Duration) SQLiteOption {
	return func(o *host.Database) { o.Interval = d }
}

// SQLiteRetention sets for how long snapshots are kept (default 24 h). The newest
// two are kept whatever their age.
func SQLiteRetention(d time.Duration) SQLiteOption {
	return func(o *host.Database) { o.Retention = d }
}

// SQLiteStorageAlarm sets how many bytes the feed, or the chunks of snapshots,
// may take on a server before status warns (default 8 GiB).
func SQLiteStorageAlarm(bytes uint64) SQLiteOption {
	return func(o *host.Database) { o.Alarm = bytes }
}

// Snapshots returns the snapshots of the app's database; nil when it has none.
func (a *App) Snapshots() *SnapshotManager {
	if a.database == nil {
		return nil
	}
	return &SnapshotManager{a}
}

// SnapshotManager takes and keeps whole copies of a database. They are taken of
// the copy of a standby, once in an interval and on demand, and stored on the
// platform's servers.
type SnapshotManager struct{ app *App }

// Snapshot is a whole database as it was after one transaction.
type Snapshot struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"` // by the clock of the node that took it
	Size      int64     `json:"size"`       // of the database, in bytes
	Checksum  string    `json:"checksum"`   // of the database
	NodeID    string    `json:"node_id"`    // that took it
	Position  Position  `json:"position"`
}

func (m *SnapshotManager) snapshots() (*host.Node, *replica.Snapshots, error) {
	n := m.app.platform.host()
	if n == nil || n.Snapshots(m.app.name) == nil {
		return nil, nil, fmt.Errorf("%w: app %s does not run: register it and run the platform", ErrInvalid, m.app.name)
	}
	return n, n.Snapshots(m.app.name), nil
}

// Create takes a snapshot now, on this node or another that keeps a copy.
//
// # Errors
//
// ErrNoStandby when there is no copy that follows; those of the servers.
func (m *SnapshotManager) Create(ctx context.Context) (Snapshot, error) {
	n, _, err := m.snapshots()
	if err != nil {
		return Snapshot{}, err
	}
	s, err := n.CreateSnapshot(ctx, m.app.name)
	if err != nil {
		return Snapshot{}, err
	}
	return Snapshot{s.ID, s.Time, s.Size, s.Checksum, s.Node, Position{s.Epoch, s.TX}}, nil
}

// List returns all snapshots, oldest first.
func (m *SnapshotManager) List(ctx context.Context) ([]Snapshot, error) {
	_, all, err := m.snapshots()
	if err != nil {
		return nil, err
	}
	list, err := all.List(ctx)
	out := make([]Snapshot, 0, len(list))
	for _, x := range list {
		s := host.Shown(x)
		out = append(out, Snapshot{s.ID, s.Time, s.Size, s.Checksum, s.Node, Position{s.Epoch, s.TX}})
	}
	return out, err
}

// Latest returns the newest snapshot.
//
// # Errors
//
// ErrKeyNotFound when there is none.
func (m *SnapshotManager) Latest(ctx context.Context) (Snapshot, error) {
	all, err := m.List(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	if len(all) == 0 {
		return Snapshot{}, fmt.Errorf("latest snapshot of %s: %w", m.app.name, ErrKeyNotFound)
	}
	return all[len(all)-1], nil
}

// Restore makes the database of a snapshot at dest, an absolute path where
// nothing is. It is checked as a whole before it appears there. The database
// that is replicated is not touched: to go back to a snapshot, see
// docs/sqlite.md.
//
// # Errors
//
// ErrKeyNotFound for no such snapshot, ErrKeyExists when something is at dest,
// ErrInvalid for the path of the replicated database or a snapshot of another
// platform; what is damaged.
func (m *SnapshotManager) Restore(ctx context.Context, id, dest string) error {
	_, all, err := m.snapshots()
	if err != nil {
		return err
	}
	return all.Restore(ctx, id, dest)
}

// Delete deletes a snapshot. The last one is kept.
//
// # Errors
//
// ErrKeyNotFound; ErrInvalid for the last one.
func (m *SnapshotManager) Delete(ctx context.Context, id string) error {
	_, all, err := m.snapshots()
	if err != nil {
		return err
	}
	return all.Delete(ctx, id)
}

// Verify reads all of a snapshot and compares its checksums.
func (m *SnapshotManager) Verify(ctx context.Context, id string) error {
	_, all, err := m.snapshots()
	if err != nil {
		return err
	}
	return all.Verify(ctx, id)
}

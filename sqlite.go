package cluster

import (
	"context"
	"fmt"

	"github.com/ozanturksever/go-cluster/host"
	"github.com/ozanturksever/go-cluster/host/replica"
)

// SQLiteOption changes how a database is replicated.
type SQLiteOption func(*host.Database)

// WithSQLite replicates the SQLite database at path: the node that leads the app
// feeds its changes to the others, which keep a copy at the same path and can
// take over at any moment. The app, or its backend, writes the file with any
// SQLite library while it leads, in WAL mode; on the other nodes it may be read.
// The path is absolute, on a local file system; the file may not be there yet.
// Linux only. See docs/sqlite.md.
func WithSQLite(path string, opts ...SQLiteOption) AppOption {
	return func(a *App) {
		d := &host.Database{Path: path}
		for i, o := range opts {
			if o == nil {
				a.fault("WithSQLite: option %d is nil", i+1)
				continue
			}
			o(d)
		}
		a.database = d
	}
}

// WAL returns what is known of the replication of the app's database; nil when
// it has none.
func (a *App) WAL() *WALManager {
	if a.database == nil {
		return nil
	}
	return &WALManager{a}
}

// WALManager tells where the replication of a database stands.
type WALManager struct{ app *App }

// Position is a state of a database: after which transaction of the feed, in
// which epoch.
type Position struct {
	Epoch uint64 `json:"epoch"`
	TX    uint64 `json:"tx"`
}

// ReplicationLag is how far a node is behind, or ahead of what is safe.
type ReplicationLag struct {
	// Transactions: on the leader those that are committed and not yet on disk at a
	// majority of the servers, which the loss of this machine would lose; on
	// another node those that its copy does not have yet.
	Transactions uint64 `json:"transactions"`
}

// WALStats is what is known of the replication on this node.
type WALStats struct {
	Role     string   `json:"role"` // opening, following, leading
	Position Position `json:"position"`
	Follows  bool     `json:"follows"`         // a copy that has all that it was told
	Error    string   `json:"error,omitempty"` // what keeps it from working at the moment
	Changes  uint64   `json:"changes"`         // fed or applied since the role began
	Resyncs  uint64   `json:"resyncs"`         // times that pages had to be compared
	Stale    uint64   `json:"stale"`           // changes refused that a leader whose time was over has written
	Aside    []string `json:"aside,omitempty"` // copies that had what nobody else had, and were kept
}

// keeper is the replication on this node.
func (w *WALManager) keeper() (*replica.Keeper, error) {
	n := w.app.platform.host()
	if n == nil || n.Database(w.app.name) == nil {
		return nil, fmt.Errorf("%w: app %s does not run: register it and run the platform", ErrInvalid, w.app.name)
	}
	return n.Database(w.app.name), nil
}

// Position returns where the database stands on this node: on the leader, up to
// where it is safe. It is zero before anything is known.
func (w *WALManager) Position() Position {
	k, err := w.keeper()
	if err != nil {
		return Position{}
	}
	s := k.State()
	return Position{s.Epoch, s.TX}
}

// Sync waits until every transaction that was committed on this node before the
// call is on disk at a majority of the servers: what was committed before it
// survives the loss of any one machine.
//
// # Errors
//
// ErrNotLeader on a node that does not lead; ErrFenced when another one leads by
// now: the transactions may be lost; the context's.
func (w *WALManager) Sync(ctx context.Context) error {
	k, err := w.keeper()
	if err != nil {
		return err
	}
	return k.Sync(ctx)
}

// Lag says how far this node is behind. It asks the feed; an error means that
// the lag is not known.
func (w *WALManager) Lag(ctx context.Context) (ReplicationLag, error) {
	k, err := w.keeper()
	if err != nil {
		return ReplicationLag{}, err
	}
	n, err := k.Lag(ctx)
	return ReplicationLag{n}, err
}

// Stats returns what is known now.
func (w *WALManager) Stats() WALStats {
	k, err := w.keeper()
	if err != nil {
		return WALStats{Role: string(replica.Opening), Error: err.Error()}
	}
	s := k.State()
	out := WALStats{Role: string(s.Role), Position: Position{s.Epoch, s.TX}, Follows: s.Follows}
	if s.Err != nil {
		out.Error = s.Err.Error()
	}
	if p := s.Primary; p != nil {
		out.Changes, out.Resyncs = p.Capture.Changes, p.Capture.Differences
	}
	if b := s.Standby; b != nil {
		out.Changes, out.Stale, out.Aside = b.Changes, b.Stale, b.Aside
		for _, times := range b.Resyncs {
			out.Resyncs += times
		}
	}
	return out
}

package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/host/replica"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication/snapshot"
)

// Defaults and limits of a [Database].
const (
	DefaultSnapshotInterval = time.Hour
	DefaultRetention        = 24 * time.Hour
	DefaultAlarm            = 8 << 30
	MinSnapshotInterval     = 10 * time.Second
	keptSnapshots           = 2 // whatever their age
)

func (d *Database) withDefaults() Database {
	out := *d
	if out.Interval == 0 {
		out.Interval = DefaultSnapshotInterval
	}
	if out.Retention == 0 {
		out.Retention = DefaultRetention
	}
	if out.Alarm == 0 {
		out.Alarm = DefaultAlarm
	}
	return out
}

// newSnapshots makes the snapshots of an app's database.
func (n *Node) newSnapshots(app string, d Database, k *replica.Keeper) *replica.Snapshots {
	return replica.NewSnapshots(k, replica.SnapshotConfig{
		Platform: n.cfg.Platform, App: app, Node: n.cfg.Node, Interval: d.Interval,
		Retention: snapshot.Retention{For: d.Retention, Count: keptSnapshots},
		Turn:      func() (rank int, take, upkeep bool) { return n.snapshotTurn(app) },
	})
}

// snapshotTurn is the place of this node among those that keep copies of an app's
// database, by name. The leader sees to the snapshots when there is nobody else.
func (n *Node) snapshotTurn(app string) (rank int, take, upkeep bool) {
	v := n.View()
	if v.Session != control.SessionLive {
		return 0, false, false
	}
	var others []string
	for _, m := range v.Members {
		if m.Up && m.NodeID != v.Apps[app].Leader && slices.Contains(m.Apps, app) {
			others = append(others, m.NodeID)
		}
	}
	rank = slices.Index(others, n.cfg.Node)
	alone := len(others) == 0 // it leads and nobody keeps a copy: it takes them of the original
	return max(0, rank), rank >= 0 || alone, rank == 0 || alone
}

// serveSnapshots takes and keeps the snapshots of all databases.
func (n *Node) serveSnapshots(ctx context.Context) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for _, s := range n.snapshots {
		all.Go(func() { s.Run(ctx) })
	}
	return func() { cancel(); all.Wait() }, nil
}

// Snapshots returns the snapshots of an app's database, nil when it has none.
func (n *Node) Snapshots(app string) *replica.Snapshots { return n.snapshots[app] }

// asker asks other nodes.
type asker struct{ n *Node }

// Request implements [control.Requester].
func (a asker) Request(ctx context.Context, node, verb string, data []byte) ([]byte, error) {
	conn, err := a.n.Conn()
	if err != nil {
		return nil, err
	}
	subject := a.n.names.ControlAny(verb)
	if node != "" {
		subject = a.n.names.ControlNode(node, verb)
	}
	return conn.Request(ctx, subject, data)
}

// CreateSnapshot takes a snapshot of an app's database: here, or on another node
// that keeps a copy.
func (n *Node) CreateSnapshot(ctx context.Context, app string) (control.Snapshot, error) {
	s := n.snapshots[app]
	if s == nil {
		return control.Snapshot{}, fmt.Errorf("%w: app %s has no database here", pluginapi.ErrInvalid, app)
	}
	m, err := s.Create(ctx)
	if !errors.Is(err, pluginapi.ErrNoStandby) {
		return Shown(m), err
	}
	answer, err := control.NewClient(asker{n}).Snapshot(ctx, control.SnapshotRequest{App: app, Do: control.SnapshotCreate})
	if err != nil {
		return control.Snapshot{}, err
	}
	if len(answer.Snapshots) != 1 {
		return control.Snapshot{}, fmt.Errorf("create snapshot: the answer has %d", len(answer.Snapshots))
	}
	return answer.Snapshots[0], nil
}

// Shown is a manifest as people see it.
func Shown(m snapshot.Manifest) control.Snapshot {
	return control.Snapshot{ID: m.ID, Node: m.Node, Time: m.Time, Size: m.Size(), Epoch: m.Epoch, TX: m.TX, Checksum: fmt.Sprintf("%016x", uint64(m.Sum))}
}

// Snapshot answers a question about snapshots.
func (h handler) Snapshot(ctx context.Context, r control.SnapshotRequest) (out control.SnapshotAnswer, err error) {
	s := h.n.snapshots[r.App]
	if s == nil {
		return out, fmt.Errorf("%w: %s with a database on node %s", pluginapi.ErrAppNotFound, r.App, h.n.cfg.Node)
	}
	switch r.Do {
	case control.SnapshotCreate:
		m, err := s.Create(ctx)
		return control.SnapshotAnswer{Snapshots: []control.Snapshot{Shown(m)}}, err
	case control.SnapshotDelete:
		return out, s.Delete(ctx, r.ID)
	case control.SnapshotVerify:
		return out, s.Verify(ctx, r.ID)
	case control.SnapshotParts:
		m, _, err := s.Find(ctx, r.ID)
		if err != nil {
			return out, err
		}
		return partsOf(m, r.From), nil
	case control.SnapshotChunk:
		d, err := snapshot.ParseDigest(r.Digest)
		if err != nil {
			return out, fmt.Errorf("%w: %w", pluginapi.ErrInvalid, err)
		}
		out.Data, err = s.Chunk(ctx, d)
		return out, err
	}
	all, err := s.List(ctx)
	for _, m := range all {
		out.Snapshots = append(out.Snapshots, Shown(m))
	}
	return out, err
}

// partsOf is a manifest with its digests from one on, as many as fit.
func partsOf(m snapshot.Manifest, from int) control.SnapshotAnswer {
	p := &control.SnapshotPages{Sum: uint64(m.Sum), Seq: m.Seq, Platform: m.Platform, PageSize: m.PageSize, Pages: m.Pages, Digests: []string{}}
	from = min(from, len(m.Chunks))
	for _, d := range m.Chunks[from:min(from+control.MaxParts, len(m.Chunks))] {
		p.Digests = append(p.Digests, d.String())
	}
	return control.SnapshotAnswer{Snapshots: []control.Snapshot{Shown(m)}, Parts: p}
}

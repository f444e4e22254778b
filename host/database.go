package host

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/replica"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// dataBound bounds a promotion and a demotion. A copy that has nothing to catch
// up takes milliseconds.
const dataBound = time.Minute

// Database is the SQLite database of an app, at the same path on each node.
type Database struct {
	Path      string
	Interval  time.Duration // between two snapshots, if something has changed; 0: default
	Retention time.Duration // for how long they are kept; 0: default
	Alarm     uint64        // bytes of feed or chunks above which status warns; 0: default
}

// check refuses what cannot be meant.
func (d *Database) check(app App) error {
	switch {
	case d == nil:
		return nil
	case !filepath.IsAbs(d.Path):
		return fmt.Errorf("app %s: %w: database %q: give an absolute path", app.Name, pluginapi.ErrInvalid, d.Path)
	case d.Interval != 0 && d.Interval < MinSnapshotInterval:
		return fmt.Errorf("app %s: %w: snapshot interval %v: give %v or more", app.Name, pluginapi.ErrInvalid, d.Interval, MinSnapshotInterval)
	case d.Retention < 0 || d.Retention != 0 && d.Retention < MinSnapshotInterval:
		return fmt.Errorf("app %s: %w: retention of snapshots %v: give %v or more", app.Name, pluginapi.ErrInvalid, d.Retention, MinSnapshotInterval)
	case !app.Singleton:
		return fmt.Errorf("app %s: %w: a database that is replicated has one writer: make the app a singleton", app.Name, pluginapi.ErrInvalid)
	}
	return nil
}

// checkDatabases also refuses two apps with one file.
func checkDatabases(apps []App) (faults []error) {
	owner := map[string]string{}
	for _, a := range apps {
		faults = append(faults, a.Database.check(a))
		if a.Database == nil {
			continue
		}
		path := filepath.Clean(a.Database.Path)
		if other, taken := owner[path]; taken {
			faults = append(faults, fmt.Errorf("app %s: %w: database %s is that of app %s too: each app has a file of its own", a.Name, pluginapi.ErrInvalid, path, other))
		}
		owner[path] = a.Name
	}
	return faults
}

// serveDatabases keeps the databases of all apps.
func (n *Node) serveDatabases(ctx context.Context) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var keepers sync.WaitGroup
	for _, k := range n.databases {
		keepers.Go(func() { k.Run(ctx) })
		keepers.Go(func() { n.placeFeed(ctx, k) })
	}
	return func() { cancel(); keepers.Wait() }, nil
}

// makeDatabases makes the keepers, which Run starts.
func (n *Node) makeDatabases() {
	n.databases, n.snapshots = map[string]*replica.Keeper{}, map[string]*replica.Snapshots{}
	for _, a := range n.cfg.Apps {
		if a.Database == nil {
			continue
		}
		n.databases[a.Name] = replica.NewKeeper(replica.Config{
			Path: filepath.Clean(a.Database.Path), Logger: n.log.With("app", a.Name),
			Open: func(ctx context.Context) (replica.Tools, error) { return n.openTools(ctx, a.Name) },
		})
		n.snapshots[a.Name] = n.newSnapshots(a.Name, a.Database.withDefaults(), n.databases[a.Name])
	}
}

// openTools opens the feed of an app, and what belongs to it.
func (n *Node) openTools(ctx context.Context, app string) (t replica.Tools, err error) {
	conn, err := n.Conn()
	if err != nil {
		return t, err
	}
	names, err := n.names.App(app)
	if err != nil {
		return t, err
	}
	feed, chunks := names.Feed(), names.Chunks()
	feed.Replicas, chunks.Replicas = n.replicas(), n.replicas()
	f, err := bus.OpenFeed(ctx, conn, feed)
	if err != nil {
		return t, err
	}
	c, err := bus.OpenChunks(ctx, conn, chunks)
	if err != nil {
		return t, err
	}
	b, err := bus.OpenBlobs(ctx, conn, n.names.Blobs(), n.replicas())
	if err != nil {
		return t, err
	}
	return replica.Tools{Feed: replica.NewFeed(f), Chunks: c, Shelf: replica.NewShelf(b, app, n.log)}, nil
}

// Database returns the keeper of an app's database, nil when it has none.
func (n *Node) Database(app string) *replica.Keeper { return n.databases[app] }

package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/host/replica"
)

// lagWait bounds the question to the feed of how long it is.
const lagWait = time.Second

// describeDatabase says what this node knows of an app's database; nil when the
// app has none.
func (n *Node) describeDatabase(ctx context.Context, app string) *control.Database {
	k := n.databases[app]
	if k == nil {
		return nil
	}
	s := k.State()
	d := &control.Database{Role: string(s.Role), Follows: s.Follows, Epoch: s.Epoch, TX: s.TX, Aside: aside(k.Path())}
	if s.Err != nil {
		d.Error, d.Absent = s.Err.Error(), errors.Is(s.Err, replica.ErrNoFile)
	}
	if p := s.Primary; p != nil {
		d.Changes, d.Bytes, d.Resyncs, d.UnreadBytes = p.Capture.Changes, p.Bytes, p.Capture.Differences, p.Capture.UnreadBytes
	}
	if b := s.Standby; b != nil {
		d.Changes, d.Stale = b.Changes, b.Stale
		for _, times := range b.Resyncs {
			d.Resyncs += times
		}
	}
	n.describeSnapshots(app, d)
	ctx, cancel := context.WithTimeout(ctx, lagWait)
	defer cancel()
	if lag, err := k.Lag(ctx); err == nil {
		d.Lag = &lag
	}
	return d
}

func (n *Node) describeSnapshots(app string, d *control.Database) {
	s := n.snapshots[app].State()
	d.FeedBytes, d.ChunkBytes, d.SnapshotFailures = s.FeedBytes, s.Chunks, s.Failures
	d.Alarm = n.apps[app].Database.withDefaults().Alarm
	if s.Newest.ID != "" {
		shown := Shown(s.Newest)
		d.Snapshot = &shown
	}
	if s.Err != nil {
		d.SnapshotError = s.Err.Error()
	}
}

// maxAside is how many files kept aside are shown.
const maxAside = 16

// aside lists the copies beside a database that were kept because they had what
// nobody else had, in this life or an earlier one, oldest first.
func aside(path string) (files []string) {
	all, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil // there is nothing to be seen: what reads the database tells why
	}
	for _, e := range all {
		name := e.Name()
		if strings.HasPrefix(name, filepath.Base(path)+replica.Aside) && !strings.HasSuffix(name, "-wal") && !strings.HasSuffix(name, "-shm") && !strings.HasSuffix(name, ".txt") {
			files = append(files, filepath.Join(filepath.Dir(path), name))
		}
	}
	slices.Sort(files)
	return files[:min(len(files), maxAside)]
}

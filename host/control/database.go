package control

import (
	"fmt"
	"strings"
)

// Words of [Database].Role.
const (
	DatabaseOpening   = "opening"   // its feed is not open yet
	DatabaseFollowing = "following" // a copy is kept here
	DatabaseLeading   = "leading"   // it is written here and fed to the others
)

// Database is what one node knows of the database of an app.
type Database struct {
	Role    string `json:"role"`              // opening, following or leading
	Absent  bool   `json:"absent,omitempty"`  // the service has not made it yet
	Follows bool   `json:"follows,omitempty"` // a copy that has all that it was told
	Epoch   uint64 `json:"epoch"`             // where the copy stands; on the leader, up to where it is safe
	TX      uint64 `json:"tx"`
	// Lag counts the transactions that this copy lacks; on the leader, those that
	// are not yet on disk at a majority of the servers. null: it is not known.
	Lag         *uint64  `json:"lag"`
	UnreadBytes int64    `json:"unread_bytes,omitempty"` // in the log of the leader, on top of Lag
	Changes     uint64   `json:"changes"`                // fed or applied since the role began
	Bytes       uint64   `json:"bytes"`                  // fed since the role began
	Resyncs     uint64   `json:"resyncs"`                // times that pages were compared
	Stale       uint64   `json:"stale,omitempty"`        // changes of a leader whose time was over that were refused
	Error       string   `json:"error,omitempty"`        // what keeps it from working at the moment
	Aside       []string `json:"aside,omitempty"`        // files with what nobody else had: for a person to look at
	FeedBytes   uint64   `json:"feed_bytes,omitempty"`   // stored for the feed on each of its servers, when last looked
	ChunkBytes  uint64   `json:"chunk_bytes,omitempty"`  // the same for snapshots and large changes
	Alarm       uint64   `json:"alarm,omitempty"`        // bytes above which one of the two is too much
	// Snapshot is the newest one, as far as this node has looked.
	Snapshot         *Snapshot `json:"snapshot,omitempty"`
	SnapshotError    string    `json:"snapshot_error,omitempty"` // what the last try to take or to keep them failed with
	SnapshotFailures uint64    `json:"snapshot_failures,omitempty"`
}

// checkDatabase says what is wrong with the database of an instance.
func (h *Health) checkDatabase(app string, i Instance) {
	d := i.Database
	if d == nil {
		return
	}
	warn := func(format string, args ...any) {
		h.Warnings = append(h.Warnings, "app "+app+": "+fmt.Sprintf(format, args...))
	}
	switch {
	case d.Error == "" || d.Absent:
	case mustRun(i):
		h.add(ScopeApp, app, "database on %s is not replicated: %s", i.Node, d.Error)
	default:
		warn("copy on %s: %s", i.Node, d.Error)
	}
	if !mustRun(i) && d.Error == "" && d.Role == DatabaseFollowing && !d.Follows {
		warn("copy on %s does not follow yet: that node cannot take over", i.Node)
	}
	if d.SnapshotError != "" {
		warn("snapshots on %s: %s", i.Node, d.SnapshotError)
	}
	if d.Alarm > 0 && mustRun(i) { // all nodes see the same
		for what, bytes := range sorted(map[string]uint64{"the feed": d.FeedBytes, "the chunks of snapshots": d.ChunkBytes}) {
			if bytes > d.Alarm {
				warn("%s: %d MiB on each server, above the alarm of %d MiB: replication stops when the disk is full", what, bytes>>20, d.Alarm>>20)
			}
		}
	}
	if len(d.Aside) > 0 {
		warn("on %s a copy was kept that had what nobody else had: look at it and delete it: %s", i.Node, strings.Join(d.Aside, ", "))
	}
}

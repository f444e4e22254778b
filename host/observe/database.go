package observe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ozanturksever/go-cluster/host/control"
)

// databaseDescs are the figures of a database that is replicated.
type databaseDescs struct {
	lag, position, healthy, aside   *prometheus.Desc
	changes, resyncs, stale, logged *prometheus.Desc
	feed, chunks, size, age, failed *prometheus.Desc
}

func newDatabaseDescs(d func(name, help string, labels ...string) *prometheus.Desc) databaseDescs {
	of := func(name, help string) *prometheus.Desc { return d(name, help, "platform", "node", "app") }
	return databaseDescs{
		lag:      of("replication_lag_transactions", "Transactions that the copy lacks; on the leader, that are not yet safe. Absent while it is not known."),
		position: of("replication_position", "Last transaction that the copy has; on the leader, that is safe."),
		healthy:  of("replication_healthy", "1 if the database is fed, or the copy has all that it was told; else 0."),
		aside:    of("replication_aside_files", "Copies beside the database that were kept because they had what nobody else had."),
		changes:  of("replication_changes_total", "Changes fed or applied since the node got its role."),
		resyncs:  of("replication_resyncs_total", "Times that all pages were compared since the node got its role."),
		stale:    of("replication_stale_total", "Changes of a leader whose time was over that the copy refused."),
		logged:   of("wal_bytes_total", "Bytes of changes fed since the node leads, as they are sent and stored."),
		feed:     of("replication_feed_bytes", "Stored for the feed on each of its servers, when last looked."),
		chunks:   of("snapshot_stored_bytes", "Stored for snapshots and large changes on each server, when last looked."),
		size:     of("snapshot_size_bytes", "Size of the database in the newest snapshot that the node knows of."),
		age:      of("snapshot_age_seconds", "Age of the newest snapshot that the node knows of."),
		failed:   of("snapshot_failures_total", "Times that taking or keeping snapshots has failed."),
	}
}

func (d databaseDescs) all() []*prometheus.Desc {
	return []*prometheus.Desc{d.lag, d.position, d.healthy, d.aside, d.changes, d.resyncs, d.stale, d.logged, d.feed, d.chunks, d.size, d.age, d.failed}
}

func (d databaseDescs) collect(ch chan<- prometheus.Metric, db control.Database, labels ...string) {
	set := func(desc *prometheus.Desc, kind prometheus.ValueType, v float64) {
		ch <- prometheus.MustNewConstMetric(desc, kind, v, labels...)
	}
	if db.Lag != nil {
		set(d.lag, prometheus.GaugeValue, float64(*db.Lag))
	}
	well := db.Error == "" && (db.Role == control.DatabaseLeading || db.Role == control.DatabaseFollowing && db.Follows)
	set(d.position, prometheus.GaugeValue, float64(db.TX))
	set(d.healthy, prometheus.GaugeValue, yes(well))
	set(d.aside, prometheus.GaugeValue, float64(len(db.Aside)))
	set(d.changes, prometheus.CounterValue, float64(db.Changes))
	set(d.resyncs, prometheus.CounterValue, float64(db.Resyncs))
	set(d.stale, prometheus.CounterValue, float64(db.Stale))
	set(d.logged, prometheus.CounterValue, float64(db.Bytes))
	set(d.feed, prometheus.GaugeValue, float64(db.FeedBytes))
	set(d.chunks, prometheus.GaugeValue, float64(db.ChunkBytes))
	set(d.failed, prometheus.CounterValue, float64(db.SnapshotFailures))
	if s := db.Snapshot; s != nil {
		set(d.size, prometheus.GaugeValue, float64(s.Size))
		set(d.age, prometheus.GaugeValue, max(0, time.Since(s.Time).Seconds()))
	}
}

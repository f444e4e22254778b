//go:build !linux

package cluster_test

import "testing"

// replicate does nothing: databases are replicated on Linux.
func replicate(*testing.T, *node) (write func()) { return func() {} }

// missingFigures are those that nothing sets on this system.
func missingFigures() []string {
	return []string{"gc_replication_position", "gc_replication_healthy", "gc_replication_changes_total", "gc_replication_resyncs_total", "gc_wal_bytes_total"}
}

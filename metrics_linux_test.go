package cluster_test

import "testing"

// replicate makes a database whose changes are fed when the returned function
// has returned.
func replicate(t *testing.T, n *node) (write func()) {
	l := newLedger(t, n)
	return func() {
		eventually(t, "it leads the database", l.active.Load)
		l.write(t, 0, 3, n.NodeID())
		must(t, l.app.WAL().Sync(within(t, patience)))
	}
}

// missingFigures are those that nothing sets on this system.
func missingFigures() []string { return nil }

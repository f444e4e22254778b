// Package embedded is the only room with nats-server: one voter of the
// platform's NATS, inside the process.
//
// # What it adds to the server
//
// Logins that are derived from the cluster secret, with the least rights for
// each role. A store that cannot be opened by another platform, by another
// server, twice at once, or in a form that would make the server wipe it. And a
// fast failover of JetStream, which takes 4 to 8 s by itself: shorter Raft
// timers, and a mesh of plain TCP connections between the voters. When a peer's
// connection ends, or is silent for three beats, the first survivor in line lets
// those of its Raft nodes stand for election whose leader is gone. Lower names
// come first, young servers last.
//
// # Nothing of this can break Raft
//
// An early candidate is always safe: it wins only with the votes of a majority,
// and only if its log is as new as theirs. A false alarm costs an election. The
// mesh says nothing about leases and proves nothing; it only saves the waiting.
//
// # The seam
//
// The timers and one lookup are package-level names of the server that are not
// exported. raft_timers.go binds them by go:linkname (which needs the empty
// linkname.s), checks that they hold what was reviewed, and otherwise runs the
// server as it is and says so in [State] and in the log. A test fails when a new
// version of the server has moved them.
package embedded

// Package lock lets the programs of a platform exclude each other. [Keeper]
// carries the machines of host/core/lock for one node: it writes, reads and
// watches their records, looks at the sessions of those who are in the way, and
// ends the contexts of what is held in time. [Lock] is what a program holds in
// its hands.
//
// A lock costs nothing at rest: there is no renewal for it, its holder's node
// keeps one session for everything it owns. A record is watched only while
// somebody waits. The record's last known state is kept for a while, so that
// taking and giving a lock that nobody else wants is one write each.
package lock

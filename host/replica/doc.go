// Package replica gives replication what it needs of the bus: the feed of an
// app's database, and the shelf of its snapshots.
package replica

// Package membership keeps the table of the platform's nodes.
//
// The table is one record. The node that holds the controller role compares it
// with the living sessions and writes the difference by compare-and-set; every
// node reads it and tells each join and each leave exactly once:
//
//	sessions --(controller: Diff)--> table {version, members, events} --(every node: Follower)--> Joined, Left
//
// An event is named by node and incarnation. A table carries the last events
// with their versions, so a node that missed some tables tells what it missed;
// one that missed more than that is told the difference of the members.
//
// Labels, cordon, address and apps of a node are a record of its own, changed
// by [Edit]s from any node and merged by compare-and-set.
package membership

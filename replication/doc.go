// Package replication copies a SQLite database from the node that leads its app
// to the nodes that stand by. [Primary] takes the changes out of the leader's
// database and appends them to the app's feed; [Standby] follows the feed and
// puts them into a copy that can take over at any moment.
//
// The decisions are in package flow, the formats in segment and snapshot, SQLite
// in sqlite; this package joins them.
package replication

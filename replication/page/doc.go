// Package page holds what every room of replication must agree on: what a page
// of a database is, which of its bytes are replicated, and the checksum that a
// database has as a whole.
package page

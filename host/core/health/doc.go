// Package health decides when each health check of a node is run, and what its
// results mean. It runs none: a [Machine] says what to start and is told how it
// ended.
//
//	due, what it depends on passes -> Start -> Ended -> passing | failing
//	                                  (late) ---------> failing; not started again until it has ended
//
// After three failures in a row the circuit of a check opens: its turns come
// less and less often, up to eight of its intervals apart, until one passes.
package health

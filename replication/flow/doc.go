// Package flow decides what a primary sends and what a standby applies, so that
// every standby's database is at every moment a state that the primary's had,
// and nothing of a primary whose time is over gets into it. [Primary] and
// [Standby] are machines: Step takes what has happened and returns what is to be
// done. They do no I/O, know no clock and start no goroutine.
//
// The stream of an app holds two kinds of messages: the epoch, by
// compare-and-set, and changes. A change is appended in one atomic batch that
// holds only if the epoch's message and the last change are still those that the
// writer knows. So a primary that has been replaced is refused by the stream
// itself, and a change whose fate was unknown is in the stream once or never.
//
//	Primary:  idle -> sending -> idle         the change is stored
//	                  sending -> probing      its fate is not known, or a condition did not hold
//	                  probing -> idle         it is stored
//	                  probing -> sending      it is not: sent again as it was
//	                  probing -> fenced       a newer epoch is there; for good
//
//	Standby:  searching -> following          a message begins, or ends, where the database stands
//	          following -> applying -> following
//	          any -> resyncing                no message leads on from here: pages are to be compared
//
// A standby accepts a change if its checksum before is that of the database: a
// remembered position is a hint, equal content is the same place. It knows the
// highest epoch of the stream and refuses what an older one wrote behind it:
// the second line of defence, which counts what it refuses.
package flow

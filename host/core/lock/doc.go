// Package lock decides who holds a lock. A lock is one [Record]: those who hold
// it, and a queue of those who wait. It is changed by compare-and-set only and
// never deleted. [Machine] is what one process knows and wants of one lock; its
// Step does no I/O, starts no goroutine and needs no clock.
//
//	Enter: write the ticket into the record: as a holder if that is allowed
//	       now, else at the end of the queue
//	Leave: write it out again, and let those in who are next, each in an epoch
//	       of its own, all in the same write
//
// A claim in the record is valid exactly as long as the session of its node
// is; see package election. Claims of sessions that are over for good are
// dropped by whoever writes next. A session record says that, no time does, so
// a process that is cut off can drop nobody.
//
// All that a process wants of a lock goes through one machine with one write on
// its way, so what changes meanwhile goes into the next write together.
//
// A write whose fate is unknown may still be done later, as long as the record
// keeps the sequence that it named. Then the machine writes again on the same
// sequence, even if it wants nothing any more: one of the two is done and the
// other one never will be. So no claim comes into the record behind the back of
// its process, where it would hold the lock for nobody as long as the session
// lives. A claim of its own session that the machine does not know is one that
// was given up, and it is written out.
//
// There are three kinds of lock, and one rule: who is first in the queue comes in
// when nobody is in who excludes it, and nobody overtakes. An exclusive claim
// excludes all others. Shared claims exclude each other when the limit is
// reached: that is a semaphore, or with a high limit the readers of a
// read-write lock. A waiting writer is not starved by readers that come later.
package lock

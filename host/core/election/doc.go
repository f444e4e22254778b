// Package election decides who owns what. It has three machines, each a value
// with Step(now, Input) []Effect: no I/O, no goroutine, no clock of its own.
//
// [Session] is the lease of this node. One record per node, renewed by
// compare-and-set, whatever the number of things the node owns:
//
//	          Seen: none, ended, or of our own home
//	Reading ------------------------------------------> Joining --Written--> Live
//	   |  ^                                               |  ^                |
//	   |  +------------------ conflict -------------------+  |                |
//	   +--Seen: live, of someone else--> Waiting --a whole ttl in silence     |
//	                                        |                                 |
//	                                        +--renewed thrice--> Duplicate      |
//	Over <--- deadline passed, revoked, released by the guard, left ----------+
//	   +--Rejoin (all work has stopped)--> Reading
//
// A session is valid until the send time of the last acknowledged renewal plus
// its ttl. Nothing else counts: not the time of the reply, not a timer.
//
// [Watch] observes the sessions of others and says when a silent one may be
// revoked: after 1.03 x ttl + margin counted from the receipt of its last
// change. The revocation is a compare-and-set on the sequence last seen, so an
// observer that is cut off can never revoke.
//
// [Ownership] is one record that says who owns a thing (the leadership of an
// app, the controller role, a lock):
//
//	         free for us, our turn          Written
//	Idle ---------------------------> Claiming ----> Held ---Resign--> Resigning
//	 ^  \                                 |           ^ |                  |
//	 |   +--Seen: handed to us------------)-----------+ +--session over--+ |
//	 +------------- conflict -------------+                              | |
//	 +-------------------------------------------------------------------+-+
//
// A record is valid exactly as long as the session of its holder is. It is
// never deleted: what is released is a record without a holder.
package election

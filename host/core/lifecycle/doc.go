// Package lifecycle turns a change of role into ordered steps: one app on one
// node, one step at a time. [Machine.Step] takes the time and one input and
// returns effects; it does no I/O.
//
//	            Lead                      all steps done
//	Passive ---------> Starting ----------------------------> Active
//	   ^                  |  a step failed, Cease               | Cease, Fail
//	   |                  v                                     v
//	   +------------- Stopping <--------------------------------+
//	   |   all that was begun is undone
//	   +--Finish--> Finishing --> Finished
//
// What was begun is undone in reverse, exactly once, also when it failed half
// way: OnActive that was called is followed by OnPassive, a backend whose start
// was tried is stopped. Passive means that nothing runs any more; only then may
// the leadership be given away. A step that does not come back is never
// abandoned: the lease is kept while its code may still run, and when the lease
// cannot be kept the machine asks for the end of the whole process (Overrun).
package lifecycle

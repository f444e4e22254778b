// Package failure decides what a failing plugin does to the host: whether a call
// is made again and when, what happens in the end, and whether the plugin is
// called at all. It calls nothing and reads no clock.
//
//	call -> error -> Rule.After -> again, after a wait
//	                            -> in the end: ignore, fail, or the fallback
//
//	closed -- 5 crashes or limits within 60 s --> open -- after a wait --> half-open: one trial
//	closed <------------------------------------------- the trial is well ----------|
//	                                              open <- the trial breaks, twice the wait
//
// A crash, a limit and a broken protocol are faults of the plugin and count for
// its [Circuit]. An error that it answers is no fault: a plugin may say no.
package failure

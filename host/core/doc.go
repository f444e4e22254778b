// Package core is the mind of one node: it composes the machines of session,
// ownership, membership and lifecycle. [Core.Step] takes the time and one
// input and returns effects; [Core.View] is what others may look at. It does
// no I/O, starts no goroutine and reads no clock, so the same code runs under
// the host, under the simulator and in the stories of its tests.
//
// How a node comes to act for an app, and stops:
//
//	own node record written -> session joined -> controller known -> members table
//	record of the app free or handed to us, our turn -> compare-and-set -> Acquired
//	Acquired -> lifecycle Lead -> steps -> Active
//	step-down, failure, shutdown, lease running out -> Cease -> steps -> Passive
//	Passive -> Resign to the best standby by compare-and-set
//	session over -> everything Ceases -> all passive -> Rejoin in a new incarnation
//
// Who watches whom: the controller and two standbys observe every session. All
// others observe nobody as long as they hear the controller's digests, so that
// the traffic grows with the number of nodes and not with its square. When the
// digests stop, they observe those three.
package core

// Package plan decides what becomes of the plugins of a platform. It does no
// I/O, starts no goroutine and reads no clock.
//
// What is wanted of a plugin is one record, [Plugin], changed by
// compare-and-set only. What a node has of the plugins is another one, [Report],
// which only that node writes. Three kinds of functions look at them:
//
//	[Plugin.Upgrade] and its like   what a person wants: a changed record, or a
//	                                refusal
//	[Next]                          what the controller does next: a changed
//	                                record, or nothing
//	[Plugin.Want]                   what a node has to have now
//
// A new version goes through five phases, each of them in the record, so that
// the next controller goes on where the last one ended:
//
//	canary    one node fetches it, verifies it, loads it and asks it for its
//	          description, beside the present version
//	trial     this node's calls go to it. It is compared with the present one
//	prepare   all other nodes make it ready, beside the present version
//	activate  all nodes swap
//	watch     all nodes run it, the old one waits loaded beside it
//
// It is rolled back, in whatever phase, when a living node cannot have it, when
// a phase takes too long, or when its calls go worse; see [Rules]. Then the
// record names the reason, and all nodes go on with the version that they had.
//
// How long a phase has lasted is counted by the controller from when it saw the
// phase first, on its own clock: a new controller begins to count anew, and no
// two clocks are compared.
//
// Only nodes that live and that have written a report in their present
// incarnation are waited for. A node that comes later finds in the record what
// it has to have.
package plan

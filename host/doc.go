// Package host is the engine of one node: it owns the only loop that tells the
// core what happened and does what the core wants. A decision is never made
// here, and nothing in the core waits.
//
//	data directory locked -> leftovers killed -> server -> guard -> connection -> records -> loop
//
// [Node.Run] starts these in order and ends them in reverse; it returns when
// everything it started has ended.
package host

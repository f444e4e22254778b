// Package fuel rewrites a WebAssembly module so that it meters itself. Compiled
// guest code cannot be stopped by Go, and while it runs no garbage collection can
// begin: an endless loop would hold up the whole process, with the leases in it.
// So each function and each loop pays before it runs, out of a counter that the
// guest cannot reach; when the counter is below zero, the guest calls its host,
//
//	(import "gchost_meter" "refill" (func (result i64)))
//
// which returns the next slice of fuel or ends the call by a trap. That call is
// also where Go's scheduler and collector get their turn.
//
// # What is charged
//
// One unit stands for one instruction. A function's entry and a loop's header pay
// for the instructions that come next, up to the next header; a longer run of
// them that can be jumped to, or over, pays for itself. Between two headers
// control goes only forward, so none runs twice for one payment, and none unpaid.
// More may be paid than is run: for a loop in a Go guest, which is a jump to the
// header of the whole function, about thirty times as much. A function pays for
// its locals too, eight to a unit. The operations on ranges of memory and tables
// pay a unit more for each eight bytes or entries, before they begin. So what a
// guest does between two refills is bounded by the slice, and the charge depends
// on the module and its input alone: it is the same on every node.
//
// memory.grow costs what an instruction costs: what it can do is bounded by the
// limit on memory that the host sets. One range operation runs to its end, so it
// takes as long as that limit allows.
//
// The counter begins at zero: the first thing that any function does, a start
// function too, is to ask for fuel.
//
// # What is changed
//
// The import shifts the indices of all functions of the module by one. Everything
// else (types, a global, two functions) is added behind what is there. Before
// anything is changed, every index of a function, global, table, memory and type
// is held against the ranges of the original, so that a module cannot name what
// is added. Custom sections are dropped, but for the names of functions. Tables
// get the maximum of [Options].
//
// The binary format is that of https://www.w3.org/TR/wasm-core-2/, read strictly;
// what later proposals add is refused.
package fuel

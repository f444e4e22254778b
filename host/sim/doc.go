// Package sim plays a whole platform on virtual time: N nodes with the real
// [core.Core], one store, a network, guards, backends and hooks, and a nemesis
// that breaks all of them. Everything happens in one goroutine out of one heap
// of events, and all chance comes from one seed: a failing seed plays again
// exactly. Only tests import it.
//
//	seed -> nemesis, network, work -> events -> cores -> effects -> events
//	                                     |
//	                                     +-> after each: no two leaders, epochs only rise,
//	                                         nothing runs without a session, hooks are paired
//	faults end -> everything heals -> one leader per app, the table is right, all wishes answered
//
// What the world does to the cores: it delays, loses, doubles and reorders what
// a watch says; reads may be seconds old; a write may be lost, its answer may
// be lost, and it may arrive after it was given up; links break in one
// direction or both; the store goes away; processes stand still (SIGSTOP) and
// find all they missed when they wake; clocks run at different rates; wall
// clocks jump; processes and machines die and come back, with the same data
// directory or none; hooks hang, backends do not stop or do not die.
//
// What it takes for granted is what the shell under a core promises: every
// Write is answered once, Loaded comes after what it speaks of, a guard outlives
// its host, and does not give the session of a host back that may only be
// frozen before the lease has ended.
package sim

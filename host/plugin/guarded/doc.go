// Package guarded stands between the host and a plugin: it bounds each call,
// skips a plugin whose circuit is open, calls again where the rule says so, and
// in the end ignores, fails, or lets what is built in do it. All decisions are
// package failure's.
//
//	host -> guarded.Policy -> adapter -> runtime
//	             '--> the built-in policy
//
// A call that does not end with its context is left behind and holds one of a
// few places until it ends: a plugin that hangs costs its own calls, never the
// host's.
package guarded

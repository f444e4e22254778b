// Package rpc carries calls from one instance of an app to another: [Server]
// answers them on a node, [Client] makes them. It knows nothing of NATS: a
// [Bus] carries the messages, and a [Directory] knows who is where.
//
// What is decided without I/O stands apart, as values: the form of a message
// (wire.go), what is remembered of calls that may be repeated ([Window]), when a
// node is left alone ([Breaker]), and which node gets a call (pick.go).
//
// docs/rpc.md has the form of the messages for authors in other languages, and
// what is promised of each call.
package rpc

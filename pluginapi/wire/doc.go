// Package wire is the byte form of a call of a plugin, of its answer, and of
// what a plugin asks of its host: protobuf's wire format, coded by hand so that
// a guest needs no runtime and no reflection. The same bytes go through
// WebAssembly and through gRPC. plugin.proto documents every message; a test
// holds it against google protobuf.
//
// A message M is encoded by M.Append(dst), which appends to dst and returns it,
// and decoded by M.Decode(b), which overwrites M, reuses the memory of its
// slices, and lets its strings and byte fields alias b.
package wire

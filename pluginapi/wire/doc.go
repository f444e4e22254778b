// Package wire is the byte form of a call of a plugin, of its answer, and of
// what a plugin asks of its host: protobuf's wire format, coded by hand so that
// a guest needs no runtime and no reflection. The same bytes go through
// WebAssembly and through gRPC. plugin.proto documents every message; a test
// holds it against google protobuf.
//
// A message M is encoded by M.Append(dst), which appends to dst and returns it,
// and decoded by M.Decode(b), which overwrites M, reuses the memory of its
// slices, and lets its strings and byte fields alias b. So b must not change as
// long as M is in use, and what is to outlive the next Decode into the same M is
// cloned first. After an error M is good for nothing but another Decode.
//
// Decode never panics, reads every length before it is used, skips fields that
// it does not know, and takes the last of a scalar that is there twice. It
// refuses what proto3 refuses (a cut message, a tag of field 0, a varint of more
// than 64 bits, a string that is not UTF-8) and groups, which proto3 has not.
// Append leaves out what is zero or empty. In a string that is not UTF-8 it puts
// U+FFFD for what is wrong, so that one odd byte in a text for people does not
// cost the call.
package wire

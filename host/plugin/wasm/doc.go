// Package wasm runs plugins that are WebAssembly modules, on wazero.
//
// A module is read and compared with its digest, rewritten so that it meters
// itself (package fuel), compiled into a cache on disk, and checked against the
// ABI, all before anything of it runs. Its guests are copies of it with a memory
// each: one call at a time, made when needed, thrown away after a crash, a limit
// or a breach of the protocol, because nobody knows what is in their memory then.
//
// The host never believes a guest: it copies what a guest points to, within
// bounds, during the call of the host function that it came with, and keeps no
// pointer. A guest has no files, no environment, no arguments; what it asks of
// the host goes through [plugin.Host], which decides.
//
// Compiled code cannot be interrupted by Go. What bounds a guest while it runs is
// the metering: every few ten thousand steps it comes back to the host, which
// looks at the clock and lets the scheduler and the garbage collector have
// their turn. No guest runs without it.
//
// The files: runtime.go and cache.go load and compile, check.go is what a module
// must be, instance.go the guests and who has them, guest.go one guest and its
// calls, memory.go what room it has, abi.go, meter.go, wasi.go and clock.go what
// it may call, output.go what it prints, errors.go why a call ended.
package wasm

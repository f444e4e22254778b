// Package exec runs plugins that are binaries: each instance is a process,
// started, watched, limited and restarted by this host, that serves one gRPC
// service over a socket with TLS in both directions (hashicorp/go-plugin).
//
// # What holds
//
//   - What runs is what was checked: a copy in a folder that only this user can
//     write to, compared with the digest again before each start.
//   - A plugin has no more of the host's environment than Config.Env.
//   - A call ends by its context, and at the latest by Limits.Call. A process
//     that has not ended a call after Limits.Call is killed and replaced, and so
//     is one that, after a caller's deadline has passed, does not say within 10 s
//     what it is. Nothing is ever sent twice: a call that may have been done says
//     ErrUnknownOutcome.
//   - A process that ends is followed by a new one, after 100 ms, 200 ms and so
//     on up to 30 s; it is given its configuration again before it gets a call.
//     Whether an event is told again is for whoever tells it.
//   - With a process everything ends that it started: its control group, its
//     process group, and whatever carries its mark in the environment. When the
//     host is killed the kernel kills the process itself, and the guard, told by
//     Config.Fenced, the rest; what neither could is killed when the next host
//     loads its first plugin.
//   - Nothing that a plugin sends or prints stops the host: frames, lines and
//     their rate are bounded, and go-plugin never sees its stderr.
//
// # Limits
//
// Where a control group v2 can be made, with its controllers: memory without
// swap, tasks, cores. Elsewhere on Linux the memory is bounded roughly, by
// RLIMIT_DATA at four times the limit, but for backends, whose services would
// inherit that; tasks and cores are not. On other
// systems there are no such limits, and only the process group is killed; on
// Windows only the process. [Instance.Isolation] says which.
package exec

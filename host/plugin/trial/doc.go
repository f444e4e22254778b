// Package trial runs a plugin outside of a platform: in the real runtime, with
// its manifest's limits and capabilities, and with a world of its own that
// nothing leaves. Authors test their plugins with it before any node has them.
//
// A trial checks a plugin ([Plugin.Checks], [Run]), measures it ([Plugin.Bench])
// and has a policy rank what was recorded on a platform ([Plugin.Replay]).
package trial

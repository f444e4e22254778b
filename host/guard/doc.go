// Package guard is the watchman: a small process beside the host that cleans up
// when the host cannot do it any more.
//
// The watchman holds the read end of a pipe whose only write end is in the host,
// and the host's pidfd. When the host dies in any way, or stands still past the
// deadline of its lease, the watchman kills what the host started (the fences),
// waits until all of it is dead, and only then gives the host's session back
// through another host's server and tells the others. It stays for one more TTL,
// for a late write of the dead host and for late children, and ends.
//
// A host uses [New] and [Guard.Run]; the program that Run starts calls [Main].
// Both are the same binary, or the watchman is a gchost binary that a library
// user points at. [Kill] is the cleaning up alone, for use by hand and at start.
//
// What it cannot do: kill a process in uninterruptible sleep (it tries for ever
// and does not give the session back), find a process that wiped the mark out
// of its environment, and act while it is being started again itself. In each
// of these cases the session ends by its TTL, as it does when a machine is lost.
//
// Control groups, marks and deadlines are for Linux. On other unix systems the
// watchman works for a host without fences and knows its death by the pipe
// alone; elsewhere [New] refuses.
package guard

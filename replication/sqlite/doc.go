// Package sqlite takes the changes out of a SQLite database that other
// processes write (Capture) and puts them into a copy that others may read
// meanwhile (Applier). It works from outside: the program that owns the
// database may be any, with any build of SQLite, in WAL mode.
//
// It needs locks of open file descriptions, which Linux has; on other systems
// the Open functions return errors.ErrUnsupported.
//
// # How a capture misses nothing
//
// The index of the log says what is committed; the frames up to there are read
// as they appear. SQLite begins the log anew, over frames that are there, only
// after all of it is in the database file and no reader needs it. So:
//
//   - one read transaction of ours (a pin) is open at any time;
//   - it is given up for a newer one only when all frames that were there when
//     the newer one began have been read;
//   - the lock of checkpoints is ours: others get "busy" at once instead of
//     waiting for the pin, and the capture does the checkpoints itself. A short
//     one under the lock of writers (the seal) lets the log begin anew.
//
// Whenever the proof is interrupted (at the start, after a recovery, when the
// log grew over its limit because the consumer is slow), all pages are hashed
// at one pinned moment and those that differ from what was given out are one
// change. A position in a log is never trusted over such a gap.
package sqlite

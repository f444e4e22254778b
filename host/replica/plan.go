package replica

import (
	"time"

	"github.com/ozanturksever/go-cluster/replication/snapshot"
)

// stragglers is how long a copy may be away and still be led on by the feed
// alone: what is older than a snapshot of this age is trimmed.
const stragglers = time.Hour

// newest returns the newest snapshot that is not deleted.
func newest(all []snapshot.Manifest) (*snapshot.Manifest, bool) {
	m, found := snapshot.At(all, 0)
	return &m, found
}

// dueAt is when the node of a rank takes the next snapshot: the first one when
// the newest is as old as the interval, each further one a tenth later, for the
// case that those before it cannot. last was taken, by some clock, at its time,
// and first seen at seen by this one's: a clock that is ahead delays nothing.
func dueAt(last *snapshot.Manifest, seen time.Time, interval time.Duration, rank int) time.Time {
	at := seen
	if last.Time.Before(seen) {
		at = last.Time
	}
	return at.Add(interval + time.Duration(rank)*interval/10)
}

// trimAfter is the last message of the feed that nobody needs any more, 0 when
// there is none. It is that of a snapshot which is old enough, at or before the
// oldest that is kept, and before the feed's last change, which always stays.
func trimAfter(all []snapshot.Manifest, last uint64, now time.Time) (seq uint64) {
	oldest, found := uint64(0), false
	for _, m := range all {
		if m.Deleted.IsZero() && (!found || m.Seq < oldest) {
			oldest, found = m.Seq, true
		}
	}
	for _, m := range all {
		if found && m.Seq <= oldest && m.Seq < last && now.Sub(m.Time) >= stragglers {
			seq = max(seq, m.Seq)
		}
	}
	return seq
}

// sweepBefore is before when a chunk must have been stored to be swept, if no
// manifest names it: a snapshot that is being taken may count on younger ones,
// and so may the changes that are left in the feed, of which begun is when the
// oldest was begun (zero: there is none).
func sweepBefore(begun, now time.Time) time.Time {
	if !begun.IsZero() && begun.Before(now) {
		now = begun
	}
	return now.Add(-snapshot.Grace)
}

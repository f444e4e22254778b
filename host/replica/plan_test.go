package replica

import (
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/replication/snapshot"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// shot is a snapshot of a message, so many minutes before noon.
func shot(seq uint64, minutes int, deleted bool) snapshot.Manifest {
	m := snapshot.Manifest{Seq: seq, Time: noon.Add(-time.Duration(minutes) * time.Minute)}
	if deleted {
		m.Deleted = noon.Add(-time.Minute)
	}
	return m
}

// TestTrimAfter: nothing is trimmed that a kept snapshot, the end of the feed, or
// a copy that was away for less than an hour needs.
func TestTrimAfter(t *testing.T) {
	for what, tt := range map[string]struct {
		all  []snapshot.Manifest
		last uint64
		want uint64
	}{
		"none":                       {nil, 9, 0},
		"young":                      {[]snapshot.Manifest{shot(5, 59, false)}, 9, 0},
		"old":                        {[]snapshot.Manifest{shot(5, 60, false)}, 9, 5},
		"the oldest kept":            {[]snapshot.Manifest{shot(7, 70, false), shot(5, 90, false)}, 9, 5},
		"deleted before the oldest":  {[]snapshot.Manifest{shot(3, 80, true), shot(4, 70, true), shot(5, 10, false)}, 9, 4},
		"deleted behind the oldest":  {[]snapshot.Manifest{shot(5, 10, false), shot(7, 70, true)}, 9, 0},
		"only deleted":               {[]snapshot.Manifest{shot(5, 90, true)}, 9, 0},
		"the last change":            {[]snapshot.Manifest{shot(9, 90, false)}, 9, 0},
		"of a feed that was longer":  {[]snapshot.Manifest{shot(90, 90, false)}, 9, 0},
		"of a clock that was behind": {[]snapshot.Manifest{shot(5, 9000, false)}, 9, 5},
	} {
		if got := trimAfter(tt.all, tt.last, noon); got != tt.want {
			t.Errorf("%s: %d, want %d", what, got, tt.want)
		}
	}
}

// TestDueAt: one node after the other has its turn; a clock that is ahead delays
// nothing, one that is behind hastens by no more than what it is behind.
func TestDueAt(t *testing.T) {
	for what, tt := range map[string]struct {
		taken, seen time.Duration // before noon
		rank        int
		want        time.Duration // after noon
	}{
		"first":                {0, 0, 0, time.Hour},
		"third":                {0, 0, 2, time.Hour + 12*time.Minute},
		"found at the start":   {50 * time.Minute, 0, 0, 10 * time.Minute},
		"a clock that is late": {-5 * time.Hour, 0, 0, time.Hour},
	} {
		m := shot(1, 0, false)
		m.Time = noon.Add(-tt.taken)
		if got := dueAt(&m, noon.Add(-tt.seen), time.Hour, tt.rank); !got.Equal(noon.Add(tt.want)) {
			t.Errorf("%s: %v", what, got)
		}
	}
}

// TestSweepBefore: what changes in the feed may name is older than them by less
// than the grace.
func TestSweepBefore(t *testing.T) {
	day := noon.Add(-24 * time.Hour)
	for _, tt := range []struct{ begun, want time.Time }{
		{time.Time{}, noon.Add(-snapshot.Grace)},
		{day, day.Add(-snapshot.Grace)},
		{noon.Add(time.Hour), noon.Add(-snapshot.Grace)}, // a clock that is ahead
	} {
		if got := sweepBefore(tt.begun, noon); !got.Equal(tt.want) {
			t.Errorf("%v: %v, want %v", tt.begun, got, tt.want)
		}
	}
}

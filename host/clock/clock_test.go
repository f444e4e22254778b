package clock_test

import (
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/clock"
)

func TestNowNeverGoesBack(t *testing.T) {
	var now clock.Clock = clock.Now
	last := now()
	for range 100_000 {
		next := now()
		if next.Before(last) {
			t.Fatalf("clock went from %v back to %v", last, next)
		}
		last = next
	}
}

// The clock must run at the rate of the monotonic clock of Go: a lease of 3 s
// is 3 s. (While the machine is suspended it runs ahead of it, never behind.)
func TestNowRunsAtTheRateOfRealTime(t *testing.T) {
	wall, boot := time.Now(), clock.Now()
	<-time.After(30 * time.Millisecond)
	boot1, wall1 := clock.Now(), time.Now()
	got, most := boot1.Sub(boot), wall1.Sub(wall)
	if got < 30*time.Millisecond || got > most+time.Millisecond {
		t.Fatalf("clock went on by %v while at least 30ms and at most %v passed", got, most)
	}
}

// A time that carried a wall clock or a monotonic reading would compare wrongly
// with the same number read from a pipe.
func TestNowIsAPlainNumber(t *testing.T) {
	now := clock.Now()
	if again := time.Unix(0, now.UnixNano()); again != now {
		t.Fatalf("%#v is not the time made of its own nanoseconds %#v", now, again)
	}
}

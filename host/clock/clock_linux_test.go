package clock_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/clock"
)

// /proc/uptime is CLOCK_BOOTTIME in hundredths of a second: the clock is shared
// by all processes of this boot.
func TestNowIsTheUptimeOfTheMachine(t *testing.T) {
	before := clock.Now()
	b, err := os.ReadFile("/proc/uptime")
	after := clock.Now()
	if err != nil {
		t.Skip("no /proc/uptime: ", err)
	}
	sec, err := strconv.ParseFloat(strings.Fields(string(b))[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	up := time.Unix(0, int64(sec*1e9))
	if up.Before(before.Add(-20*time.Millisecond)) || up.After(after.Add(20*time.Millisecond)) {
		t.Fatalf("uptime %v is not between %v and %v", up, before, after)
	}
}

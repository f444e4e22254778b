//go:build !linux

package clock

import "time"

// start is when this process began to count; it is never written again.
var start = time.Now()

// Now returns the time since this process was started, as time.Unix(0, ns). It
// never goes backwards. Compare it only with other results of Now in the same
// process. Whether it counts suspend is up to the operating system; on Linux,
// the home of the daemon, it does.
func Now() time.Time { return time.Unix(0, int64(time.Since(start))) }

package clock

import "time"

// Clock gives the present time. Code that compares deadlines takes a Clock and
// gets [Now] outside of tests.
type Clock func() time.Time

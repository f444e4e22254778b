package catalog

import (
	"context"
	"errors"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// meter counts the calls to one version on this node, whoever made them, to
// compare it with another one.
type meter struct {
	calls, faults atomic.Uint64
	took          [steps]atomic.Uint64
}

// Durations are counted in steps, four for each doubling.
const steps = 4 * 64

func step(d time.Duration) int {
	us := uint64(max(0, d.Microseconds())) + 4 // so that there are two digits behind the first
	n := bits.Len64(us)
	return 4*(n-3) + int(us>>(n-3))&3
}

// longest is the longest duration of a step.
func longest(step int) time.Duration {
	n := step/4 + 3
	us := uint64(4+step&3+1)<<(n-3) - 1
	return time.Duration(us-4) * time.Microsecond
}

// The first calls are timed, and one of so many of the others: to look at a clock
// twice takes longer than all the rest.
const (
	timedFirst = 256
	timedOneOf = 8
)

// begin returns when a call has begun; zero when it is not timed.
func (m *meter) begin() time.Time {
	if n := m.calls.Load(); n >= timedFirst && n%timedOneOf != 0 {
		return time.Time{}
	}
	return time.Now()
}

// end counts a call. One that its caller gave up says nothing.
func (m *meter) end(ctx context.Context, begun time.Time, err error) {
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	m.calls.Add(1)
	if faulty(err) {
		m.faults.Add(1)
	}
	if !begun.IsZero() {
		m.took[step(time.Since(begun))].Add(1)
	}
}

// faulty says whether the plugin did not do what it is there for. To say no, to
// be asked for a table anew, to lack an operation or a right, is no fault.
func faulty(err error) bool {
	return err != nil && !errors.Is(err, pluginapi.ErrRejected) && !errors.Is(err, pluginapi.ErrStale) &&
		!errors.Is(err, pluginapi.ErrNoMethod) && !errors.Is(err, pluginapi.ErrNotGranted)
}

// tally is what was counted so far.
func (m *meter) tally() plan.Tally {
	t := plan.Tally{Faults: m.faults.Load(), Calls: m.calls.Load()}
	t.Faults = min(t.Faults, t.Calls)
	var all uint64
	for i := range m.took {
		all += m.took[i].Load()
	}
	var seen uint64
	for i := range m.took {
		if seen += m.took[i].Load(); all > 0 && seen*10 >= all*9 {
			t.SlowUS = longest(i).Microseconds()
			break
		}
	}
	return t
}

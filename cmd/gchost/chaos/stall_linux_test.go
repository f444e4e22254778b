package chaos

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// Bounds of what a busy machine may do to a measurement.
const (
	stallVoid = 500 * time.Millisecond  // a longer stall of the machine voids a round
	noise     = 1500 * time.Millisecond // room in a bound: start of a process, scheduling
)

// ticker notices when the machine stood still: it wants to run every 2 ms.
type ticker struct {
	mu    sync.Mutex
	worst time.Duration
	stop  chan struct{}
	done  chan struct{}
}

func startTicker() *ticker {
	k := &ticker{stop: make(chan struct{}), done: make(chan struct{})}
	go k.run()
	return k
}

func (k *ticker) run() {
	defer close(k.done)
	tick := time.NewTicker(actEvery)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-tick.C:
		case <-k.stop:
			return
		}
		now := time.Now()
		k.mu.Lock()
		k.worst = max(k.worst, now.Sub(last))
		k.mu.Unlock()
		last = now
	}
}

// end returns the longest time that the ticker was not run.
func (k *ticker) end() time.Duration {
	close(k.stop)
	<-k.done
	return k.worst
}

// within measures a round and holds it against a bound. A round in which the
// machine stood still is repeated once.
func within(t *testing.T, bound time.Duration, what string, round func() time.Duration) time.Duration {
	t.Helper()
	for again := false; ; again = true {
		k := startTicker()
		took := round()
		stall := k.end()
		switch {
		case took <= bound:
			t.Logf("%s: %v", what, took.Round(100*time.Microsecond))
			return took
		case stall > stallVoid && !again:
			t.Logf("%s: %v, but the machine stood still for %v: once more", what, took, stall)
		default:
			t.Errorf("%s took %v: allowed are %v; the longest stall of the machine was %v", what, took, bound, stall)
			return took
		}
	}
}

// report prints figures as their median, 99th percentile and maximum.
func report(t *testing.T, what string, all []time.Duration) {
	t.Helper()
	if len(all) == 0 {
		t.Errorf("%s: nothing was measured", what)
		return
	}
	slices.Sort(all)
	at := func(p float64) time.Duration { return all[int(p*float64(len(all)-1))].Round(100 * time.Microsecond) }
	t.Logf("%s: p50 %v, p99 %v, max %v, n %d", what, at(0.5), at(0.99), at(1), len(all))
}

package plugintest

import (
	"context"
	"sync"
	"testing"
	"time"
)

// patience is how long a check waits for what must come. It is long: a loaded
// machine is no fault of a plugin.
const patience = 30 * time.Second

// T is what a check needs of a test. Fatalf does not return; it is called by the
// goroutine of the check only.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
	Cleanup(func())
}

// Check is one promise, and the code that finds out whether it is kept.
type Check struct {
	Name string
	Run  func(t T)
}

func run(t *testing.T, checks []Check) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.Name, func(t *testing.T) { c.Run(t) })
	}
}

// ended waits until fn has returned, which it must.
func ended(t T, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s: it has not returned after %v", what, patience)
	}
}

// together runs fn n times at once and waits for all.
func together(t T, what string, n int, fn func(i int)) {
	t.Helper()
	ended(t, what, func() {
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() { fn(i) })
		}
		all.Wait()
	})
}

// over is a context that has ended.
func over(t T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

package trial

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi/plugintest"
)

// Result is what came of one check.
type Result struct {
	Name   string
	Faults []string // none: it has passed
	Took   time.Duration
}

// maxFaults is how many faults of one check are kept; a check that runs in a
// loop says the same again.
const maxFaults = 20

// Run runs checks one after the other, and tells each result as it comes. It
// stops when ctx ends. It says whether all have passed.
func Run(ctx context.Context, checks []plugintest.Check, tell func(Result)) bool {
	good := true
	for _, c := range checks {
		if ctx.Err() != nil {
			tell(Result{Name: c.Name, Faults: []string{"not run: " + context.Cause(ctx).Error()}})
			return false
		}
		begin := time.Now()
		r := Result{Name: c.Name, Faults: runCheck(ctx, c)}
		r.Took = time.Since(begin)
		good = good && len(r.Faults) == 0
		tell(r)
	}
	return good
}

// runCheck runs a check in a goroutine of its own, because Fatalf ends that one.
func runCheck(ctx context.Context, c plugintest.Check) []string {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &tester{ctx: inner}
	t.goroutine(func() { c.Run(t) })
	cancel()
	for f := t.next(); f != nil; f = t.next() {
		t.goroutine(f)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.faults
}

// tester is a plugintest.T outside of a test.
type tester struct {
	ctx context.Context

	mu       sync.Mutex
	faults   []string
	cleanups []func()
}

// goroutine runs fn and waits for its end, however it ends.
func (t *tester) goroutine(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if r := recover(); r != nil {
				t.Errorf("the check panics: %v", r)
			}
		}()
		fn()
	}()
	<-done
}

func (t *tester) next() func() {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.cleanups)
	if n == 0 {
		return nil
	}
	f := t.cleanups[n-1]
	t.cleanups = t.cleanups[:n-1]
	return f
}

// Helper does nothing: results have no lines.
func (t *tester) Helper() {}

// Context ends before the cleanups begin.
func (t *tester) Context() context.Context { return t.ctx }

// Cleanup runs fn after the check; the last one first.
func (t *tester) Cleanup(fn func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, fn)
}

// Errorf keeps a fault.
func (t *tester) Errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.faults) < maxFaults {
		t.faults = append(t.faults, strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}

// Fatalf keeps a fault and ends the check.
func (t *tester) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

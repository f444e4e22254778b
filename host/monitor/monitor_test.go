package monitor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/health"
	"github.com/ozanturksever/go-cluster/host/monitor"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// running is a monitor that runs in a bubble, and what it tells.
type running struct {
	*monitor.Monitor
	t    *testing.T
	log  strings.Builder
	stop func()

	mu   sync.Mutex
	told []string
}

// inBubble runs a test in fake time with a monitor that runs until the test
// ends.
func inBubble(t *testing.T, test func(t *testing.T, r *running)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &running{Monitor: monitor.New(), t: t}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			r.Run(ctx, slog.New(slog.NewTextHandler(&r.log, nil)), monitor.Listener{
				Changed: func(s pluginapi.HealthStatus) { r.tell(s.Status) },
				Failing: func(names []string) { r.tell(fmt.Sprint(names)) },
			})
		})
		synctest.Wait()
		r.stop = func() {
			cancel()
			wg.Wait()
		}
		defer r.stop()
		test(t, r)
	})
}

func (r *running) tell(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, what)
}

func (r *running) add(c health.Check, fn monitor.Func) {
	r.t.Helper()
	if err := r.Register(c, fn); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) want(name, status, text string) {
	r.t.Helper()
	if got := r.Status().Checks[name]; got.Status != status || !strings.Contains(got.Error, text) {
		r.t.Errorf("%s is %+v, want %s, %q", name, got, status, text)
	}
}

func (r *running) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told[len(r.told)-1]
}

func passes(context.Context) error { return nil }

// TestRun: checks that fail, panic, end their goroutine and overrun their time
// fail; one that passes is not held up by them.
func TestRun(t *testing.T) {
	inBubble(t, func(t *testing.T, r *running) {
		var turns atomic.Int64
		r.add(health.Check{Name: "good", Interval: time.Second}, func(context.Context) error {
			turns.Add(1)
			return nil
		})
		r.add(health.Check{Name: "bad"}, func(context.Context) error { return errors.New("no disk") })
		r.add(health.Check{Name: "mute"}, func(context.Context) error { return errors.New("") })
		r.add(health.Check{Name: "panics"}, func(context.Context) error { panic("oh") })
		r.add(health.Check{Name: "leaves"}, func(context.Context) error {
			runtime.Goexit()
			return nil
		})
		r.add(health.Check{Name: "slow"}, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		time.Sleep(5*time.Second + time.Millisecond)
		r.want("good", "passing", "")
		r.want("bad", "failing", "no disk")
		r.want("mute", "failing", "without a text")
		r.want("panics", "failing", "panic: oh")
		r.want("leaves", "failing", "ended its goroutine")
		r.want("slow", "failing", "")
		if n := turns.Load(); n != 6 {
			t.Errorf("%d turns in 5 s", n)
		}
		if told := r.last(); told != "[bad mute panics leaves slow]" {
			t.Errorf("told %s last", told)
		}
		for _, name := range []string{"bad", "mute", "panics", "leaves", "slow"} {
			if err := r.Unregister(name); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if told := r.last(); told != "passing" {
			t.Errorf("told %s last", told)
		}
	})
}

// TestNeverReturns: a check that does not return is started once, and Run ends
// without it.
func TestNeverReturns(t *testing.T) {
	inBubble(t, func(t *testing.T, r *running) {
		var starts atomic.Int64
		free := make(chan struct{})
		defer close(free)
		r.add(health.Check{Name: "deaf"}, func(context.Context) error {
			starts.Add(1)
			<-free
			return nil
		})
		r.add(health.Check{Name: "good"}, passes)
		time.Sleep(time.Hour)
		r.want("deaf", "failing", "has not returned for")
		r.want("good", "passing", "")
		if n := starts.Load(); n != 1 {
			t.Errorf("started %d times", n)
		}
		begun := time.Now()
		if s := r.Check(t.Context()); s.Checks["good"].Status != "passing" || time.Since(begun) > time.Second {
			t.Errorf("after %v: %+v", time.Since(begun), s)
		}
		begun = time.Now()
		r.stop()
		if took := time.Since(begun); took > 2*time.Second || !strings.Contains(r.log.String(), "checks=deaf") {
			t.Errorf("Run ended after %v: %s", took, &r.log)
		}
	})
}

// TestCheck: Check returns what the checks say now, or what they last said when
// its context ends.
func TestCheck(t *testing.T) {
	inBubble(t, func(t *testing.T, r *running) {
		var broken atomic.Bool
		r.add(health.Check{Name: "db", Interval: time.Hour}, func(context.Context) error {
			if broken.Load() {
				return errors.New("gone")
			}
			return nil
		})
		r.add(health.Check{Name: "api", Interval: time.Hour, DependsOn: []string{"db"}}, passes)
		if s := r.Check(t.Context()); s.Status != "passing" || s.Checks["api"].Status != "passing" || s.Timestamp.IsZero() {
			t.Errorf("%+v", s)
		}
		broken.Store(true)
		if s := r.Check(t.Context()); s.Status != "failing" || s.Checks["api"].Status != "skipped" {
			t.Errorf("%+v", s)
		}
		r.add(health.Check{Name: "slow", Interval: time.Hour}, func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if s := r.Check(ctx); time.Since(begun) != time.Second || s.Checks["slow"].Status != "skipped" {
			t.Errorf("after %v: %+v", time.Since(begun), s)
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { r.Check(t.Context()) })
		}
		wg.Go(r.stop)
		wg.Wait()
	})
}

// TestCircuit: an open circuit is closed by a reset, and the check is tried at
// once.
func TestCircuit(t *testing.T) {
	inBubble(t, func(t *testing.T, r *running) {
		var broken atomic.Bool
		broken.Store(true)
		r.add(health.Check{Name: "a"}, func(context.Context) error {
			if broken.Load() {
				return errors.New("no")
			}
			return nil
		})
		time.Sleep(25 * time.Second)
		if s := r.Status().Checks["a"]; !s.CircuitOpen || s.FailureCount != 3 {
			t.Errorf("%+v", s)
		}
		broken.Store(false)
		if s := r.Check(t.Context()).Checks["a"]; s.Status != "failing" {
			t.Errorf("a check with an open circuit was tried: %+v", s)
		}
		if err := r.Reset("a"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.want("a", "passing", "")
		if h := r.AllHistory(); len(h) != 1 || len(h["a"]) != 4 || len(r.History("a")) != 4 || r.History("b") != nil {
			t.Errorf("%+v", h)
		}
	})
}

// TestAroundRun: what is asked before and after Run is answered.
func TestAroundRun(t *testing.T) {
	m := monitor.New()
	wantErr := func(err error, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	wantErr(m.Register(health.Check{Name: "a"}, nil), pluginapi.ErrInvalid)
	wantErr(m.Register(health.Check{Name: ""}, passes), pluginapi.ErrInvalid)
	wantErr(m.Register(health.Check{Name: "a"}, passes), nil)
	wantErr(m.Unregister("b"), pluginapi.ErrInvalid)
	if s := m.Check(t.Context()); s.Status != "passing" || s.Checks["a"].Status != "skipped" || s.Checks["a"].Error != "it has not run yet" {
		t.Errorf("%+v", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.Run(ctx, slog.New(slog.DiscardHandler), monitor.Listener{})
	for _, err := range []error{m.Register(health.Check{Name: "b"}, passes), m.Unregister("a"), m.Reset("a")} {
		wantErr(err, pluginapi.ErrShuttingDown)
	}
	if s := m.Check(t.Context()); len(s.Checks) != 1 {
		t.Errorf("%+v", s)
	}
}

// TestRace: checks come and go while they are run, read and asked for.
func TestRace(t *testing.T) {
	inBubble(t, func(t *testing.T, r *running) {
		var wg sync.WaitGroup
		for i := range 8 {
			name := fmt.Sprint("c", i)
			wg.Go(func() {
				for range 100 {
					var busy atomic.Int64
					r.add(health.Check{Name: name, Interval: 10 * time.Millisecond}, func(context.Context) error {
						if busy.Add(1) > 1 {
							t.Error("two at a time")
						}
						defer busy.Add(-1)
						time.Sleep(time.Millisecond)
						return nil
					})
					r.Check(t.Context())
					r.Status()
					r.AllHistory()
					if err := r.Unregister(name); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}

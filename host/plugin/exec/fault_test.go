//go:build unix

package exec

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// A process that ends in a call: the call says that its outcome is unknown, and
// why; the next call waits for the next process, which is configured.
func TestExitInACall(t *testing.T) {
	t.Parallel()
	i := load(t, config(t, "actor"), options(t))
	for n, op := range []string{"exit", "panic"} {
		pid := mustCall(t, i, "pid", "")
		_, err := i.Call(t.Context(), op, nil)
		wants(t, err, pluginapi.ErrPluginCrashed, pluginapi.ErrUnknownOutcome)
		wantsText(t, err, [...]string{"exit status 7; its last words: last words of mine", "oh no"}[n])
		if mustCall(t, i, "pid", "") == pid {
			t.Error("the process is the same")
		}
		if !strings.Contains(mustCall(t, i, "configured", ""), "hello") {
			t.Error("the new process was not configured")
		}
		if s := i.Stats(); s.Crashes != uint64(n+1) || s.Restarts != uint64(n+1) || s.Limits != 0 {
			t.Errorf("stats: %+v", s)
		}
	}
}

// A process that stands still: each call ends by its own deadline, and the
// process is replaced when the limit of a call is over.
func TestStoppedProcess(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Limits.Call = 3 * time.Second
	i := load(t, config(t, "actor"), o)
	pid := mustCall(t, i, "pid", "")
	stopActor(t, pid)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := i.Call(ctx, "echo", []byte("one"))
	wants(t, err, pluginapi.ErrTimeout, pluginapi.ErrUnknownOutcome, context.DeadlineExceeded)
	if took := time.Since(began); took >= o.Limits.Call {
		t.Errorf("a call with 100 ms took %v", took)
	}
	_, err = i.Call(t.Context(), "echo", []byte("two"))
	wants(t, err, pluginapi.ErrUnknownOutcome)
	if !errors.Is(err, pluginapi.ErrPluginLimit) {
		t.Errorf("got %v", err)
	}
	until(t, "a new process answers", func() bool {
		got, err := i.Call(t.Context(), "pid", nil)
		return err == nil && string(got) != pid
	})
	if s := i.Stats(); s.Limits == 0 || s.Crashes != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// A process that stands still is found out by a caller's deadline, long before
// the longest call would be over.
func TestHangIsFoundOut(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Limits.Call = time.Hour
	i := load(t, config(t, "actor"), o)
	i.runtime.probe = time.Second
	pid := mustCall(t, i, "pid", "")
	_, err := i.Call(expiring(t, 100*time.Millisecond), "hang", nil)
	wants(t, err, pluginapi.ErrTimeout, pluginapi.ErrUnknownOutcome)
	i.mu.Lock()
	p := i.current
	i.mu.Unlock()
	until(t, "it was asked whether it lives", func() bool { return !p.probing.Load() })
	if mustCall(t, i, "pid", "") != pid {
		t.Error("a process was replaced that answers, because one of its calls does not end")
	}
	stopActor(t, pid)
	_, err = i.Call(expiring(t, 100*time.Millisecond), "echo", nil)
	wants(t, err, pluginapi.ErrTimeout, pluginapi.ErrUnknownOutcome)
	until(t, "the process that hangs is replaced", func() bool {
		got, err := i.Call(t.Context(), "pid", nil)
		return err == nil && string(got) != pid
	})
}

// Close of a plugin that stands still, or has a call that never ends, returns.
func TestCloseOfWhatHangs(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"stopped", "call"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			i := load(t, config(t, "actor"), options(t))
			ended := make(chan error, 1)
			if how == "stopped" {
				stopActor(t, mustCall(t, i, "pid", ""))
				ended <- nil
			} else {
				go func() {
					_, err := i.Call(context.Background(), "hang", nil)
					ended <- err
				}()
				until(t, "the call runs", func() bool { return !i.turns.TryAcquire(everybody) || release(i) })
			}
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if err := i.Close(ctx); err != nil {
				t.Error(err)
			}
			if err := <-ended; how == "call" {
				wants(t, err, pluginapi.ErrPluginDisabled, pluginapi.ErrUnknownOutcome)
			}
			_, err := i.Call(t.Context(), "echo", nil)
			wants(t, err, pluginapi.ErrPluginDisabled)
		})
	}
}

// release undoes a TryAcquire that ought not to have come through.
func release(i *Instance) bool {
	i.turns.Release(everybody)
	return false
}

// Close lets the calls that run come to their end.
func TestCloseDrains(t *testing.T) {
	t.Parallel()
	i := load(t, config(t, "actor"), options(t))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := i.Call(ctx, "wait", nil)
		ended <- err
	}()
	until(t, "the call runs", func() bool { return !i.turns.TryAcquire(everybody) || release(i) })
	mustClose(t, i)
	err := <-ended
	wants(t, err, pluginapi.ErrTimeout)
	if errors.Is(err, pluginapi.ErrPluginCrashed) || errors.Is(err, pluginapi.ErrPluginDisabled) {
		t.Errorf("the call was cut off: %v", err)
	}
}

// A caller who gives up costs the plugin nothing but the call, which is told.
func TestGivingUpACall(t *testing.T) {
	t.Parallel()
	o, seen := options(t), &book{}
	o.Logger = seen.logger()
	i := load(t, config(t, "actor"), o)
	pid := mustCall(t, i, "pid", "")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := i.Call(ctx, "wait", nil)
		ended <- err
	}()
	until(t, "the call runs", func() bool { return !i.turns.TryAcquire(everybody) || release(i) })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if mustCall(t, i, "pid", "") != pid {
		t.Error("the process was replaced")
	}
	// The plugin hears of it, unless the call was given up before it was sent.
	_, err := i.Call(expiring(t, 50*time.Millisecond), "wait", nil)
	wants(t, err, pluginapi.ErrTimeout)
	_, err = i.Call(expiring(t, 2*time.Second), "wait", nil)
	wants(t, err, pluginapi.ErrTimeout)
	until(t, "the plugin has heard of it", func() bool { return seen.has("gave up waiting") })
	got := mustCall2(t, i, expiring(t, 10*time.Second), "deadline")
	var ok bool
	var ms int
	if _, err := fmt.Sscan(got, &ok, &ms); err != nil || !ok || ms > 9000 || ms <= 0 {
		t.Errorf("the plugin was told %q of 10 s", got)
	}
}

func mustCall2(t *testing.T, i *Instance, ctx context.Context, op string) string {
	t.Helper()
	out, err := i.Call(ctx, op, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func expiring(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Sizes: what is within the limits passes, 5 MiB too; what is over them costs the
// caller an error, or the plugin its process.
func TestSizes(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Limits.Input, o.Limits.Output = 6<<20, 6<<20
	i := load(t, config(t, "actor"), o)
	word := strings.Repeat("0123456789abcdef", 5<<20/16)
	if mustCall(t, i, "echo", word) != word {
		t.Error("5 MiB came back changed")
	}
	if got := mustCall(t, i, "big", strconv.Itoa(6<<20)); len(got) != 6<<20 {
		t.Errorf("an answer of the limit has %d bytes", len(got))
	}
	pid := mustCall(t, i, "pid", "")
	_, err := i.Call(t.Context(), "echo", make([]byte, 6<<20+1))
	wants(t, err, pluginapi.ErrTooLarge)
	if mustCall(t, i, "pid", "") != pid {
		t.Error("a caller's mistake cost the plugin its process")
	}
	for _, n := range []int{6<<20 + 1, 7 << 20, 40 << 20} {
		_, err = i.Call(t.Context(), "big", []byte(strconv.Itoa(n)))
		wants(t, err, pluginapi.ErrPluginLimit, pluginapi.ErrUnknownOutcome)
		if mustCall(t, i, "pid", "") == pid {
			t.Errorf("after an answer of %d bytes the process is the same", n)
		}
	}
	if s := i.Stats(); s.Limits != 3 || s.Crashes != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// An answer far over the limit is refused while it comes: it never is in the
// host's memory. Not parallel: it counts what the whole process allocates.
func TestHugeAnswerIsNotTaken(t *testing.T) {
	i := load(t, config(t, "actor"), options(t))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := i.Call(t.Context(), "big", []byte(strconv.Itoa(60<<20)))
	runtime.ReadMemStats(&after)
	wants(t, err, pluginapi.ErrPluginLimit)
	if n := after.TotalAlloc - before.TotalAlloc; n > 20<<20 {
		t.Errorf("for an answer that was refused %d bytes were allocated", n)
	}
}

// A plugin that floods go-plugin's broker finds nobody there.
func TestBrokerFlood(t *testing.T) {
	before := runtime.NumGoroutine()
	i := load(t, config(t, "flooding broker"), options(t))
	for began := time.Now(); time.Since(began) < time.Second; {
		mustCall(t, i, "echo", "x")
		if n := runtime.NumGoroutine(); n > before+200 {
			t.Fatalf("%d goroutines, %d before", n, before)
		}
	}
}

// A call that waits for a process ends when the plugin is closed.
func TestCloseWhileItCannotStart(t *testing.T) {
	t.Parallel()
	i := load(t, config(t, "actor"), options(t))
	if err := os.Remove(i.binary()); err != nil {
		t.Fatal(err)
	}
	_, err := i.Call(t.Context(), "exit", nil)
	wants(t, err, pluginapi.ErrPluginCrashed)
	ended := make(chan error, 1)
	go func() {
		_, err := i.Call(t.Context(), "echo", nil)
		ended <- err
	}()
	until(t, "the call waits", func() bool { return !i.turns.TryAcquire(everybody) || release(i) })
	mustClose(t, i)
	wants(t, <-ended, pluginapi.ErrPluginDisabled)
}

// Killed again and again at random under calls: each call ends, no answer is
// wrong, and each error says what may have happened.
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	r := New(config(t, "actor"))
	r.firstPause, r.lastPause = time.Millisecond, 20*time.Millisecond
	i := loadBy(t, r, options(t))
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for caller := range 4 {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				word := fmt.Sprintf("%d-%d", caller, n)
				got, err := i.Call(t.Context(), "echo", []byte(word))
				switch {
				case err == nil && string(got) != word:
					t.Errorf("asked %q, got %q", word, got)
				case err != nil && !(errors.Is(err, pluginapi.ErrPluginCrashed) && errors.Is(err, pluginapi.ErrUnknownOutcome)):
					t.Errorf("got %v", err)
				}
			}
		})
	}
	const kills = 15
	for range kills {
		crashes := i.Stats().Crashes
		<-time.After(rand.N(50 * time.Millisecond))
		killActor(t, i)
		until(t, "the kill is seen", func() bool { return i.Stats().Crashes > crashes })
	}
	cancel()
	all.Wait()
	if s := i.Stats(); s.Restarts < kills-1 || s.Calls <= s.Errors {
		t.Errorf("stats: %+v", s)
	}
	mustCall(t, i, "echo", "after it all")
}

// Who has the guest alone has it alone, and what he left there is gone with the
// process.
func TestDo(t *testing.T) {
	t.Parallel()
	i := load(t, config(t, "actor"), options(t))
	inside := 0
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			err := i.Do(t.Context(), func(g *plugin.Guest) error {
				inside++
				defer func() { inside-- }()
				if inside != 1 {
					t.Errorf("%d are in it", inside)
				}
				n, _ := g.Held.(int)
				g.Held = n + 1
				_, err := g.Call(t.Context(), "echo", nil)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	held := func() (h any) {
		if err := i.Do(t.Context(), func(g *plugin.Guest) error { h = g.Held; return nil }); err != nil {
			t.Error(err)
		}
		return h
	}
	if h := held(); h != 4 {
		t.Errorf("held %v", h)
	}
	err := i.Do(t.Context(), func(g *plugin.Guest) error {
		_, err := g.Call(expiring(t, 100*time.Millisecond), "hang", nil)
		wants(t, err, pluginapi.ErrTimeout)
		_, err = g.Call(t.Context(), "echo", nil)
		return err
	})
	if err == nil {
		t.Error("a guest that was given up took another call")
	}
	if h := held(); h != nil {
		t.Errorf("a new process holds %v", h)
	}
}

// Nothing of an instance is left in the host: no goroutine, no open file.
func TestNothingLeaks(t *testing.T) {
	count := func() (int, int) {
		files, _ := os.ReadDir("/proc/self/fd")
		return runtime.NumGoroutine(), len(files)
	}
	round := func() {
		i := load(t, config(t, "actor"), options(t))
		_, err := i.Call(t.Context(), "exit", nil)
		wants(t, err, pluginapi.ErrPluginCrashed)
		mustCall(t, i, "echo", "x")
		mustClose(t, i)
	}
	round()
	goroutines, files := count()
	for range 3 {
		round()
	}
	until(t, "what the rounds began has ended", func() bool {
		g, f := count()
		return g <= goroutines && f <= files
	})
}

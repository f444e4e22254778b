package backend

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// fakeRemote is a service that is nowhere but here.
type fakeRemote struct {
	mu     sync.Mutex
	runs   bool
	ups    int
	forced int // how often it was ended without grace
	sight  sight
	unseen error // what look returns

	slow    time.Duration // of a bringUp
	grace   time.Duration // that it wants
	onStart func()
	stuck   error // what bringDown returns
	hints   chan struct{}
}

func (f *fakeRemote) bringUp(ctx context.Context, _ told) error {
	f.mu.Lock()
	f.runs = true // as an engine may have it even when the start goes wrong
	f.ups++
	fn := f.onStart
	f.mu.Unlock()
	if fn != nil {
		fn()
	}
	select {
	case <-time.After(f.slow):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *fakeRemote) bringDown(ctx context.Context) error {
	f.mu.Lock()
	running := f.runs
	f.mu.Unlock()
	if f.stuck != nil {
		return f.stuck
	}
	if !running {
		return nil
	}
	force := 0
	select {
	case <-time.After(f.grace):
	case <-ctx.Done():
		force = 1
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs, f.forced = false, f.forced+force
	return nil
}

func (f *fakeRemote) look(context.Context) (sight, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unseen != nil {
		return sight{}, f.unseen
	}
	if !f.runs {
		return sight{message: "exit code 1"}, nil
	}
	if f.sight == (sight{}) {
		return sight{alive: true, status: pluginapi.StatusRunning}, nil
	}
	return f.sight, nil
}

func (f *fakeRemote) watch(ctx context.Context, hint func()) error {
	hint()
	for {
		select {
		case <-f.hints:
			hint()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// change changes the service and tells of it.
func (f *fakeRemote) change(fn func()) {
	f.mu.Lock()
	fn()
	f.mu.Unlock()
	f.hints <- struct{}{}
	synctest.Wait()
}

func (f *fakeRemote) state() (runs bool, ups, forced int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.runs, f.ups, f.forced
}

// kept runs a test in a bubble, with a keeper that has nothing left to do in the end.
func kept(t *testing.T, restart RestartPolicy, fn func(t *testing.T, k *keeper, f *fakeRemote)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRemote{hints: make(chan struct{}), grace: time.Millisecond}
		k := newKeeper("service", f, restart)
		fn(t, k, f)
		f.stuck = nil
		if err := k.stop(context.Background()); err != nil {
			t.Error(err)
		}
		if runs, _, _ := f.state(); runs {
			t.Error("it runs after the stop")
		}
	})
}

func gaveUp(t *testing.T, k *keeper, says string) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-k.failed:
		if !strings.Contains(err.Error(), says) {
			t.Errorf("it gave up for %v, want %s", err, says)
		}
	default:
		t.Errorf("it has not given up: %+v", k.health())
	}
}

// A lease that ends while the service comes up, as that of a host that stood
// still, leaves nothing running.
func TestKeeperLeaseEndsInAStart(t *testing.T) {
	kept(t, RestartPolicy{}, func(t *testing.T, k *keeper, f *fakeRemote) {
		valid := true
		f.onStart = func() { valid = false }
		ctx := pluginapi.WithLease(t.Context(), leaseOfTest(&valid))
		if err := k.start(ctx); !errors.Is(err, pluginapi.ErrNotLeader) {
			t.Errorf("start: %v", err)
		}
		if runs, ups, forced := f.state(); runs || ups != 1 || forced != 1 {
			t.Errorf("it runs %v, was brought up %d times, forced down %d", runs, ups, forced)
		}
		if err := k.start(ctx); !errors.Is(err, pluginapi.ErrNotLeader) {
			t.Errorf("start: %v", err)
		}
		if _, ups, _ := f.state(); ups != 1 {
			t.Error("it was brought up without a lease")
		}
	})
}

func leaseOfTest(valid *bool) pluginapi.Lease {
	return pluginapi.Lease{Epoch: 1, Valid: func() bool { return *valid }, Until: func() time.Duration { return time.Hour }}
}

// A service is not restarted without a lease either.
func TestKeeperLeaseEndsBeforeARestart(t *testing.T) {
	kept(t, RestartPolicy{}, func(t *testing.T, k *keeper, f *fakeRemote) {
		valid := true
		if err := k.start(pluginapi.WithLease(t.Context(), leaseOfTest(&valid))); err != nil {
			t.Fatal(err)
		}
		f.change(func() { f.runs, valid = false, false })
		time.Sleep(time.Second)
		gaveUp(t, k, pluginapi.ErrNotLeader.Error())
		if _, ups, _ := f.state(); ups != 1 {
			t.Errorf("it was brought up %d times", ups)
		}
	})
}

func TestKeeperRestarts(t *testing.T) {
	kept(t, RestartPolicy{MaxRestarts: 2, Delay: time.Second}, func(t *testing.T, k *keeper, f *fakeRemote) {
		if err := k.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.change(func() { f.runs = false })
		if h := k.health(); h.Status != pluginapi.StatusUnhealthy || !strings.Contains(h.Message, "exit code 1") {
			t.Errorf("before the restart: %+v", h)
		}
		time.Sleep(1300 * time.Millisecond)
		synctest.Wait()
		if h := k.health(); h.Status != pluginapi.StatusRunning || k.restartCount() != 1 {
			t.Errorf("after the restart: %+v, %d", h, k.restartCount())
		}
		f.change(func() { f.sight = sight{alive: true, status: pluginapi.StatusUnhealthy, sick: true, message: "ill"} })
		time.Sleep(3 * time.Second) // the second restart finds it ill too
		gaveUp(t, k, "2 restarts within 1m0s were not enough: it is unhealthy: ill")
		if runs, ups, _ := f.state(); runs || ups != 3 || k.health().Status != pluginapi.StatusUnhealthy {
			t.Errorf("it runs %v, ups %d, %+v", runs, ups, k.health())
		}
	})
}

// Without an answer nothing is restarted: nobody knows what runs.
func TestKeeperUnseen(t *testing.T) {
	kept(t, RestartPolicy{}, func(t *testing.T, k *keeper, f *fakeRemote) {
		if err := k.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.change(func() { f.unseen = errors.New("no answer") })
		time.Sleep(2 * DefaultHealthInterval)
		synctest.Wait()
		if h := k.health(); h.Status != pluginapi.StatusUnhealthy || h.Message != "no answer" || len(k.failed) > 0 {
			t.Errorf("after two looks: %+v", h)
		}
		f.change(func() { f.unseen = nil })
		if h := k.health(); h.Status != pluginapi.StatusRunning {
			t.Errorf("with an answer: %+v", h)
		}
		f.change(func() { f.unseen = errors.New("no answer") })
		time.Sleep(4 * DefaultHealthInterval)
		gaveUp(t, k, "cannot be found out: 3 times in a row: no answer")
		if runs, ups, _ := f.state(); runs || ups != 1 {
			t.Errorf("it runs %v, ups %d", runs, ups)
		}
	})
}

// A stop ends the start that is under way, and nothing of it is left.
func TestKeeperStopInAStart(t *testing.T) {
	kept(t, RestartPolicy{}, func(t *testing.T, k *keeper, f *fakeRemote) {
		f.slow = time.Minute
		started := make(chan error)
		go func() { started <- k.start(context.Background()) }()
		synctest.Wait()
		begun := time.Now()
		stopped := make(chan error)
		go func() { stopped <- k.stop(context.Background()) }()
		if err := <-started; !errors.Is(err, errStopped) {
			t.Errorf("start: %v", err)
		}
		if err := <-stopped; err != nil || time.Since(begun) > time.Second {
			t.Errorf("stop: %v after %v", err, time.Since(begun))
		}
	})
}

// A start that takes too long is ended.
func TestKeeperSlowStart(t *testing.T) {
	kept(t, RestartPolicy{}, func(t *testing.T, k *keeper, f *fakeRemote) {
		f.slow = 2 * k.startFor
		if err := k.start(t.Context()); !errors.Is(err, pluginapi.ErrTimeout) {
			t.Errorf("start: %v", err)
		}
		if runs, _, _ := f.state(); runs || k.health().Status != pluginapi.StatusStopped {
			t.Errorf("it runs %v, %+v", runs, k.health())
		}
	})
}

// A second stop without time takes the grace from the first.
func TestKeeperHurry(t *testing.T) {
	kept(t, RestartPolicy{}, func(t *testing.T, k *keeper, f *fakeRemote) {
		f.grace, k.stopFor = time.Hour, time.Hour
		if err := k.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		patient := make(chan error)
		go func() { patient <- k.stop(context.Background()) }()
		synctest.Wait()
		begun := time.Now()
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if err := errors.Join(k.stop(over), <-patient); err != nil || time.Since(begun) > time.Second {
			t.Errorf("stop: %v after %v", err, time.Since(begun))
		}
		if _, _, forced := f.state(); forced != 1 {
			t.Errorf("forced %d times", forced)
		}
	})
}

// A stop in the pause before a restart is the end of it.
func TestKeeperStopBeforeARestart(t *testing.T) {
	kept(t, RestartPolicy{Delay: time.Minute}, func(t *testing.T, k *keeper, f *fakeRemote) {
		if err := k.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.change(func() { f.runs = false })
		if err := k.stop(t.Context()); err != nil || k.health().Status != pluginapi.StatusStopped {
			t.Errorf("stop: %v, %+v", err, k.health())
		}
		time.Sleep(time.Hour)
		if _, ups, _ := f.state(); ups != 1 || len(k.failed) > 0 {
			t.Errorf("it was brought up %d times", ups)
		}
	})
}

// What cannot be ended is not said to be stopped.
func TestKeeperStuck(t *testing.T) {
	kept(t, RestartPolicy{}, func(t *testing.T, k *keeper, f *fakeRemote) {
		if err := k.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.stuck = errors.New("it hangs")
		if err := k.stop(t.Context()); !errors.Is(err, f.stuck) || k.health().Status != pluginapi.StatusUnhealthy {
			t.Errorf("stop: %v, %+v", err, k.health())
		}
	})
}

package backend

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

func TestStartAndStop(t *testing.T) {
	cfg := actor(t, "polite")
	lines := hearing(&cfg)
	p := started(t, cfg)
	await(t, lines, "ready")
	if h := health(t, p); h.Status != pluginapi.StatusRunning || h.Uptime <= 0 {
		t.Errorf("health: %+v", h)
	}
	pid := p.PID()
	if err := p.Start(t.Context()); err != nil || p.PID() != pid {
		t.Errorf("second start: %v, pid %d then %d", err, pid, p.PID())
	}
	mustStop(t, p)
	await(t, lines, "bye")
	if code, ok := p.ExitCode(); code != 0 || !ok {
		t.Errorf("exit code %d, %v", code, ok)
	}
	mustStop(t, p) // a stop of a stopped one
	if err := p.Start(t.Context()); err != nil || p.PID() == pid {
		t.Errorf("start after stop: %v", err)
	}
}

// A start's context is not the service's life (defect 28 of the prior art).
func TestContextOfStartDoesNotEndTheService(t *testing.T) {
	cfg := actor(t, "polite")
	p := NewProcess(cfg)
	t.Cleanup(func() { mustStop(t, p) })
	ctx, cancel := context.WithCancel(t.Context())
	if err := p.Start(ctx); err != nil {
		t.Fatal(err)
	}
	pid := p.PID()
	cancel()
	probe := ReadyCheck{Exec: []string{"true"}, Timeout: time.Minute}
	for range 20 { // time in which a kill would have come
		if err := probe.once(t.Context(), p.run.check); err != nil {
			t.Fatal(err)
		}
	}
	if p.PID() != pid || p.RestartCount() != 0 || p.Signal(syscall.Signal(0)) != nil {
		t.Errorf("the service has ended: %+v", health(t, p))
	}
}

func TestStartWithAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := NewProcess(actor(t, "polite"))
	if err := p.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	mustStop(t, p)
}

// A start that takes too long leaves nothing behind, and says what it waited for.
func TestStartThatIsNotReadyInTime(t *testing.T) {
	t.Parallel()
	cfg := actor(t, "stubborn")
	cfg.Ready = &ReadyCheck{TCP: freeAddress(t), Interval: 20 * time.Millisecond}
	t.Run("context", func(t *testing.T) {
		p := NewProcess(cfg)
		ctx, cancel := contextFor(300 * time.Millisecond)
		defer cancel()
		err := p.Start(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "check tcp") {
			t.Errorf("got %v", err)
		}
		if n := len(living(markOf(t))); n > 0 {
			t.Errorf("%d processes are left", n)
		}
	})
	t.Run("StartTimeout", func(t *testing.T) {
		cfg.StartTimeout = 300 * time.Millisecond
		p := NewProcess(cfg)
		err := p.Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), "not ready after 300ms") {
			t.Errorf("got %v", err)
		}
		if n := len(living(markOf(t))); n > 0 {
			t.Errorf("%d processes are left", n)
		}
	})
}

// The end of the process is noticed at once, not by the readiness check.
func TestProcessThatEndsWhileItStarts(t *testing.T) {
	cfg := actor(t, "crash")
	cfg.Ready = &ReadyCheck{TCP: freeAddress(t), Interval: time.Hour}
	cfg.StartTimeout = time.Hour
	p := NewProcess(cfg)
	err := p.Start(t.Context())
	for _, want := range []string{"exit status 3", "cannot open the shop"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	if code, ok := p.ExitCode(); code != 3 || !ok {
		t.Errorf("exit code %d, %v", code, ok)
	}
	if h := health(t, p); h.Status != pluginapi.StatusStopped || !strings.Contains(h.Message, "exit status 3") {
		t.Errorf("health: %+v", h)
	}
	mustStop(t, p)
}

func TestProgramThatIsNotThere(t *testing.T) {
	for _, c := range []ProcessConfig{
		{Command: "there-is-no-such-program"},
		{Command: "/there/is/none"},
		{Command: "true", Dir: "/there/is/none"},
	} {
		p := NewProcess(c)
		if err := p.Start(t.Context()); !errors.Is(err, os.ErrNotExist) && !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("%+v: got %v", c, err)
		}
		mustStop(t, p)
	}
}

// Who ignores SIGTERM is killed: after the grace, or when the stop's context ends.
func TestStopOfAStubbornService(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ grace, limit time.Duration }{
		"grace":   {200 * time.Millisecond, time.Hour},
		"context": {time.Hour, 200 * time.Millisecond},
		"ended":   {time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := actor(t, "stubborn")
			cfg.GracefulTimeout = c.grace
			lines := hearing(&cfg)
			p := started(t, cfg)
			await(t, lines, "ready")
			ctx, cancel := contextFor(c.limit)
			defer cancel()
			if err := p.Stop(ctx); err != nil {
				t.Error(err)
			}
			if n := len(living(markOf(t))); n > 0 {
				t.Errorf("%d processes live after Stop", n)
			}
			if code, _ := p.ExitCode(); code != 128+9 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// With UseProcessGroup the grace is the whole group's.
func TestGraceOfTheGroup(t *testing.T) {
	t.Parallel()
	const script = `(trap 'sleep 0.3; echo saved > "$1"; exit 0' TERM; echo ready; while :; do sleep 0.02; done) &
		trap 'exit 0' TERM; while :; do sleep 0.02; done`
	for _, group := range []bool{true, false} {
		file := filepath.Join(t.TempDir(), "state")
		cfg := actor(t, "")
		cfg.Command, cfg.Args, cfg.UseProcessGroup = "sh", []string{"-c", script, "sh", file}, group
		lines := hearing(&cfg)
		p := started(t, cfg)
		await(t, lines, "ready")
		mustStop(t, p)
		if _, err := os.Stat(file); (err == nil) != group {
			t.Errorf("UseProcessGroup %v: the worker's file: %v", group, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("GCHOST_EPOCH", "1") // of an outer host: must not be passed on
	t.Setenv("NOTIFY_SOCKET", "/run/systemd/notify")
	t.Setenv("GCHOST_CLUSTER__SECRET", "of the whole cluster")
	t.Setenv("GCHOST_APP_NATS_CA", "of an outer host")
	t.Setenv("GCTEST_HOST", "host")
	t.Setenv("GCTEST_BOTH", "host")
	cfg := actor(t, "env")
	cfg.Env = append(cfg.Env, "GCTEST_BOTH=user", "GCHOST_APP_NATS_USER=the user's own")
	lines := hearing(&cfg)
	p := NewProcess(cfg)
	t.Cleanup(func() { mustStop(t, p) })
	in := pluginapi.Instance{Platform: "shop", Node: "n1", App: "web"}
	if _, err := p.Bind(in); err != nil {
		t.Fatal(err)
	}
	valid := func() bool { return true }
	ctx := pluginapi.WithLease(t.Context(), pluginapi.Lease{Epoch: 42, Valid: valid})
	ctx = pluginapi.WithAccess(ctx, pluginapi.Access{URLs: []string{"nats://a:1", "nats://b:2"}, User: "app.web", Password: "pw", Bucket: "gc_4_shop_web"})
	if err := p.Start(ctx); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for l := receive(t, lines); l != "ready"; l = receive(t, lines) {
		key, value, _ := strings.Cut(l, "=")
		got[key] = value
	}
	for key, want := range map[string]string{
		"GCHOST_PLATFORM": "shop", "GCHOST_NODE": "n1", "GCHOST_APP": "web", "GCHOST_EPOCH": "42",
		"GCHOST_INSTANCE": "shop.n1.web", "GCTEST_HOST": "host", "GCTEST_BOTH": "user", "NOTIFY_SOCKET": "",
		"GCHOST_APP_NATS_URL": "nats://a:1,nats://b:2", "GCHOST_APP_NATS_USER": "the user's own", "GCHOST_APP_NATS_PASSWORD": "pw",
		"GCHOST_APP_KV_BUCKET": "gc_4_shop_web", "GCHOST_APP_NATS_CA": "", "GCHOST_CLUSTER__SECRET": "",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, not %q", key, got[key], want)
		}
	}
}

func TestSignal(t *testing.T) {
	cfg := actor(t, "polite")
	cfg.Restart.Disabled = true
	lines := hearing(&cfg)
	p := NewProcess(cfg)
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, errNotRunning) {
		t.Errorf("before the start: %v", err)
	}
	p = started(t, cfg)
	await(t, lines, "ready")
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, lines, "bye")
}

// All methods at once, in any order: no race, no deadlock, and the last Stop
// leaves nothing.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	cfg := actor(t, "")
	cfg.Command, cfg.Args = "sleep", []string{"1000"}
	cfg.OutputHandler = func(string, bool) {}
	cfg.Restart = RestartPolicy{Delay: time.Millisecond, Window: 50 * time.Millisecond}
	p := NewProcess(cfg)
	ctx, cancel := contextFor(2 * time.Second)
	defer cancel()
	var all sync.WaitGroup
	for _, do := range []func(){
		func() { _ = p.Start(ctx) },
		func() { _ = p.Start(ctx) },
		func() { _ = p.Stop(ctx) },
		func() { _ = p.Restart(ctx) },
		func() { _ = p.Signal(syscall.SIGKILL) },
		func() { _, _ = p.Health(ctx); p.PID(); p.RestartCount(); p.ExitCode(); p.Isolation() },
	} {
		all.Go(func() {
			for ctx.Err() == nil {
				do()
			}
		})
	}
	all.Wait()
	mustStop(t, p)
}

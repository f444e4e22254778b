package backend

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// A service that ends by itself is up again; and a stop after that works
// (defect 30 of the prior art: it hung for ever).
func TestRestartAfterACrash(t *testing.T) {
	cfg := actor(t, "polite")
	lines := hearing(&cfg)
	p := started(t, cfg)
	for n := 1; n <= 2; n++ {
		await(t, lines, "ready")
		pid := p.PID()
		if err := p.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		until(t, "another process runs", func() bool { q := p.PID(); return q != 0 && q != pid })
		if p.RestartCount() != n {
			t.Errorf("%d restarts, not %d", p.RestartCount(), n)
		}
		if code, ok := p.ExitCode(); code != 128+9 || !ok {
			t.Errorf("exit code %d, %v", code, ok)
		}
	}
	await(t, lines, "ready")
	mustStop(t, p)
}

// A service that cannot be kept alive is given up (defect 31), with a reason;
// a new start begins afresh.
func TestGivingUp(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "count")
	cfg := actor(t, "")
	cfg.Command, cfg.Args = "sh", []string{"-c", `echo x >> "$0"; echo no more shop >&2; exit 7`, marker}
	cfg.Restart = RestartPolicy{MaxRestarts: 2, Delay: 5 * time.Millisecond}
	p := NewProcess(cfg)
	for round := 1; round <= 2; round++ {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := failure(t, p)
		for _, want := range []string{"2 restarts within 1m0s", "exit status 7", "no more shop"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %v does not say %q", err, want)
			}
		}
		if h := health(t, p); h.Status != pluginapi.StatusUnhealthy || h.Message != err.Error() {
			t.Errorf("health: %+v", h)
		}
		b, _ := os.ReadFile(marker)
		if runs := strings.Count(string(b), "x"); runs != 3*round || p.RestartCount() != 2 {
			t.Errorf("%d runs, %d restarts", runs, p.RestartCount())
		}
	}
	mustStop(t, p)
}

// An error that nobody read is not there for the next life.
func TestFailureIsForgotten(t *testing.T) {
	cfg := actor(t, "crash")
	cfg.Restart.Disabled = true
	p := NewProcess(cfg)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "it fails", func() bool { return health(t, p).Status == pluginapi.StatusUnhealthy })
	mustStop(t, p)
	select {
	case err := <-p.Failed():
		t.Errorf("a stopped service failed: %v", err)
	default:
	}
}

// A stop during each state: the service is starting, waits for a restart, has
// failed.
func TestStopAtAnyTime(t *testing.T) {
	t.Parallel()
	t.Run("starting", func(t *testing.T) {
		cfg := actor(t, "polite")
		cfg.Ready = &ReadyCheck{TCP: freeAddress(t)}
		p := NewProcess(cfg)
		result := make(chan error, 1)
		go func() { result <- p.Start(context.Background()) }()
		until(t, "it starts", func() bool { return p.PID() != 0 })
		if s := health(t, p).Status; s != pluginapi.StatusStarting {
			t.Errorf("status %s", s)
		}
		mustStop(t, p)
		if err := receive(t, result); !errors.Is(err, errStopped) {
			t.Errorf("start: %v", err)
		}
	})
	t.Run("waiting", func(t *testing.T) {
		cfg := actor(t, "crash")
		cfg.Restart.Delay = time.Hour
		p := started(t, cfg)
		until(t, "it waits", func() bool { return strings.Contains(health(t, p).Message, "restart in") })
		if h := health(t, p); h.Status != pluginapi.StatusUnhealthy || !strings.Contains(h.Message, "exit status 3") {
			t.Errorf("health: %+v", h)
		}
		mustStop(t, p)
	})
	t.Run("failed", func(t *testing.T) {
		cfg := actor(t, "crash")
		cfg.Restart.Disabled = true
		p := started(t, cfg)
		failure(t, p)
		mustStop(t, p)
	})
	t.Run("restarting", func(t *testing.T) {
		cfg := actor(t, "stubborn")
		cfg.GracefulTimeout = time.Hour
		lines := hearing(&cfg)
		p := started(t, cfg)
		await(t, lines, "ready")
		result := make(chan error, 1)
		go func() { result <- p.Restart(context.Background()) }()
		until(t, "it restarts", func() bool { return strings.Contains(health(t, p).Message, "asked for") })
		ctx, cancel := contextFor(0)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := receive(t, result); !errors.Is(err, errStopped) {
			t.Errorf("restart: %v", err)
		}
		mustStop(t, p)
	})
}

func TestRestartByHand(t *testing.T) {
	cfg := actor(t, "polite")
	cfg.Restart.Disabled = true // asked for is not by itself
	lines := hearing(&cfg)
	p := NewProcess(cfg)
	if err := p.Restart(t.Context()); !errors.Is(err, errNotRunning) {
		t.Errorf("before the start: %v", err)
	}
	p = started(t, cfg)
	await(t, lines, "ready")
	pid := p.PID()
	if err := p.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, lines, "bye")
	await(t, lines, "ready")
	if p.PID() == pid || p.RestartCount() != 1 || health(t, p).Status != pluginapi.StatusRunning {
		t.Errorf("pid %d then %d, %d restarts, %+v", pid, p.PID(), p.RestartCount(), health(t, p))
	}
	mustStop(t, p)
}

// A restart by hand does not wait for the supervisor's delay.
func TestRestartByHandInTheDelay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "well")
	cfg := actor(t, "")
	cfg.Command, cfg.Args = "sh", []string{"-c", `test -e "$0" || exit 1; exec sleep 1000`, file}
	cfg.Restart.Delay = time.Hour
	p := started(t, cfg)
	until(t, "it waits", func() bool { return strings.Contains(health(t, p).Message, "restart in") })
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := health(t, p).Status; s != pluginapi.StatusRunning {
		t.Errorf("status %s", s)
	}
}

func TestBudget(t *testing.T) {
	policy := ProcessConfig{Restart: RestartPolicy{MaxRestarts: 12, Window: time.Hour}}.withDefaults().Restart
	b := budget{policy: policy}
	now := time.Now()
	want := policy.Delay
	for i := range 12 {
		random := float64(i%2) * 0.999
		got, ok := b.next(now, random)
		if low, high := want*79/100, want*121/100; !ok || got < low || got > high || (got > want) != (random > 0.5) {
			t.Errorf("delay %d is %v, %v: want %v +- 20%%", i, got, ok, want)
		}
		want = min(2*want, 30*time.Second)
	}
	if _, ok := b.next(now.Add(time.Hour-1), 0.5); ok {
		t.Error("13 restarts in a window of 12")
	}
	if got, ok := b.next(now.Add(time.Hour), 0.5); !ok || got != policy.Delay {
		t.Errorf("after the window: %v, %v", got, ok)
	}
	none := budget{policy: RestartPolicy{Disabled: true, MaxRestarts: 3}}
	if _, ok := none.next(now, 0.5); ok {
		t.Error("a restart that is disabled")
	}
}

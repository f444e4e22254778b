package backend

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/builtin/backend/backendtest"
	"github.com/ozanturksever/go-cluster/builtin/backend/engine"
	hostguard "github.com/ozanturksever/go-cluster/host/guard"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest"
)

const (
	patience  = time.Minute
	testImage = backendtest.Image
)

// fixtures are what several tests share; TestMain takes them away.
var fixtures struct {
	sync.Mutex
	undo []func()
}

func atEnd(fn func()) {
	fixtures.Lock()
	defer fixtures.Unlock()
	fixtures.undo = append(fixtures.undo, fn)
}

func endFixtures() {
	for _, fn := range fixtures.undo {
		fn()
	}
}

// dockerSocket is that of a dockerd that the tests have started for themselves.
var dockerSocket = sync.OnceValues(func() (string, error) {
	ctx, cancel := contextFor(patience)
	defer cancel()
	socket, stop, err := backendtest.StartDocker(ctx)
	atEnd(stop)
	return socket, err
})

// box is a container backend of a test, and the folder that rules its service.
type box struct {
	*DockerBackend
	client *engine.Client
	dir    string
	in     pluginapi.Instance
	fences []pluginapi.Fence
}

func (b box) tell(t *testing.T, what string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, what), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (b box) mark() string { return "GCHOST_INSTANCE=" + instanceName(b.in) }

// newBox returns a backend that is bound to an instance of the test's own.
func newBox(t plugintest.T, in pluginapi.Instance, dir string, change func(*DockerConfig)) box {
	t.Helper()
	if os.Getuid() != 0 {
		skipFor(t, "dockerd needs root")
	}
	socket, err := dockerSocket()
	if err != nil {
		skipFor(t, "dockerd cannot be run here: "+err.Error())
	}
	cfg := DockerConfig{Image: testImage, Network: "none", Volumes: []string{dir + ":/ctl"}, Socket: socket, StopTimeout: 5 * time.Second}
	if change != nil {
		change(&cfg)
	}
	b := box{DockerBackend: NewDocker(cfg), client: engine.New(socket), dir: dir, in: in}
	if b.fences, err = b.Bind(in); err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := contextFor(patience)
		defer cancel()
		if err := b.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		if n := len(withEnv(b.mark())); n > 0 {
			t.Errorf("%d processes live after Stop", n)
		}
	})
	return b
}

func testBox(t *testing.T, change func(*DockerConfig)) box {
	t.Helper()
	t.Parallel()
	return newBox(t, instance(t), t.TempDir(), change)
}

// withEnv returns the processes with KEY=VALUE in their environment.
func withEnv(mark string) (pids []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		if env, err := os.ReadFile(f); err == nil && bytes.Contains(append([]byte{0}, env...), []byte("\x00"+mark+"\x00")) {
			pids = append(pids, strings.Split(f, "/")[2])
		}
	}
	return pids
}

func leaseOf(epoch uint64, valid func() bool) pluginapi.Lease {
	return pluginapi.Lease{Epoch: pluginapi.Epoch(epoch), Valid: valid, Until: func() time.Duration { return time.Hour }}
}

func forever() bool { return true }

func TestDockerConformance(t *testing.T) {
	t.Parallel()
	n, mutex := 0, sync.Mutex{}
	plugintest.Backend{New: func(pt plugintest.T) pluginapi.Backend {
		mutex.Lock()
		n++
		in := instance(t)
		in.App += "-" + string(rune('a'+n))
		mutex.Unlock()
		return newBox(pt, in, t.TempDir(), nil)
	}}.Run(t)
}

// A start under another epoch makes the container anew, with what the host tells
// the service; under the same one it is used again.
func TestDockerStartTellsTheService(t *testing.T) {
	b := testBox(t, func(c *DockerConfig) { c.Env = []string{"SHOP=open"} })
	ids := map[string]bool{}
	for _, epoch := range []uint64{7, 7, 8} {
		if err := b.Start(pluginapi.WithLease(t.Context(), leaseOf(epoch, forever))); err != nil {
			t.Fatal(err)
		}
		c, err := b.client.Inspect(t.Context(), b.box.called())
		if err != nil || c.HostConfig.RestartPolicy.Name != "no" || c.Config.Labels[labelInstance] != instanceName(b.in) {
			t.Fatalf("container %+v, %v", c, err)
		}
		ids[c.ID] = true
		until(t, "the service runs", func() bool { return len(withEnv(b.mark())) > 0 })
		if err := b.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	env, err := os.ReadFile(filepath.Join(b.dir, "env"))
	for _, want := range []string{b.mark(), "GCHOST_EPOCH=8", "GCHOST_APP=" + b.in.App, "SHOP=open"} {
		if !strings.Contains("\n"+string(env)+"\n", "\n"+want+"\n") {
			t.Errorf("the service has no %s: %v\n%s", want, err, env)
		}
	}
	if len(ids) != 2 {
		t.Errorf("%d containers for the epochs 7, 7, 8", len(ids))
	}
	if logs, err := b.Logs(t.Context(), 10); err != nil || !strings.Contains(logs, "open") {
		t.Errorf("logs %q, %v", logs, err)
	}
}

// What ends by itself is started again, until the budget is used up: then the
// host is told, and nothing runs.
func TestDockerRestartsAndGivesUp(t *testing.T) {
	b := testBox(t, func(c *DockerConfig) { c.Restart = RestartPolicy{MaxRestarts: 1, Delay: 10 * time.Millisecond} })
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.tell(t, "crash")
	until(t, "it was restarted", func() bool { return b.RestartCount() == 1 && state(t, b).Status == "running" })
	b.tell(t, "crash")
	select {
	case err := <-b.Failed():
		if !strings.Contains(err.Error(), "exit code 7") {
			t.Errorf("it failed for %v", err)
		}
	case <-time.After(patience):
		t.Fatalf("nothing on Failed; %+v", state(t, b))
	}
	if h := state(t, b); h.Status != pluginapi.StatusUnhealthy || len(withEnv(b.mark())) > 0 {
		t.Errorf("after giving up: %+v", h)
	}
	if err := b.Start(t.Context()); err != nil || b.RestartCount() != 0 {
		t.Errorf("start after that: %v", err)
	}
}

func state(t *testing.T, b pluginapi.Backend) Health {
	t.Helper()
	h, err := b.Health(t.Context())
	if err != nil {
		t.Error(err)
	}
	return h
}

func TestDockerStartFails(t *testing.T) {
	b := testBox(t, nil)
	b.tell(t, "refuse")
	err := b.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "cannot open the shop") && !strings.Contains(err.Error(), "exit code 3") {
		// A program that ends at once is seen either as a start that failed, or as
		// a service that ended a moment later and is restarted.
		until(t, "it is seen to have ended", func() bool { return b.RestartCount() > 0 || state(t, b).Status == "unhealthy" })
	}
	c := NewDocker(DockerConfig{Image: "gctest:none", Network: "none", Socket: b.cfg.Socket})
	if err := c.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "pull image gctest:none") {
		t.Errorf("an image that nobody has: %v", err)
	}
	c = NewDocker(DockerConfig{Image: "x", Socket: filepath.Join(b.dir, "nobody")})
	if err := c.Start(t.Context()); err == nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no engine: %v", err)
	}
}

func TestDockerHealthCheck(t *testing.T) {
	b := testBox(t, func(c *DockerConfig) {
		c.HealthCheck = &DockerHealthCheck{Cmd: []string{"/boxed", "/ctl", "health"}, Interval: 50 * time.Millisecond, Retries: 2}
		c.Restart = RestartPolicy{Disabled: true}
	})
	b.tell(t, "sick")
	if err := b.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "I feel sick") {
		t.Fatalf("start of a sick service: %v", err)
	}
	if n := len(withEnv(b.mark())); n > 0 {
		t.Errorf("%d processes live after a start that went wrong", n)
	}
	os.Remove(filepath.Join(b.dir, "sick"))
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.tell(t, "sick")
	select {
	case err := <-b.Failed():
		if !strings.Contains(err.Error(), "unhealthy") {
			t.Errorf("it failed for %v", err)
		}
	case <-time.After(patience):
		t.Fatalf("nothing on Failed; %+v", state(t, b))
	}
}

// A container of somebody else is left alone, whatever is asked for.
func TestDockerLeavesStrangersAlone(t *testing.T) {
	b := testBox(t, nil)
	spec := engine.Spec{Image: testImage, HostConfig: engine.HostConfig{NetworkMode: "none", Binds: []string{b.dir + ":/ctl"}}}
	name := b.box.called()
	if err := errors.Join(b.client.Create(t.Context(), name, spec), b.client.Start(t.Context(), name)); err != nil {
		t.Fatal(err)
	}
	defer b.client.Remove(context.Background(), name)
	if err := b.Start(t.Context()); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("start: %v", err)
	}
	if err := b.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
	if c, err := b.client.Inspect(t.Context(), name); err != nil || !c.State.Running {
		t.Errorf("the stranger: %+v, %v", c.State, err)
	}
}

// What an earlier host left running, under an older epoch, is ended by the next
// start, and by a stop.
func TestDockerLeftovers(t *testing.T) {
	b := testBox(t, nil)
	if err := b.Start(pluginapi.WithLease(t.Context(), leaseOf(3, forever))); err != nil {
		t.Fatal(err)
	}
	b.keeper.endVigil() // the host is dead
	old := withEnv(b.mark())
	next := newBox(t, b.in, b.dir, nil)
	if err := next.Start(pluginapi.WithLease(t.Context(), leaseOf(4, forever))); err != nil {
		t.Fatal(err)
	}
	if now := withEnv("GCHOST_EPOCH=3"); len(old) == 0 || strings.Join(now, " ") == strings.Join(old, " ") {
		t.Errorf("processes before %v, after %v", old, now)
	}
	next.keeper.endVigil()
	old = withEnv(b.mark())
	next = newBox(t, b.in, b.dir, nil)
	if err := next.Start(pluginapi.WithLease(t.Context(), leaseOf(4, forever))); err != nil {
		t.Fatal(err)
	}
	until(t, "it runs", func() bool { return len(withEnv(b.mark())) == 1 })
	if now := withEnv(b.mark()); strings.Join(now, " ") == strings.Join(old, " ") {
		t.Errorf("under the same epoch: processes before %v, after %v", old, now)
	}
	next.keeper.endVigil()
	if err := b.Stop(t.Context()); err != nil || len(withEnv(b.mark())) > 0 {
		t.Errorf("stop: %v", err)
	}
}

// The guard kills the whole container by its mark; the engine does not start it
// again, and neither does a host whose lease is over.
func TestDockerFence(t *testing.T) {
	var mutex sync.Mutex
	valid := true
	b := testBox(t, nil)
	b.tell(t, "children")
	lease := leaseOf(5, func() bool { mutex.Lock(); defer mutex.Unlock(); return valid })
	if err := b.Start(pluginapi.WithLease(t.Context(), lease)); err != nil {
		t.Fatal(err)
	}
	until(t, "the child runs", func() bool { return len(withEnv(b.mark())) == 2 })
	mutex.Lock()
	valid = false
	mutex.Unlock()
	ctx, cancel := contextFor(patience)
	defer cancel()
	if err := hostguard.Kill(ctx, b.fences); err != nil || len(withEnv(b.mark())) > 0 {
		t.Fatalf("kill: %v; live are %v", err, withEnv(b.mark()))
	}
	select {
	case err := <-b.Failed():
		if !errors.Is(err, pluginapi.ErrNotLeader) {
			t.Errorf("it failed for %v", err)
		}
	case <-time.After(patience):
		t.Fatal("nothing on Failed")
	}
	if err := b.Start(pluginapi.WithLease(t.Context(), lease)); !errors.Is(err, pluginapi.ErrNotLeader) {
		t.Errorf("start without a lease: %v", err)
	}
	if n := len(withEnv(b.mark())); n > 0 {
		t.Errorf("%d processes live", n)
	}
}

func TestDockerStopByForce(t *testing.T) {
	b := testBox(t, func(c *DockerConfig) { c.StopTimeout = time.Hour })
	b.tell(t, "stubborn")
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "it runs", func() bool { return len(withEnv(b.mark())) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := b.Stop(ctx); err != nil || len(withEnv(b.mark())) > 0 {
		t.Errorf("stop: %v", err)
	}
}

// With an engine that answers no more, a stop kills by the mark.
func TestDockerStopWithoutEngine(t *testing.T) {
	b := testBox(t, nil)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "it runs", func() bool { return len(withEnv(b.mark())) == 1 })
	real := b.box.client
	b.keeper.endVigil()
	b.box.client = engine.New(filepath.Join(b.dir, "nobody"))
	if err := b.Stop(t.Context()); err != nil || len(withEnv(b.mark())) > 0 {
		t.Errorf("stop: %v", err)
	}
	b.box.client = real
	until(t, "the engine knows", func() bool {
		c, err := real.Inspect(t.Context(), b.box.called())
		var e *engine.Error
		return err == nil && !c.State.Running || errors.As(err, &e) && e.Status == http.StatusNotFound
	})
}

package backend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"

	"github.com/ozanturksever/go-cluster/builtin/backend/backendtest"
	hostguard "github.com/ozanturksever/go-cluster/host/guard"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest"
)

// aSystemd is a real systemd in namespaces of its own, started once; the string
// is the folder of testenv/systemd.sh.
var aSystemd = sync.OnceValues(func() (string, error) {
	dir, stop, err := backendtest.StartSystemd("../../testenv/systemd.sh")
	atEnd(func() {
		if err := stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	})
	return dir, err
})

// dialAt connects to the system bus of a test's systemd.
func dialAt(dir string) func(context.Context) (manager, error) {
	return func(context.Context) (manager, error) {
		return dbus.NewConnection(func() (*godbus.Conn, error) {
			c, err := godbus.Dial("unix:path=" + filepath.Join(dir, "run/dbus/system_bus_socket"))
			if err == nil {
				err = errors.Join(c.Auth(nil), c.Hello())
			}
			return c, err
		})
	}
}

// testUnit is a unit of a test with its backend, and the folder that rules its service.
type testUnit struct {
	*SystemdBackend
	dir    string // what the service looks at
	root   string // of the systemd
	in     pluginapi.Instance
	fences []pluginapi.Fence
}

func (u testUnit) tell(t *testing.T, what string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(u.dir, what), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (u testUnit) mark() string { return "GCHOST_INSTANCE=" + instanceName(u.in) }

// properties asks systemd beside the code under test.
func (u testUnit) properties(t *testing.T) map[string]any {
	t.Helper()
	m, err := dialAt(u.root)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	p, err := m.GetAllPropertiesContext(t.Context(), u.unit.name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newUnit writes a unit, whose text has DIR for the folder that rules it, and
// returns a backend for it that is bound to an instance of the test's own.
func newUnit(t plugintest.T, in pluginapi.Instance, text string, opts ...SystemdOption) testUnit {
	t.Helper()
	if os.Getuid() != 0 {
		skipFor(t, "a systemd for tests needs root")
	}
	root, err := aSystemd()
	if err != nil {
		skipFor(t, "systemd cannot be run here: "+err.Error())
	}
	u := testUnit{root: root, dir: filepath.Join(root, "share", in.App), in: in}
	text = strings.ReplaceAll(text, "DIR", "/srv/"+in.App)
	file := filepath.Join(root, "run/systemd/system", in.App+".service")
	if err := errors.Join(os.MkdirAll(u.dir, 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
		t.Fatalf("%v", err)
	}
	u.again(t, opts...)
	t.Cleanup(func() {
		ctx, cancel := contextFor(patience)
		defer cancel()
		if err := u.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		if n := len(withEnv(u.mark())); n > 0 {
			t.Errorf("%d processes live after Stop", n)
		}
	})
	return u
}

// again makes the backend, as the next host would.
func (u *testUnit) again(t plugintest.T, opts ...SystemdOption) {
	t.Helper()
	group, err := os.ReadFile(filepath.Join(u.root, "cgroup"))
	if err != nil {
		t.Fatalf("%v", err)
	}
	u.SystemdBackend = NewSystemd(u.in.App, opts...)
	u.unit.dial, u.unit.dropIns = dialAt(u.root), filepath.Join(u.root, "run/systemd/system")
	u.unit.groups = strings.TrimSpace(string(group))
	if u.fences, err = u.Bind(u.in); err != nil {
		t.Fatalf("%v", err)
	}
}

func aUnit(t *testing.T, text string, opts ...SystemdOption) testUnit {
	t.Helper()
	t.Parallel()
	in := instance(t)
	in.App = strings.ReplaceAll(in.App, "_", "-")
	return newUnit(t, in, text, opts...)
}

const plainUnit = "[Service]\nExecStart=/srv/boxed DIR\nRestart=always\nRestartSec=0\n"

func TestSystemdConformance(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	plugintest.Backend{New: func(pt plugintest.T) pluginapi.Backend {
		in := instance(t)
		in.App += fmt.Sprintf("-%d", n.Add(1))
		return newUnit(pt, in, plainUnit)
	}}.Run(t)
}

// The ways in which units say that they are up.
func TestSystemdTypes(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"notify":  "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'systemd-notify --ready --status=ready; exec /srv/boxed DIR'\n",
		"forking": "[Service]\nType=forking\nExecStart=/bin/sh -c '/srv/boxed DIR & '\n",
		"oneshot": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c '/srv/boxed DIR & '\n",
		"exec":    "[Service]\nType=exec\nExecStart=/srv/boxed DIR\nKillMode=process\n",
		"none":    "[Service]\nExecStart=/srv/boxed DIR\nKillMode=none\n",
	} {
		t.Run(name, func(t *testing.T) {
			u := aUnit(t, text, WithStopTimeout(100*time.Millisecond))
			u.tell(t, "children") // one in a session of its own, which ignores SIGTERM
			if err := u.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if h := state(t, u); h.Status != pluginapi.StatusRunning {
				t.Errorf("health %+v", h)
			}
			until(t, "the service runs", func() bool { return len(withEnv(u.mark())) > 1 })
			if err := u.Stop(t.Context()); err != nil || len(withEnv(u.mark())) > 0 {
				t.Errorf("stop: %v, live are %v", err, withEnv(u.mark()))
			}
		})
	}
}

// Each start tells the service whose it is and under which epoch, secrets
// included, which nobody else may read; and systemd that it must not restart it.
func TestSystemdStartTellsTheService(t *testing.T) {
	u := aUnit(t, plainUnit)
	access := pluginapi.Access{URLs: []string{"nats://a", "nats://b"}, User: "app", Password: `p"a\s$s%n`, Bucket: "kv"}
	for _, epoch := range []uint64{7, 8} {
		ctx := pluginapi.WithAccess(pluginapi.WithLease(t.Context(), leaseOf(epoch, forever)), access)
		if err := u.Start(ctx); err != nil {
			t.Fatal(err)
		}
		var env []byte
		want := []string{u.mark(), fmt.Sprintf("GCHOST_EPOCH=%d", epoch), "GCHOST_APP_NATS_URL=nats://a,nats://b", `GCHOST_APP_NATS_PASSWORD=p"a\s$s%n`}
		until(t, "the service was told", func() bool {
			env, _ = os.ReadFile(filepath.Join(u.dir, "env"))
			return !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains("\n"+string(env)+"\n", "\n"+w+"\n") })
		})
		if p := u.properties(t); p["Restart"] != "no" || p["NeedDaemonReload"] != false {
			t.Errorf("restart %v, reload needed %v", p["Restart"], p["NeedDaemonReload"])
		}
		if err := u.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(u.unit.dropIns, u.unit.name+".d", environmentName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of secrets: %v, %v", info, err)
	}
}

func TestSystemdRestartsAndGivesUp(t *testing.T) {
	u := aUnit(t, plainUnit, WithSystemdRestart(RestartPolicy{MaxRestarts: 1, Delay: 10 * time.Millisecond}))
	if err := u.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	u.tell(t, "crash")
	until(t, "it was restarted", func() bool { return u.RestartCount() == 1 && state(t, u).Status == "running" })
	u.tell(t, "crash")
	select {
	case err := <-u.Failed():
		if !strings.Contains(err.Error(), "exit code 7") {
			t.Errorf("it failed for %v", err)
		}
	case <-time.After(patience):
		t.Fatalf("nothing on Failed; %+v", state(t, u))
	}
	if h := state(t, u); h.Status != pluginapi.StatusUnhealthy || len(withEnv(u.mark())) > 0 {
		t.Errorf("after giving up: %+v", h)
	}
	if err := u.Start(t.Context()); err != nil || u.RestartCount() != 0 {
		t.Errorf("start after that: %v", err)
	}
	if err := u.Restart(t.Context()); err != nil || u.RestartCount() != 1 || state(t, u).Status != "running" {
		t.Errorf("restart: %v, %+v", err, state(t, u))
	}
}

// What systemd would start by itself, and what is no service to be kept, is refused.
func TestSystemdRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, says string }{
		"enabled": {plainUnit + "[Install]\nWantedBy=default.target\n", "systemctl disable"},
		"oneshot": {"[Service]\nType=oneshot\nExecStart=/bin/true\n", "nothing to keep alive"},
		"broken":  {"[Service]\nType=simple\n", "mend it"},
		"socket":  {plainUnit, "systemctl disable --now"},
		"fails":   {"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/false\n", `job ended with "failed": failed, result exit-code, exit code 1`},
		"nothing": {"[Service]\nType=exec\nExecStart=/srv/nothing\n", "exit code 203"},
	} {
		t.Run(name, func(t *testing.T) {
			u := aUnit(t, c.text)
			system := filepath.Join(u.root, "run/systemd/system")
			switch name {
			case "enabled":
				wants := filepath.Join(system, "default.target.wants")
				if err := errors.Join(os.MkdirAll(wants, 0o755), os.Symlink("../"+u.unit.name, filepath.Join(wants, u.unit.name))); err != nil {
					t.Fatal(err)
				}
				defer os.Remove(filepath.Join(wants, u.unit.name))
			case "socket":
				socket := strings.TrimSuffix(u.unit.name, ".service") + ".socket"
				text := "[Socket]\nListenStream=/run/" + u.in.App + ".sock\n"
				m, err := u.unit.dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				if err := errors.Join(os.WriteFile(filepath.Join(system, socket), []byte(text), 0o644), m.ReloadContext(t.Context()), m.Subscribe(),
					u.unit.job(t.Context(), m.StartUnitContext, socket)); err != nil {
					t.Fatal(err)
				}
				defer u.unit.job(context.Background(), m.StopUnitContext, socket)
			}
			err := u.Start(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v does not say %q", err, c.says)
			}
			if h := state(t, u); h.Status != pluginapi.StatusStopped {
				t.Errorf("health %+v", h)
			}
		})
	}
	if os.Getuid() != 0 {
		return // the others have told
	}
	u := NewSystemd("nobody-has-it")
	if root, err := aSystemd(); err == nil {
		u.unit.dial = dialAt(root)
		if err := u.Start(t.Context()); !errors.Is(err, pluginapi.ErrInvalid) || !strings.Contains(err.Error(), "not-found") {
			t.Errorf("a unit that is not there: %v", err)
		}
	}
}

// A unit that runs already, from an earlier host or by hand, is started anew.
func TestSystemdLeftovers(t *testing.T) {
	u := aUnit(t, plainUnit)
	if err := u.Start(pluginapi.WithLease(t.Context(), leaseOf(3, forever))); err != nil {
		t.Fatal(err)
	}
	until(t, "it runs", func() bool { return len(withEnv(u.mark())) > 0 })
	old, before := withEnv(u.mark()), u.SystemdBackend
	before.keeper.endVigil() // the host is dead
	u.again(t)
	if err := u.Start(pluginapi.WithLease(t.Context(), leaseOf(4, forever))); err != nil {
		t.Fatal(err)
	}
	until(t, "it runs", func() bool { return len(withEnv(u.mark())) > 0 })
	if now := withEnv(u.mark()); slices.Contains(now, old[0]) {
		t.Errorf("processes before %v, after %v", old, now)
	}
}

// The guard kills the unit by its control group and its mark; systemd does not
// start it again, though the unit wants that, and neither does a host without a lease.
func TestSystemdFence(t *testing.T) {
	u := aUnit(t, plainUnit+"TimeoutStopSec=2s\n")
	u.tell(t, "children")
	if len(u.fences) != 2 {
		t.Fatalf("fences %v", u.fences)
	}
	for i, fences := range [][]pluginapi.Fence{u.fences[:1], u.fences[1:]} {
		var valid atomic.Bool
		valid.Store(true)
		if err := u.Start(pluginapi.WithLease(t.Context(), leaseOf(uint64(5+i), valid.Load))); err != nil {
			t.Fatal(err)
		}
		if group, _ := u.properties(t)["ControlGroup"].(string); u.unit.groups+group != u.fences[1].Name {
			t.Errorf("the control group is %s, the fence %v", group, u.fences[1])
		}
		until(t, "the child runs", func() bool { return len(withEnv(u.mark())) == 2 })
		valid.Store(false)
		ctx, cancel := contextFor(patience)
		defer cancel()
		if err := hostguard.Kill(ctx, fences); err != nil || len(withEnv(u.mark())) > 0 {
			t.Fatalf("kill %v: %v; live are %v", fences, err, withEnv(u.mark()))
		}
		select {
		case err := <-u.Failed():
			if !errors.Is(err, pluginapi.ErrNotLeader) {
				t.Errorf("it failed for %v", err)
			}
		case <-time.After(patience):
			t.Fatal("nothing on Failed")
		}
		// Systemd may still be at the end of it, but not at a start.
		state := u.properties(t)["ActiveState"]
		if state != "failed" && state != "inactive" && state != "deactivating" || len(withEnv(u.mark())) > 0 {
			t.Errorf("after the kill the unit is %v", state)
		}
	}
}

func TestSystemdStopByForce(t *testing.T) {
	u := aUnit(t, plainUnit+"TimeoutStopSec=1h\n", WithStopTimeout(time.Hour))
	u.tell(t, "stubborn")
	for _, alone := range []bool{false, true} {
		if err := u.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		until(t, "it runs", func() bool { return len(withEnv(u.mark())) == 1 })
		if alone { // systemd does it, without marks and control groups of ours
			u.unit.mark, u.unit.caged, u.unit.groups = "", "", "/nowhere"
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if err := u.Stop(ctx); err != nil || len(withEnv(u.mark())) > 0 {
			t.Errorf("stop: %v", err)
		}
		if state := u.properties(t)["ActiveState"]; state != "failed" && state != "inactive" {
			t.Errorf("for systemd the stopped unit is %v", state)
		}
	}
}

// With a systemd that answers no more, a stop says so or kills by itself.
func TestSystemdStopWithoutSystemd(t *testing.T) {
	u := aUnit(t, plainUnit)
	if err := u.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "it runs", func() bool { return len(withEnv(u.mark())) == 1 })
	real := u.unit.dial
	u.keeper.endVigil()
	u.unit.dial = dialAt(u.dir)
	if err := u.Stop(t.Context()); err != nil || len(withEnv(u.mark())) > 0 {
		t.Errorf("stop: %v", err)
	}
	u.unit.dial = real
	other := NewSystemd("other")
	other.unit.dial = dialAt(u.dir)
	if err := other.Stop(t.Context()); err == nil {
		t.Error("a stop of what nobody knows about says that it is stopped")
	}
}

// The service is ready when its endpoint answers, and is given up when it does
// so no more. What it needs is started before.
func TestSystemdHealthAndDependencies(t *testing.T) {
	var status atomic.Int32
	status.Store(http.StatusServiceUnavailable)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	defer server.Close()
	u := aUnit(t, plainUnit, WithHealthEndpoint(server.URL), WithHealthInterval(20*time.Millisecond), WithStartTimeout(300*time.Millisecond),
		WithSystemdRestart(RestartPolicy{Disabled: true}), WithDependencies("dbus"))
	if err := u.Start(t.Context()); !errors.Is(err, pluginapi.ErrTimeout) || len(withEnv(u.mark())) > 0 {
		t.Fatalf("start of a sick service: %v", err)
	}
	status.Store(http.StatusOK)
	u.keeper.startFor = patience
	if err := u.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	status.Store(http.StatusInternalServerError)
	select {
	case err := <-u.Failed():
		if !strings.Contains(err.Error(), "3 checks in a row") {
			t.Errorf("it failed for %v", err)
		}
	case <-time.After(patience):
		t.Fatal("nothing on Failed")
	}
	u.unit.deps = []string{"nobody-has-it.service"}
	status.Store(http.StatusOK)
	if err := u.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "start dependency nobody-has-it.service") {
		t.Errorf("a dependency that is not there: %v", err)
	}
}

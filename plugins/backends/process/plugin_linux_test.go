package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/guard"
	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	pluginexec "github.com/ozanturksever/go-cluster/host/plugin/exec"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

const longTime = time.Minute

// built is the plugin, built once.
var built = sync.OnceValues(func() (plugin.Artifact, error) {
	dir, err := os.MkdirTemp("", "gcprocess")
	if err != nil {
		return plugin.Artifact{}, err
	}
	file := filepath.Join(dir, "process")
	if out, err := exec.Command("go", "build", "-o", file, ".").CombinedOutput(); err != nil {
		return plugin.Artifact{}, fmt.Errorf("%w: %s", err, out)
	}
	b, err := os.ReadFile(file)
	return plugin.Artifact{Name: "process", Version: "1.0.0", Contract: wire.ContractBackend, Path: file, Digest: sha256.Sum256(b)}, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if a, err := built(); err == nil {
		os.RemoveAll(filepath.Dir(a.Path))
	}
	os.Exit(code)
}

// service is a config of a service of a test: it says who it is in its
// environment, and leaves a child in another session.
func service(mark string) []byte {
	b, err := json.Marshal(map[string]any{
		"command": "sh", "args": []string{"-c", "setsid sleep 1000 & sleep 1001 & wait"},
		"env": map[string]string{"GCTEST_MARK": mark}, "graceful_timeout": "200ms",
	})
	if err != nil {
		panic(err)
	}
	return b
}

// living counts the processes of a service.
func living(mark string) (pids []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		if env, err := os.ReadFile(f); err == nil && bytes.Contains(env, []byte("GCTEST_MARK="+mark+"\x00")) {
			pids = append(pids, strings.Split(f, "/")[2])
		}
	}
	return pids
}

// load loads the plugin for an app.
func load(t plugintest.T, dir, app string) *pluginexec.Instance {
	t.Helper()
	a, err := built()
	if err != nil {
		t.Fatalf("%v", err)
	}
	r := pluginexec.New(pluginexec.Config{Dir: dir, Platform: "test", Node: "n1", StartTimeout: longTime})
	in, err := r.Load(t.Context(), a, plugin.Options{
		Limits:    plugin.Limits{Call: longTime, Memory: 1 << 30, CPU: 8},
		Configure: wire.Configure{Platform: "test", Node: "n1", App: app, Config: service(app)},
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), longTime)
		defer cancel()
		if err := in.Close(ctx); err != nil {
			t.Errorf("%v", err)
		}
		if pids := living(app); len(pids) > 0 {
			t.Errorf("after Close processes live: %v", pids)
		}
	})
	return in.(*pluginexec.Instance)
}

func adapted(t plugintest.T, i plugin.Instance) *adapt.Backend {
	t.Helper()
	b, err := adapt.NewBackend(t.Context(), i)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("%v", err)
		}
	})
	return b
}

func tempDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "gp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// unique names the app of a test; it is in the names of control groups.
func unique(n int) string { return fmt.Sprintf("t%d-%d", os.Getpid(), n) }

func TestConformance(t *testing.T) {
	t.Parallel()
	n := 100
	plugintest.Backend{New: func(pt plugintest.T) pluginapi.Backend {
		n++
		return adapted(pt, load(pt, tempDir(t), unique(n)))
	}}.Run(t)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(longTime)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not so after %v: %s", longTime, what)
		}
	}
}

// A plugin that is killed takes its service with it: the next process says that
// it is stopped, which is true, and can start it again. Where it started is
// bound as before.
func TestPluginKilled(t *testing.T) {
	t.Parallel()
	app := unique(1)
	i := load(t, tempDir(t), app)
	b := adapted(t, i)
	fences, err := b.Bind(pluginapi.Instance{Platform: "test", Node: "n1", App: app})
	if err != nil || len(fences) == 0 {
		t.Fatalf("fences %v, %v", fences, err)
	}
	t.Cleanup(func() { // what a guard, or the next start, would tidy up
		ctx, cancel := context.WithTimeout(context.Background(), longTime)
		defer cancel()
		if err := guard.Kill(ctx, fences); err != nil {
			t.Error(err)
		}
	})
	for range 2 {
		lease := pluginapi.Lease{Epoch: 7, Valid: func() bool { return true }, Until: func() time.Duration { return time.Hour }}
		if err := b.Start(pluginapi.WithLease(t.Context(), lease)); err != nil {
			t.Fatal(err)
		}
		until(t, "the service runs", func() bool { return len(living(app)) == 3 })
		checkService(t, living(app)[0], "test.n1."+app)
		before := i.Stats().Restarts
		killParent(t, living(app))
		until(t, "the plugin is restarted", func() bool { return i.Stats().Restarts > before })
		h, err := b.Health(t.Context())
		if err != nil || h.Status != pluginapi.StatusStopped {
			t.Errorf("health: %+v, %v", h, err)
		}
		if pids := living(app); len(pids) > 0 {
			t.Errorf("the plugin says stopped, and processes live: %v", pids)
		}
	}
}

// checkService looks at the environment of a service: its epoch and instance are
// there, what was meant for the plugin is not.
func checkService(t *testing.T, pid, instance string) {
	t.Helper()
	env, err := os.ReadFile("/proc/" + pid + "/environ")
	if err != nil {
		t.Fatal(err)
	}
	all := "\x00" + string(env)
	for want, there := range map[string]bool{
		"\x00GCHOST_EPOCH=7\x00": true, "\x00GCHOST_INSTANCE=" + instance + "\x00": true, "\x00GCHOST_PLUGIN=test.n1.process-": true,
		"\x00PLUGIN_": false, "\x00GCHOST_PLUGIN_COOKIE=": false,
	} {
		if strings.Contains(all, want) != there {
			t.Errorf("%q in the environment: %v", want, !there)
		}
	}
	limits, err := os.ReadFile("/proc/" + pid + "/limits")
	if err != nil || !strings.Contains(string(limits), "Max data size             unlimited") {
		t.Errorf("the service has inherited a limit of memory: %v", err)
	}
}

// killParent kills the plugin's process: the parent of the service's first one.
func killParent(t *testing.T, pids []string) {
	t.Helper()
	for _, pid := range pids {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		cmd, _ := os.ReadFile("/proc/" + fields[1] + "/cmdline")
		if string(cmd) == "process\x00" {
			parent, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(parent, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the service has no plugin above it")
}

// What Bind names is enough for a guard to end the service without the host.
func TestFencesEndTheService(t *testing.T) {
	t.Parallel()
	app := unique(2)
	b := adapted(t, load(t, tempDir(t), app))
	fences, err := b.Bind(pluginapi.Instance{Platform: "test", Node: "n1", App: app})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the service runs", func() bool { return len(living(app)) == 3 })
	// A backend restarts what ends by itself; a whole strike is what ends it.
	ctx, cancel := context.WithTimeout(t.Context(), longTime)
	defer cancel()
	if err := guard.Kill(ctx, fences); err != nil {
		t.Fatal(err)
	}
	select {
	case <-b.Failed():
	case <-time.After(longTime):
		t.Error("the backend does not say that its service was ended")
	}
	until(t, "nothing of the service runs", func() bool { return len(living(app)) == 0 })
}

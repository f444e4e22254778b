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

	"github.com/ozanturksever/go-cluster/builtin/backend/backendtest"
	"github.com/ozanturksever/go-cluster/host/guard"
	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	pluginexec "github.com/ozanturksever/go-cluster/host/plugin/exec"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

const longTime = time.Minute

// world is what the tests share: an engine, and the plugin as a file.
type world struct {
	socket string
	plugin plugin.Artifact
	stop   func()
}

var theWorld = sync.OnceValues(func() (world, error) {
	dir, err := os.MkdirTemp("", "gp")
	w := world{stop: func() { os.RemoveAll(dir) }}
	if err != nil {
		return w, err
	}
	file := filepath.Join(dir, "docker")
	if out, err := exec.Command("go", "build", "-o", file, ".").CombinedOutput(); err != nil {
		return w, fmt.Errorf("%w: %s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return w, err
	}
	w.plugin = plugin.Artifact{Name: "docker", Version: "1.0.0", Contract: wire.ContractBackend, Path: file, Digest: sha256.Sum256(b)}
	ctx, cancel := context.WithTimeout(context.Background(), longTime)
	defer cancel()
	socket, stop, err := backendtest.StartDocker(ctx)
	w.socket, w.stop = socket, func() { stop(); os.RemoveAll(dir) }
	return w, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getuid() == 0 {
		w, _ := theWorld() // whatever there is of it
		w.stop()
	}
	os.Exit(code)
}

// load loads the plugin for an app, whose service is boxed.
func load(t plugintest.T, tt *testing.T, app string) (*pluginexec.Instance, *adapt.Backend) {
	t.Helper()
	if os.Getuid() != 0 {
		tt.Skip("dockerd needs root")
	}
	w, err := theWorld()
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("%v", err)
	} else if err != nil {
		tt.Skip("dockerd cannot be run here: ", err)
	}
	config, err := json.Marshal(map[string]any{
		"image": backendtest.Image, "network": "none", "volumes": []string{tt.TempDir() + ":/ctl"}, "socket": w.socket, "stop_timeout": "5s",
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	dir, err := os.MkdirTemp("", "gp")
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := pluginexec.New(pluginexec.Config{Dir: dir, Platform: "test", Node: "n1", StartTimeout: longTime})
	in, err := r.Load(t.Context(), w.plugin, plugin.Options{
		Limits:    plugin.Limits{Call: longTime, Memory: 1 << 30, CPU: 8},
		Configure: wire.Configure{Platform: "test", Node: "n1", App: app, Config: config},
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	b, err := adapt.NewBackend(t.Context(), in)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), longTime)
		defer cancel()
		if err := b.Stop(ctx); err != nil {
			t.Errorf("%v", err)
		}
		if pids := living("test.n1." + app); len(pids) > 0 {
			t.Errorf("after Stop processes live: %v", pids)
		}
		if err := b.Close(ctx); err != nil {
			t.Errorf("%v", err)
		}
		if err := in.Close(ctx); err != nil {
			t.Errorf("%v", err)
		}
	})
	return in.(*pluginexec.Instance), b
}

// living lists the processes of an instance.
func living(instance string) (pids []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		if env, err := os.ReadFile(f); err == nil && bytes.Contains(append([]byte{0}, env...), []byte("\x00GCHOST_INSTANCE="+instance+"\x00")) {
			pids = append(pids, strings.Split(f, "/")[2])
		}
	}
	return pids
}

func unique(n int) string { return fmt.Sprintf("d%d-%d", os.Getpid(), n) }

func TestConformance(t *testing.T) {
	n := 100
	plugintest.Backend{New: func(pt plugintest.T) pluginapi.Backend {
		n++
		_, b := load(pt, t, unique(n))
		return b
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

// A container outlives the plugin's process. The next one ends it before it says
// that it is stopped; and the guard can end it whatever the plugin does.
func TestPluginKilled(t *testing.T) {
	app := unique(1)
	i, b := load(t, t, app)
	instance := "test.n1." + app
	fences, err := b.Bind(pluginapi.Instance{Platform: "test", Node: "n1", App: app})
	if err != nil || len(fences) != 1 || fences[0].Name != "GCHOST_INSTANCE="+instance {
		t.Fatalf("fences %v, %v", fences, err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the service runs", func() bool { return len(living(instance)) == 1 })
	before := i.Stats().Restarts
	killPlugin(t)
	until(t, "the plugin is restarted", func() bool { return i.Stats().Restarts > before })
	until(t, "the plugin says stopped", func() bool {
		h, err := b.Health(t.Context())
		return err == nil && h.Status == pluginapi.StatusStopped
	})
	if pids := living(instance); len(pids) > 0 {
		t.Errorf("the plugin says stopped, and processes live: %v", pids)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the service runs", func() bool { return len(living(instance)) == 1 })
	killPlugin(t)
	ctx, cancel := context.WithTimeout(t.Context(), longTime)
	defer cancel()
	if err := guard.Kill(ctx, fences); err != nil || len(living(instance)) > 0 {
		t.Errorf("kill: %v, live are %v", err, living(instance))
	}
}

// killPlugin kills the process of this test's plugin: our child of that name.
func killPlugin(t *testing.T) {
	t.Helper()
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range files {
		stat, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		cmd, _ := os.ReadFile(filepath.Join(filepath.Dir(f), "cmdline"))
		if string(cmd) == "docker\x00" && fields[1] == strconv.Itoa(os.Getpid()) {
			pid, err := strconv.Atoi(strings.Split(f, "/")[2])
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the plugin has no process")
}

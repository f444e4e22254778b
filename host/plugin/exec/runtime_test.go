//go:build unix

package exec

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

func TestCall(t *testing.T) {
	t.Parallel()
	i := load(t, config(t, "actor"), options(t))
	if got := mustCall(t, i, "echo", "hello"); got != "hello" {
		t.Errorf("echo answered %q", got)
	}
	var c wire.Configure
	if err := c.Decode([]byte(mustCall(t, i, "configured", ""))); err != nil || string(c.Config) != `{"word":"hello"}` || c.App != "web" {
		t.Errorf("it was configured with %+v, %v", c, err)
	}
	_, err := i.Call(t.Context(), "fail", []byte(pluginapi.ErrBusy))
	var told *wire.Error
	if wants(t, err, pluginapi.ErrBusy); !errors.As(err, &told) || !told.Retry {
		t.Errorf("got %v", err)
	}
	_, err = i.Call(t.Context(), "fail", []byte(pluginapi.ErrPluginCrashed))
	if errors.Is(err, pluginapi.ErrPluginCrashed) {
		t.Errorf("a plugin said of itself that it crashed: %v", err)
	}
	_, err = i.Call(t.Context(), "nonsense", nil)
	wants(t, err, pluginapi.ErrNoMethod)
	_, err = i.Call(t.Context(), strings.Repeat("n", 1000), nil)
	wants(t, err, pluginapi.ErrNoMethod)
	s := i.Stats()
	if s.Calls != 6 || s.Errors != 4 || s.Restarts != 0 || s.Guests != 1 || s.Mode != "process" || s.Memory <= 0 && runtime.GOOS == "linux" {
		t.Errorf("stats: %+v", s)
	}
}

// The plugin, and what it starts, gets what Config.Env says and the mark.
func TestEnvironmentIsNotLeaked(t *testing.T) {
	t.Setenv("GCTEST_SECRET", "of the host")
	i := load(t, config(t, "actor"), options(t))
	for line := range strings.Lines(mustCall(t, i, "env", "")) {
		key, _, _ := strings.Cut(line, "=")
		switch {
		case key == partVar, key == "GCTEST_MARK", key == "GORACE", key == "PATH", key == "GCHOST_PLUGIN":
		default:
			t.Errorf("the plugin was given %q", line)
		}
	}
	if env := mustCall(t, i, "env", ""); strings.Contains(env, "of the host") || !strings.Contains(env, "GCHOST_PLUGIN=test.n1.actor-") {
		t.Errorf("the environment is %s", env)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nsleep 1000\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other")
	b, err := os.ReadFile(binary(t).Path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		b[18], b[19] = 0xf7, 0 // ELF's machine: BPF
	}
	if err := os.WriteFile(other, b, 0o700); err != nil {
		t.Fatal(err)
	}
	wrong := binary(t)
	wrong.Digest[5]++
	cert := strings.Repeat("A", 60)
	for name, c := range map[string]struct {
		part string
		a    plugin.Artifact
		is   error
		says string
	}{
		"wrong checksum":        {"actor", wrong, pluginapi.ErrInvalid, "changed after it was installed"},
		"not a program":         {"actor", artifact(t, script), pluginapi.ErrInvalid, "no program for linux"},
		"another machine":       {"actor", artifact(t, other), pluginapi.ErrInvalid, "this node is linux"},
		"a name":                {"actor", plugin.Artifact{Name: "../x", Contract: wire.ContractHook}, pluginapi.ErrInvalid, "plugin name"},
		"a contract":            {"actor", plugin.Artifact{Name: "x", Contract: "paint"}, pluginapi.ErrInvalid, "give placement, hook or backend"},
		"noise on stdout":       {"noise", binary(t), pluginapi.ErrPluginProtocol, `"starting up ..."`},
		"an endless line":       {"line", binary(t), pluginapi.ErrPluginProtocol, "not a handshake"},
		"an early end":          {"quit", binary(t), pluginapi.ErrPluginCrashed, "exit status 3; its last words: cannot open the shop"},
		"another version":       {"version9", binary(t), pluginapi.ErrPluginProtocol, `wrong ABI version "9", this host speaks [1]`},
		"another contract":      {"backend", binary(t), pluginapi.ErrPluginProtocol, `"backend", not for hook`},
		"its own refusal":       {"picky", binary(t), pluginapi.ErrInvalid, `{"word":"hello"} is not polite`},
		"a socket elsewhere":    {"says 1|1|unix|/run/docker.sock|grpc|" + cert, binary(t), pluginapi.ErrPluginProtocol, "/run/docker.sock"},
		"a socket above":        {"says 1|1|unix|DIR/../x|grpc|" + cert, binary(t), pluginapi.ErrPluginProtocol, "not at a socket in the folder"},
		"a port":                {"says 1|1|tcp|127.0.0.1:22|grpc|" + cert, binary(t), pluginapi.ErrPluginProtocol, "127.0.0.1:22"},
		"no certificate":        {"says 1|1|unix|DIR/x|grpc|", binary(t), pluginapi.ErrPluginProtocol, "no certificate"},
		"a broken certificate":  {"says 1|1|unix|DIR/x|grpc|" + cert, binary(t), nil, "cert"},
		"another protocol":      {"says 1|1|unix|DIR/x|netrpc|" + cert, binary(t), pluginapi.ErrPluginProtocol, "netrpc"},
		"a version of nonsense": {"says 1|one|unix|DIR/x|grpc|" + cert, binary(t), pluginapi.ErrPluginProtocol, `"one"`},
	} {
		if runtime.GOOS != "linux" && strings.Contains(c.says, "linux") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, c.part)
			_, err := New(cfg).Load(t.Context(), c.a, options(t))
			if c.is != nil {
				wants(t, err, c.is)
			}
			wantsText(t, err, c.says, "load plugin")
			leftNothing(t, cfg)
		})
	}
}

// leftNothing checks that a Load that did not succeed left nothing behind.
func leftNothing(t *testing.T, cfg Config) {
	t.Helper()
	if pids := living(markOf(t)); len(pids) > 0 {
		t.Errorf("processes live: %v", pids)
	}
	if left, _ := filepath.Glob(cfg.Dir + "/*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestHangInHandshake(t *testing.T) {
	t.Parallel()
	t.Run("timeout", func(t *testing.T) {
		t.Parallel()
		cfg := config(t, "mute")
		cfg.StartTimeout = time.Second
		_, err := New(cfg).Load(t.Context(), binary(t), options(t))
		wants(t, err, pluginapi.ErrPluginLimit, pluginapi.ErrTimeout)
		wantsText(t, err, "within 1s")
		leftNothing(t, cfg)
	})
	t.Run("context", func(t *testing.T) {
		t.Parallel()
		cfg := config(t, "mute")
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer cancel()
			until(t, "the plugin runs", func() bool { return len(living(markOf(t))) > 0 })
		}()
		_, err := New(cfg).Load(ctx, binary(t), options(t))
		wants(t, err, context.Canceled)
		leftNothing(t, cfg)
	})
}

// What runs is the copy that was checked, not what the path leads to later; and
// a copy that was changed all the same is not started again.
func TestDigestAtEachStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "plugin")
	if err := copyFile(path, binary(t).Path); err != nil {
		t.Fatal(err)
	}
	a := artifact(t, path)
	in, err := New(config(t, "actor")).Load(t.Context(), a, options(t))
	if err != nil {
		t.Fatal(err)
	}
	i := in.(*Instance)
	t.Cleanup(func() { mustClose(t, i) })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err = i.Call(t.Context(), "exit", nil)
	wants(t, err, pluginapi.ErrPluginCrashed)
	if got := mustCall(t, i, "echo", "again"); got != "again" { // it does not need the file any more
		t.Errorf("got %q", got)
	}
	if err := os.Remove(i.binary()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(i.binary(), []byte("evil"), 0o700); err != nil {
		t.Fatal(err)
	}
	before, began := i.Stats().Restarts, time.Now()
	_, err = i.Call(t.Context(), "exit", nil)
	wants(t, err, pluginapi.ErrPluginCrashed)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err = i.Call(ctx, "echo", nil)
	wants(t, err, pluginapi.ErrUnreachable, context.DeadlineExceeded)
	if errors.Is(err, pluginapi.ErrUnknownOutcome) {
		t.Errorf("nothing was sent, but %v", err)
	}
	until(t, "the reason is told", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := i.Call(ctx, "echo", nil)
		return err != nil && strings.Contains(err.Error(), "has the SHA-256")
	})
	tries := i.Stats().Restarts - before // after 100 ms, 200 ms ...: at most n within 2^n x 100 ms
	if took := time.Since(began); took < time.Duration(1<<tries-1)*firstPause {
		t.Errorf("%d restarts in %v", tries, took)
	}
}

func TestFolderOfOthersIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("windows has no modes")
	}
	cfg := config(t, "actor")
	if err := os.Chmod(cfg.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := New(cfg).Load(t.Context(), binary(t), options(t))
	wants(t, err, pluginapi.ErrInvalid)
	wantsText(t, err, cfg.Dir, "0700")
	cfg.Dir = "plugins"
	_, err = New(cfg).Load(t.Context(), binary(t), options(t))
	wantsText(t, err, "absolute path")
}

// The path of a socket is short: a long folder is gone around, and where that does
// not help it is said.
func TestLongFolder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("windows has no sockets of this kind")
	}
	cfg := config(t, "actor")
	cfg.Dir = filepath.Join(cfg.Dir, strings.Repeat("d", 100))
	i := load(t, cfg, options(t))
	mustCall(t, i, "echo", "x")
	mustClose(t, i)
	exact := config(t, "actor")
	exact.Dir = filepath.Join(exact.Dir, strings.Repeat("e", 52-len(exact.Dir)-1))
	i = load(t, exact, options(t))
	mustCall(t, i, "echo", "x")
	mustClose(t, i)
	t.Setenv("TMPDIR", cfg.Dir)
	_, err := New(config(t, "actor")).Load(t.Context(), binary(t), options(t))
	wants(t, err, pluginapi.ErrInvalid)
	wantsText(t, err, "give a shorter one")
}

// The guard is told before a process can run, and again when it is over; what it
// refuses is not loaded.
func TestFencedIsToldFirst(t *testing.T) {
	cfg := config(t, "actor")
	var told [][]pluginapi.Fence
	var refuse error
	cfg.Fenced = func(_ context.Context, all []pluginapi.Fence) error {
		if len(told) == 0 && len(living(markOf(t))) > 0 {
			t.Error("a process ran before")
		}
		told = append(told, all)
		return refuse
	}
	r := New(cfg)
	in, err := r.Load(t.Context(), binary(t), options(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || runtime.GOOS == "linux" && len(told[0]) == 0 {
		t.Errorf("told %v", told)
	}
	mustClose(t, in.(*Instance))
	if len(told) != 2 || len(told[1]) != 0 || len(r.Fences()) != 0 {
		t.Errorf("told %v", told)
	}
	refuse = errors.New("the watchman is gone")
	_, err = r.Load(t.Context(), binary(t), options(t))
	wants(t, err, refuse)
	leftNothing(t, cfg)
}

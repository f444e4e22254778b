//go:build unix

package exec

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// The test binary is also the plugin under test, and the host that is killed:
// with this variable set it plays the part that the variable names.
const partVar = "GCTEST_PART"

func TestMain(m *testing.M) {
	if part := os.Getenv(partVar); part != "" {
		os.Exit(play(part))
	}
	os.Exit(m.Run())
}

// patience bounds what must come: the machine may be busy.
const longTime = 60 * time.Second

// binary is the test binary as an artifact.
func binary(t testing.TB) plugin.Artifact {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return artifact(t, exe)
}

func artifact(t testing.TB, path string) plugin.Artifact {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	a := plugin.Artifact{Name: "actor", Version: "1.0.0", Contract: wire.ContractHook, Path: path}
	h.Sum(a.Digest[:0])
	return a
}

// markOf is what all processes of a test have in their environment.
func markOf(t testing.TB) string { return fmt.Sprintf("GCTEST_MARK=%d-%s", os.Getpid(), t.Name()) }

// living returns the processes with a test's mark that are alive. It is another
// code than the one under test.
func living(mark string) (pids []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		if env, err := os.ReadFile(f); err == nil && bytes.Contains(env, []byte(mark+"\x00")) {
			pids = append(pids, strings.Split(f, "/")[2])
		}
	}
	return pids
}

// config is a runtime's for a test: its plugins play the part.
func config(t testing.TB, part string) Config {
	t.Helper()
	// A program built with -race sleeps for a second at its exit, by default.
	return Config{
		Dir: shortDir(t), Platform: "test", Node: "n1", StartTimeout: longTime,
		Env: []string{partVar + "=" + part, markOf(t), "GORACE=atexit_sleep_ms=0", "PATH=" + os.Getenv("PATH")},
	}
}

// shortDir is a folder whose path leaves room for that of a socket.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// options are without a limit of memory: the race detector needs a lot.
func options(t testing.TB) plugin.Options {
	t.Helper()
	return plugin.Options{
		Limits:    plugin.Limits{Memory: 1 << 42, Tasks: 10000, CPU: 16, Call: longTime},
		Configure: wire.Configure{Platform: "test", Node: "n1", App: "web", Config: []byte(`{"word":"hello"}`)},
		Logger:    slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%.300s", b)
	return len(b), nil
}

// load starts a plugin that the test's end closes; nothing of it may run then.
func load(t testing.TB, cfg Config, o plugin.Options) *Instance {
	t.Helper()
	return loadBy(t, New(cfg), o)
}

func loadBy(t testing.TB, r *Runtime, o plugin.Options) *Instance {
	t.Helper()
	in, err := r.Load(t.Context(), binary(t), o)
	if err != nil {
		t.Fatal(err)
	}
	i := in.(*Instance)
	t.Cleanup(func() { mustClose(t, i) })
	return i
}

func mustClose(t testing.TB, i *Instance) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), longTime)
	defer cancel()
	if err := i.Close(ctx); err != nil {
		t.Error(err)
	}
	if pids := living(markOf(t)); len(pids) > 0 {
		t.Errorf("after Close processes live: %v", pids)
	}
	if _, err := os.Stat(i.dir); err == nil {
		t.Errorf("after Close the folder %s is there", i.dir)
	}
	if i.group != "" {
		if _, err := os.Stat(i.group); err == nil {
			t.Errorf("after Close the control group %s is there", i.group)
		}
	}
}

// mustCall makes a call that must go well.
func mustCall(t testing.TB, i *Instance, op string, in string) string {
	t.Helper()
	out, err := i.Call(t.Context(), op, []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// wants fails the test unless err is each of the sentinels.
func wants(t testing.TB, err error, sentinels ...error) {
	t.Helper()
	for _, s := range sentinels {
		if !errors.Is(err, s) {
			t.Errorf("the error %q is not %q", err, s)
		}
	}
}

func wantsText(t testing.TB, err error, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("the error %q does not say %q", err, p)
		}
	}
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
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

// lacking skips a test for want of what the machine has to offer. Where changes
// are checked, as root, it is a failure: there the test must run.
func lacking(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" && os.Getuid() == 0 {
		t.Fatal(why)
	}
	t.Skip(why)
}

// book is a logger's memory.
type book struct {
	mu    sync.Mutex
	lines []string
}

func (b *book) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, string(line))
	return len(line), nil
}

func (b *book) has(parts ...string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lines {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(l, p)
		}
		if all {
			return true
		}
	}
	return false
}

func (b *book) bytes() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lines {
		n += len(l)
	}
	return n
}

func (b *book) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

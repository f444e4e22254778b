//go:build unix

package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

func sh(key, script string) command {
	return command{key: key, argv: []string{"/bin/sh", "-c", script}, platform: "p", node: "n1", app: "web", dataDir: "/d", log: slog.New(slog.DiscardHandler)}
}

func TestHookFails(t *testing.T) {
	err := sh("on_active", "echo nothing; echo the disk is full >&2; exit 3").run(t.Context())
	if err == nil || err.Error() != "run hook on_active: /bin/sh: exit status 3: nothing\nthe disk is full" {
		t.Errorf("got %v", err)
	}
	err = sh("on_active", "head -c 100000 /dev/zero | tr '\\0' x; echo end; exit 1").run(t.Context())
	if err == nil || !strings.HasSuffix(err.Error(), "xend") || len(err.Error()) > hookOutput+100 {
		t.Errorf("a long output: %d bytes", len(err.Error()))
	}
	x := sh("on_active", "")
	x.argv = []string{"/no/such/program"}
	if err := x.run(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such program: %v", err)
	}
}

// The end of the context kills the hook and what it has started, at once.
func TestHookIsKilledWithItsChildren(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- sh("on_active", "sleep 1000 & echo $! > "+dir+"/tmp; mv "+dir+"/tmp "+dir+"/pid; wait").run(ctx)
	}()
	child := readPid(t, filepath.Join(dir, "pid"))
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "killed") {
			t.Errorf("got %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the hook goes on")
	}
	gone(t, child)
}

// What a hook leaves behind does not outlive it, and does not hold it up.
func TestHookLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	if err := sh("on_active", "sleep 1000 & echo $! > "+dir+"/pid").run(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone(t, readPid(t, filepath.Join(dir, "pid")))
}

// A process that has left the group holds the hook up for a moment only.
func TestHookWithADaemon(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("no setsid here")
	}
	dir := t.TempDir()
	begun := time.Now()
	if err := sh("on_active", "setsid sleep 1000 & echo $! > "+dir+"/pid").run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("the hook took %v", took)
	}
	_ = syscall.Kill(readPid(t, filepath.Join(dir, "pid")), syscall.SIGKILL) // the one that left, if it is not dead yet
}

func readPid(t *testing.T, file string) int {
	t.Helper()
	for until := time.After(20 * time.Second); ; {
		text, _ := os.ReadFile(file)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return pid
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-until:
			t.Fatal("the hook has not begun")
		}
	}
}

// gone waits until nothing is left of a process but, perhaps, its remains that
// its new parent has not reaped.
func gone(t *testing.T, pid int) {
	t.Helper()
	for until := time.After(20 * time.Second); ; {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		dead := err == nil && strings.Contains(string(stat), ") Z ")
		if dead || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-until:
			t.Fatalf("process %d lives", pid)
		}
	}
}

// A hook learns what it is about, and nothing that is for the host alone.
func TestHookEnvironment(t *testing.T) {
	host := []string{"PATH=/bin", "GCHOST_APP=other", "GCHOST_LEADER=old", "GCHOST_LEASE_TTL=5s", "NOTIFY_SOCKET=/s", "WATCHDOG_USEC=1", "LISTEN_FDS=1"}
	ctx := pluginapi.WithLease(t.Context(), cluster.Lease{Epoch: 7})
	common := []string{"PATH=/bin", "GCHOST_LEASE_TTL=5s", "GCHOST_PLATFORM=p", "GCHOST_NODE=n1", "GCHOST_APP=web"}
	for _, tt := range []struct {
		key  string
		ctx  context.Context
		want []string
	}{
		{"on_active", ctx, []string{"GCHOST_HOOK=on_active", "GCHOST_DATA_DIR=/d", "GCHOST_EPOCH=7", "GCHOST_INSTANCE=p.n1.web"}},
		{"on_member_join", t.Context(), []string{"GCHOST_HOOK=on_member_join", "GCHOST_DATA_DIR=/d"}},
	} {
		if got, want := sh(tt.key, "").environ(tt.ctx, host), append(slices.Clone(common), tt.want...); !slices.Equal(got, want) {
			t.Errorf("%s: got %q\nwant %q", tt.key, got, want)
		}
	}
	// A gchost command in a hook takes none of it for a mistake.
	env := append(sh("on_active", "").environ(ctx, nil), "GCHOST_LEADER=n2", "GCHOST_MEMBER=n3", "GCHOST_MEMBER_ADDRESS=h")
	cfg, _, err := Load(Options{Environ: env, Machine: testMachine()})
	if err != nil || cfg.Platform != "p" || cfg.Node != "n1" || cfg.DataDir != "/d" {
		t.Errorf("platform %q, node %q, data_dir %q, %v", cfg.Platform, cfg.Node, cfg.DataDir, err)
	}
}

// Extra variables arrive.
func TestHookExtra(t *testing.T) {
	if err := sh("on_leader_change", `test "$GCHOST_LEADER" = n2`).run(t.Context(), "GCHOST_LEADER=n2"); err != nil {
		t.Error(err)
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// sleeper starts a process with a variable in its environment. It returns when
// the process has made its own image, so that its environment can be seen.
func sleeper(t *testing.T, env string) *exec.Cmd {
	t.Helper()
	c := exec.Command("/bin/sh", "-c", "echo; exec sleep 1000")
	c.Env = []string{"PATH=/bin:/usr/bin", env}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	return c
}

func dead(t *testing.T, c *exec.Cmd) bool {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	select {
	case err := <-done:
		return err != nil && strings.Contains(err.Error(), "killed")
	case <-t.Context().Done():
		return false
	}
}

// Fence kills what carries a mark of its platform, of every node and app, and
// nothing else.
func TestFenceKillsMarkedProcesses(t *testing.T) {
	platform := fmt.Sprintf("fence%d", os.Getpid())
	ours := []*exec.Cmd{sleeper(t, "GCHOST_INSTANCE="+platform+".n1.web"), sleeper(t, "GCHOST_INSTANCE="+platform+".n2.db")}
	others := []*exec.Cmd{
		sleeper(t, "GCHOST_INSTANCE="+platform+"x.n1.web"), sleeper(t, "X_GCHOST_INSTANCE="+platform+".n1.web"),
		sleeper(t, "GCHOST_INSTANCE="+platform+".n1"), sleeper(t, "GCHOST_INSTANCE="+platform+".n1.web.x"),
	}
	r := execute(t.Context(), platformOf("healthy"), "fence", "--platform", platform, "--dry-run")
	if r.exit != 0 || strings.Count(r.stdout, "would kill env GCHOST_INSTANCE="+platform) != 2 {
		t.Errorf("dry run: %s", r)
	}
	r = execute(t.Context(), platformOf("healthy"), "fence", "--platform", platform, "--json")
	var doc fenced
	if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil || r.exit != 0 || len(doc.Killed) != 2 {
		t.Fatalf("%s: %v", r, err)
	}
	for i, c := range ours {
		if p := doc.Killed[i].Processes; !dead(t, c) || len(p) != 1 || p[0] != c.Process.Pid {
			t.Errorf("process %d of ours: %+v", c.Process.Pid, doc.Killed[i])
		}
	}
	for _, c := range others {
		if err := unix.Kill(c.Process.Pid, 0); err != nil {
			t.Errorf("process %d with %q: %v", c.Process.Pid, c.Env, err)
		}
	}
	r = execute(t.Context(), platformOf("healthy"), "fence", "--platform", platform)
	if r.exit != 0 || r.stdout != "no service of platform "+platform+" runs on this machine\n" {
		t.Errorf("again: %s", r)
	}
}

// Fence empties and removes the control groups of its platform, wherever the
// folder gchost is, and leaves those of others.
func TestFenceKillsControlGroups(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("control groups need root")
	}
	mount := ""
	for _, m := range []string{cgroupMount, cgroupUnified} {
		var st unix.Statfs_t
		if err := unix.Statfs(m, &st); err == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			mount = m
		}
	}
	if mount == "" {
		lacking(t, "no cgroup v2 is mounted")
	}
	platform := fmt.Sprintf("fence%d", os.Getpid())
	unit := filepath.Join(mount, platform+".unit")
	mine := filepath.Join(unit, cgroupFolder, platform+".n1.web")
	other := filepath.Join(unit, cgroupFolder, platform+"x.n1.web")
	for _, d := range []string{filepath.Join(mine, "inner"), other} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			lacking(t, "control groups cannot be made here: ", err)
		}
	}
	t.Cleanup(func() {
		for _, d := range []string{filepath.Join(mine, "inner"), mine, other, filepath.Dir(other), unit} {
			_ = os.Remove(d) // what is gone is gone
		}
	})
	c := sleeper(t, "A=B")
	if err := os.WriteFile(filepath.Join(mine, "inner", "cgroup.procs"), []byte(fmt.Sprint(c.Process.Pid)), 0o600); err != nil {
		lacking(t, "processes cannot be moved here: ", err)
	}
	r := execute(t.Context(), platformOf("healthy"), "fence", "--platform", platform)
	want := fmt.Sprintf("killed cgroup %s: process %d\n", mine, c.Process.Pid)
	if r.exit != 0 || r.stdout != want || !dead(t, c) {
		t.Errorf("%swant %s", r, want)
	}
	if _, err := os.Stat(mine); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", mine, err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("the group of another platform: %v", err)
	}
}

// lacking skips a test for want of what the kernel has to offer. Where changes
// are checked, as root, it is a failure: there the test must run.
func lacking(t testing.TB, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" && os.Getuid() == 0 {
		t.Fatal(args...)
	}
	t.Skip(args...)
}

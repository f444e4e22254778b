package exec

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/guard"
	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// What a plugin has started ends with its process, also what has left its
// process group and holds its pipes.
func TestForksAndDies(t *testing.T) {
	t.Parallel()
	i := load(t, config(t, "actor"), options(t))
	mustCall(t, i, "fork", "")
	until(t, "the children run", func() bool { return len(living(markOf(t))) == 7 }) // itself, 2 x sh, 4 x sleep
	old := living(markOf(t))
	_, err := i.Call(t.Context(), "exit", nil)
	wants(t, err, pluginapi.ErrPluginCrashed)
	mustCall(t, i, "echo", "the next one")
	for _, pid := range living(markOf(t)) {
		if slices.Contains(old, pid) {
			t.Errorf("process %s lives", pid)
		}
	}
	mustCall(t, i, "fork", "") // and again for Close
}

// The fences name everything: the guard can do without the host.
func TestFencesKillEverything(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{pluginapi.FenceEnv, pluginapi.FenceCgroup} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			i := load(t, config(t, "actor"), options(t))
			if kind == pluginapi.FenceCgroup && i.group == "" {
				lacking(t, "no control groups: "+i.Isolation())
			}
			mustCall(t, i, "fork", "")
			until(t, "the children run", func() bool { return len(living(markOf(t))) == 7 })
			old := living(markOf(t))
			fences := slices.DeleteFunc(i.Fences(), func(f pluginapi.Fence) bool { return f.Kind != kind })
			ctx, cancel := context.WithTimeout(t.Context(), longTime)
			defer cancel()
			if err := guard.Kill(ctx, fences); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			for _, pid := range living(markOf(t)) {
				if slices.Contains(old, pid) {
					t.Errorf("process %s lives", pid)
				}
			}
		})
	}
}

// The host is killed: the kernel kills its plugin's process, and what that has
// started is killed by the next host.
func TestHostKilled(t *testing.T) {
	t.Parallel()
	mark := markOf(t) + "-child"
	cfg := config(t, "actor")
	host := exec.Command(os.Args[0])
	host.Env = append(os.Environ(), partVar+"=host", "GCTEST_DIR="+cfg.Dir, "GCTEST_MARK_CHILD="+strings.TrimPrefix(mark, "GCTEST_MARK="))
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the host says %q, %v", line, err)
	}
	until(t, "the children run", func() bool { return len(living(mark)) == 7 })
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait() // it was killed
	until(t, "the plugin's process is gone", func() bool { return !isActor(living(mark)) })
	if n := len(living(mark)); n != 6 {
		t.Errorf("%d children of the plugin live", n)
	}
	left, _ := filepath.Glob(cfg.Dir + "/*/" + fencesName)
	if len(left) != 1 {
		t.Fatalf("left: %v", left)
	}
	i := load(t, cfg, options(t))
	if pids := living(mark); len(pids) > 0 {
		t.Errorf("the next host left %v alive", pids)
	}
	if _, err := os.Stat(filepath.Dir(left[0])); err == nil {
		t.Error("the next host left the folder")
	}
	mustCall(t, i, "echo", "x")
}

// isActor says whether one of the processes is the plugin itself.
func isActor(pids []string) bool {
	return slices.ContainsFunc(pids, func(pid string) bool {
		b, _ := os.ReadFile("/proc/" + pid + "/cmdline")
		return strings.HasPrefix(string(b), "actor\x00")
	})
}

// A plugin that eats memory ends; its host goes on, and so does the next process.
// It is built without the race detector, which needs more than any limit.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	hog := filepath.Join(t.TempDir(), "hog")
	build := exec.Command("go", "build", "-o", hog, "./testdata/hog")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cfg, o := config(t, ""), options(t)
	o.Limits.Memory = 64 << 20
	in, err := New(cfg).Load(t.Context(), artifact(t, hog), o)
	if err != nil {
		t.Fatal(err)
	}
	i := in.(*Instance)
	t.Cleanup(func() { mustClose(t, i) })
	mustCall(t, i, "eat", "16")
	_, err = i.Call(t.Context(), "eat", []byte("2048"))
	wants(t, err, pluginapi.ErrPluginCrashed, pluginapi.ErrUnknownOutcome)
	if strings.Contains(i.Isolation(), "memory") {
		t.Log("roughly limited: " + i.Isolation())
		wantsText(t, err, "out of memory")
	} else {
		wants(t, err, pluginapi.ErrPluginLimit)
	}
	mustCall(t, i, "eat", "16")
}

// The limits are what the kernel is told. Which controllers a machine gives is
// its own affair.
func TestSettings(t *testing.T) {
	l := plugin.Limits{Memory: 1 << 20, Tasks: 7, CPU: 1.5}
	got := map[string]string{}
	for _, s := range settings(l, wanted[:]) {
		got[s.file] = s.text
	}
	for file, want := range map[string]string{
		"memory.max": "1048576", "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "7", "cpu.max": "150000 100000",
	} {
		if got[file] != want {
			t.Errorf("%s is %q, not %q", file, got[file], want)
		}
	}
	if s := settings(l, nil); len(s) != 0 {
		t.Errorf("without controllers: %v", s)
	}
}

// Where the group has the controllers, the limits are in it.
func TestLimitsAreInTheGroup(t *testing.T) {
	t.Parallel()
	g := findGroups()
	if g.base == "" {
		lacking(t, "no control groups: "+g.why)
	}
	if len(g.controllers) == 0 {
		t.Skip("this kernel has other uses for its controllers: " + g.why)
	}
	o := options(t)
	o.Limits.Tasks = 1234
	i := load(t, config(t, "actor"), o)
	for _, s := range settings(i.options.Limits, g.controllers) {
		b, err := os.ReadFile(filepath.Join(i.group, s.file))
		if got := strings.TrimSpace(string(b)); (err != nil || got != s.text) && !s.optional && s.file != "memory.max" {
			t.Errorf("%s is %q, not %q: %v", s.file, got, s.text, err)
		}
	}
}

// A group that a guard has removed is no obstacle for the next process.
func TestGroupIsNewForEachProcess(t *testing.T) {
	t.Parallel()
	i := load(t, config(t, "actor"), options(t))
	if i.group == "" {
		lacking(t, "no control groups: "+i.Isolation())
	}
	for range 3 {
		pid := mustCall(t, i, "pid", "")
		b, err := os.ReadFile("/proc/" + pid + "/cgroup")
		if err != nil || !strings.Contains(string(b), "/"+groupsName+"/test.n1.actor-") {
			t.Errorf("it is in %s, %v", b, err)
		}
		_, err = i.Call(t.Context(), "exit", nil)
		wants(t, err, pluginapi.ErrPluginCrashed)
	}
}

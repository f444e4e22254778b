package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	cluster "github.com/ozanturksever/go-cluster"
)

// buildGuest makes a folder with a WebAssembly plugin of testdata/plugins.
func buildGuest(t *testing.T, dir, name, contract string, capabilities ...string) {
	t.Helper()
	if racing {
		t.Skip("the race detector makes a compiler of WebAssembly in this process ten times slower: make test runs it without")
	}
	to := filepath.Join(dir, name)
	must(t, os.MkdirAll(to, 0o700))
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", filepath.Join(to, name+".wasm"), "./testdata/plugins/"+name)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	writeManifest(t, to, fmt.Sprintf("name: %s\nversion: 1.0.0\ncontract: %s\nruntime: wasm\nabi: 1\nfile: %s.wasm\n", name, contract, name), capabilities)
}

func writeManifest(t *testing.T, dir, text string, capabilities []string) {
	t.Helper()
	if len(capabilities) > 0 {
		list, err := json.Marshal(capabilities)
		must(t, err)
		text += "capabilities: " + string(list) + "\n"
	}
	must(t, os.WriteFile(filepath.Join(dir, "plugin.yaml"), []byte(text), 0o600))
}

// TestHookPlugin: a WebAssembly hook is told of what happens to its app, and asks
// its host for what it was granted.
func TestHookPlugin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	buildGuest(t, dir, "notify", "hook", "kv.write:seen/")
	n := newNode(t, "hookplug", "n1", startNATS(t).ClientURL(), cluster.WithDataDir(filepath.Join(t.TempDir(), "data")),
		cluster.WithPlugins(cluster.PluginsConfig{Unsigned: true, Local: dir, Grants: map[string][]string{"notify": {"kv.write:seen/"}}}))
	app := cluster.NewApp("web", cluster.WithHookPlugin(cluster.HookPlugin{Name: "notify", Events: []cluster.HookKind{"active", "leader_change", "member_join"}}))
	n.app(app)
	n.start()
	seen := func(kind string) string {
		v, err := app.KV().Get(within(t, patience), "seen/"+kind)
		if err != nil && !errors.Is(err, cluster.ErrKeyNotFound) {
			t.Log(err)
		}
		return string(v)
	}
	eventually(t, "it was told that the node is active", func() bool { return strings.HasPrefix(seen("active"), "n1 ") })
	if got := seen("start"); got != "" {
		t.Errorf("it was told of what it was not to be told: %s", got)
	}
	leader := leaderOf(t, "web", n)
	if want := fmt.Sprintf("n1 %d ", leader.election("web").Epoch()); seen("active") != want {
		t.Errorf("active: %q, want %q", seen("active"), want)
	}
}

// TestPolicyPlugin: a WebAssembly policy decides who is next, and who must not
// lead.
func TestPolicyPlugin(t *testing.T) {
	t.Parallel()
	dir, url := t.TempDir(), startNATS(t).ClientURL()
	buildGuest(t, dir, "choose", "placement")
	var nodes []*node
	for i, turn := range []string{"1", "", "3", "2"} {
		labels := map[string]string{}
		if turn != "" {
			labels["turn"] = turn
		}
		n := newNode(t, "policyplug", fmt.Sprint("n", i+1), url, cluster.WithDataDir(filepath.Join(t.TempDir(), "data")), cluster.Labels(labels),
			cluster.WithPlugins(cluster.PluginsConfig{Unsigned: true, Local: dir}))
		n.app(cluster.NewApp("web", cluster.WithPolicyPlugin("choose", nil)))
		nodes = append(nodes, n.start())
	}
	for _, n := range nodes {
		n.knows("n1", "n2", "n3", "n4")
	}
	ctx := within(t, 3*patience)
	step := func() string {
		must(t, leaderOf(t, "web", nodes...).election("web").StepDown(ctx))
		return leaderOf(t, "web", nodes...).NodeID()
	}
	// Until the policy has been compiled everywhere, what is built in ranks.
	for row := 0; row < 6; {
		if got := step(); got == "n3" || got == "n4" {
			row++
		} else if row = 0; ctx.Err() != nil {
			t.Fatalf("%s leads", got)
		}
	}
	for range 4 { // the best two, by turns
		if got := step(); got != "n3" && got != "n4" {
			t.Errorf("%s leads: it is not the best, or unfit", got)
		}
	}
	must(t, nodes[0].UpdateNodeLabels(ctx, "n2", map[string]string{"turn": "9"}))
	for step() != "n2" && ctx.Err() == nil {
		// Each node's policy hears of the label in its own time.
	}
	if ctx.Err() != nil {
		t.Error("a node that has become the best does not lead")
	}
}

// TestBackendPlugin: a binary plugin controls the service of an app, on the node
// that leads and nowhere else.
func TestBackendPlugin(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("binary plugins with a process backend need Linux")
	}
	t.Parallel()
	dir, url, mark := t.TempDir(), startNATS(t).ClientURL(), t.TempDir()
	to := filepath.Join(dir, "process")
	must(t, os.MkdirAll(to, 0o700))
	out, err := exec.Command("go", "build", "-o", filepath.Join(to, "process"), "./plugins/backends/process").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile("plugins/backends/process/plugin.yaml")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(to, "plugin.yaml"), text, 0o600))
	var nodes []*node
	for _, id := range []string{"n1", "n2"} {
		n := newNode(t, "backplug", id, url, cluster.WithDataDir(filepath.Join(t.TempDir(), "data")),
			cluster.WithPlugins(cluster.PluginsConfig{Unsigned: true, Local: dir}))
		config, err := json.Marshal(map[string]any{"command": "/bin/sh", "args": []string{"-c", fmt.Sprintf("echo $$ > %s/%s; exec sleep 1000", mark, id)}})
		must(t, err)
		n.app(cluster.NewApp("web", cluster.WithBackendPlugin("process", config)))
		nodes = append(nodes, n.start())
	}
	for _, n := range nodes {
		n.knows("n1", "n2")
	}
	lives := func(id string) bool {
		pid, err := os.ReadFile(filepath.Join(mark, id))
		if err != nil {
			return false
		}
		return exists("/proc/" + strings.TrimSpace(string(pid)) + "/exe")
	}
	for range 3 {
		leader := leaderOf(t, "web", nodes...)
		eventually(t, "the service runs on "+leader.NodeID(), func() bool { return lives(leader.NodeID()) })
		if o := other(nodes, leader).NodeID(); lives(o) {
			t.Errorf("it runs on %s too", o)
		}
		must(t, leader.election("web").StepDown(context.WithoutCancel(within(t, patience))))
		eventually(t, "it has ended on "+leader.NodeID(), func() bool { return !lives(leader.NodeID()) })
	}
	for _, n := range nodes {
		must(t, n.stop())
	}
	for _, id := range []string{"n1", "n2"} {
		if lives(id) {
			t.Errorf("the service of %s outlives it", id)
		}
	}
}

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin/trial/trialtest"
)

// edit changes one text in a file.
func edit(t *testing.T, path, from, to string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), from) {
		t.Fatalf("%s has no %q", path, from)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A plugin of this house passes, as a folder and as a package; a changed one
// does not, and the exit code says so to a script.
func TestPluginTest(t *testing.T) {
	dir := trialtest.Build(t, "../../plugins/placement/zone-spread")
	try := func(args ...string) result {
		return execute(t.Context(), nil, append([]string{"plugin", "test", "--call", "2m"}, args...)...)
	}
	r := try(trialtest.Pack(t, dir))
	if lines := strings.Split(r.stdout, "\n"); r.exit != exitOK || r.stderr != "" || lines[0] != "pass  it is what its manifest says" ||
		!strings.HasSuffix(r.stdout, "\nOK  zone-spread 1.0.0: 13 checks\n") || strings.Contains(r.stdout, "FAIL") {
		t.Errorf("a good plugin: %s", r)
	}
	if r := try(dir, "--plugin-config", write(t, "c.json", `{"missing": "first"}`, 0o600)); r.exit != exitUsage || !strings.Contains(r.stderr, "missing") {
		t.Errorf("a config that breaks the schema: %s", r)
	}
	if r := try(dir, "--plugin-config", filepath.Join(dir, "nowhere")); r.exit != exitFailure || !strings.Contains(r.stderr, "--plugin-config") {
		t.Errorf("no config: %s", r)
	}

	tryReplayAndBench(t, dir)

	edit(t, filepath.Join(dir, "plugin.yaml"), "version: 1.0.0", "version: 1.0.1")
	r = try(dir, "--json")
	var doc pluginTested
	if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil {
		t.Fatalf("%v: %s", err, r)
	}
	if r.exit != exitFailure || r.stderr != "" || doc.Passed || doc.Checks[0].Passed || len(doc.Checks[0].Faults) != 1 || !doc.Checks[1].Passed || len(doc.Checks) != 13 {
		t.Errorf("a plugin that is not what its manifest says: %s", r)
	}

	edit(t, filepath.Join(dir, "plugin.yaml"), "contract: placement", "contract: hook")
	if r := try(dir); r.exit == exitOK || r.stdout != "" && !strings.Contains(r.stdout, "FAILED") {
		t.Errorf("a policy that says that it is a hook: %s", r)
	}
	if err := os.WriteFile(filepath.Join(dir, "zone-spread.wasm"), []byte("\x00asm\x01\x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := try(dir); r.exit != exitUsage || !strings.Contains(r.stderr, "gchost_abi_v1") || r.stdout != "" {
		t.Errorf("an empty module: %s", r)
	}
	if r := try(filepath.Join(dir, "nowhere")); r.exit != exitUsage || !strings.Contains(r.stderr, "built") {
		t.Errorf("nothing there: %s", r)
	}
}

const recorded = `{"time_ms": 1750000000000, "table": {"epoch": 5, "candidates": [
{"node": "a1", "healthy": true, "labels": [{"key": "zone", "value": "a"}]},
{"node": "a2", "healthy": true, "labels": [{"key": "zone", "value": "a"}], "leads": 9},
{"node": "b1", "healthy": true, "labels": [{"key": "zone", "value": "b"}], "leads": 1}]},
"apps": [{"name": "shop", "mode": "singleton"}, {"name": "db", "mode": "singleton", "leader": "b1"}]}`

func tryReplayAndBench(t *testing.T, dir string) {
	t.Helper()
	from := write(t, "recording", strings.ReplaceAll(recorded, "\n", ""), 0o600)
	try := func(args ...string) result { return execute(t.Context(), nil, append([]string{"plugin"}, args...)...) }
	want := `TIME                  EPOCH  APP   LEADER  BUILT-IN  PLUGIN
2025-06-15T15:06:40Z  5      shop  -       a1        b1

2 questions: 1 the same, 1 different, 0 failed
moves away from the leader: 0 by the built-in policy, 0 by zone-spread 1.0.0
`
	if r := try("replay", dir, "--from", from, "--call", "2m"); r.exit != exitOK || r.stdout != want {
		t.Errorf("replay: %s\nwant\n%s", r, want)
	}
	for says, args := range map[string][]string{
		"--from is missing": {"replay", dir}, "there is no nowhere": {"replay", dir, "--from", "nowhere"}, "line 1": {"replay", dir, "--from", dir + "/plugin.yaml"},
		"--for is above 0": {"bench", dir, "--for", "0s"}, "--callers 1 to 1000": {"bench", dir, "--callers", "1001"}, "--call is": {"bench", dir, "--call", "1h"},
	} {
		if r := try(args...); r.exit != exitUsage || !strings.Contains(r.stderr, says) {
			t.Errorf("%q: %s, want %q", args, r, says)
		}
	}
	var doc pluginFigures
	r := try("bench", dir, "--for", "50ms", "--call", "2m", "--json")
	if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil || r.exit != exitOK || doc.Calls < 1 || doc.P50NS < 1 || doc.MostNS < doc.P99NS || doc.Plugin != "zone-spread 1.0.0" {
		t.Errorf("bench: %v, %s", err, r)
	}
}

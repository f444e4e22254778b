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

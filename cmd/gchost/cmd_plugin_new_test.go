package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
)

// begin makes a plugin in an empty folder.
func begin(t *testing.T, args ...string) (exit int, out string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := &program{stdout: &stdout, stderr: &stderr, machine: testMachine()}
	exit = p.run(t.Context(), append([]string{"plugin", "new"}, args...))
	return exit, stdout.String() + stderr.String()
}

// What plugin new writes passes its own test, builds as WebAssembly, and packs.
func TestNewPlugins(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "sdk-wasm")); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the SDK is not in this tree")
	}
	t.Chdir(t.TempDir())
	for _, kind := range strings.Split(pluginKinds, ", ") {
		t.Run(kind, func(t *testing.T) {
			name := "my-" + kind
			if exit, out := begin(t, name, "--kind", kind, "--source", root); exit != exitOK {
				t.Fatalf("exit %d, %s", exit, out)
			}
			run := func(env []string, args ...string) {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), "go", args...)
				cmd.Dir, cmd.Env = name, append(os.Environ(), append(env, "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")...)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
				}
			}
			run(nil, "vet", ".")
			run(nil, "test", ".")
			run([]string{"GOOS=wasip1", "GOARCH=wasm"}, "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", name+".wasm", ".")
			if out, err := exec.CommandContext(t.Context(), "gofmt", "-l", name).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("gofmt: %s, %v", out, err)
			}
			p, err := manifest.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			var packed bytes.Buffer
			if err := errors.Join(p.Write(&packed), p.Close()); err != nil {
				t.Fatal(err)
			}
			if p.Manifest.Name != name || string(p.Manifest.Contract) != kind || p.Manifest.Size < 100_000 {
				t.Errorf("manifest %+v", p.Manifest)
			}
			if _, err := p.Manifest.Config(nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// A name that cannot be, a language or kind that there is not, and a folder that
// is there: nothing is written.
func TestNewPluginRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	exit, out := begin(t, "good", "--json")
	var doc pluginBegun
	if err := json.Unmarshal([]byte(out), &doc); exit != exitOK || err != nil || !slices.Equal(doc.Files, []string{".gitignore", "README.md", "go.mod", "main.go", "main_test.go", "plugin.yaml"}) {
		t.Fatalf("exit %d, %s", exit, out)
	}
	before, err := os.ReadFile("good/plugin.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := manifest.Parse(before); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{
		{}, {""}, {"../x"}, {"/x"}, {"a b"}, {"a.b"}, {strings.Repeat("x", 51)}, {"good"}, {"x", "y"},
		{"x", "--lang", "cobol"}, {"x", "--kind", "hooks"}, {"x", "--kind", "../go/hook"}, {"x", "--kind", "common"},
	} {
		if exit, out := begin(t, args...); exit != exitUsage {
			t.Errorf("%q: exit %d, %s", args, exit, out)
		}
	}
	entries, err := os.ReadDir(".")
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestPublishedVersion(t *testing.T) {
	for v, want := range map[string]string{"v1.2.3": "v1.2.3", "v0.0.0-20260101000000-abcdef123456": "v0.0.0-20260101000000-abcdef123456", "(devel)": "", "v1.2.3+dirty": "", "unknown": "", "": ""} {
		if got := publishedVersion(v); got != want {
			t.Errorf("%q: %q", v, got)
		}
	}
}

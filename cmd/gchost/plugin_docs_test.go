package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/host/plugin/recording"
)

// The README of each shipped plugin has a configuration that gchost takes, grants
// what its manifest asks for, and configures it as its schema wants.
func TestShippedReadmes(t *testing.T) {
	files, err := filepath.Glob("../../plugins/[hp][ol]*/*/README.md") // hooks and placement
	if err != nil || len(files) < 6 {
		t.Fatalf("%d READMEs, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		manifestText, err := os.ReadFile(filepath.Join(filepath.Dir(file), manifest.FileName))
		if err != nil {
			t.Fatal(err)
		}
		m, err := manifest.Parse(manifestText)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(text)
		if block == nil {
			t.Errorf("%s has no example", file)
			continue
		}
		cfg, _, err := load(t, string(block[1]), nil, nil)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if !strings.Contains(string(block[1]), m.Name) {
			t.Errorf("%s: the example does not name %s", file, m.Name)
		}
		checkExample(t, file, m, cfg)
	}
}

// TestTenMinutes does what "Write a plugin in ten minutes" says, line by line. It
// adds one thing: the project is built against this source, not a release.
func TestTenMinutes(t *testing.T) {
	page := readDoc(t, "plugins.md")
	_, section, _ := strings.Cut(page, "## Write a plugin in ten minutes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1) {
		for line := range strings.Lines(block[1]) {
			if !strings.HasPrefix(line, "cd ") {
				line = "exec " + line
			}
			script.WriteString(strings.Replace(line, "plugin new greet", "plugin new greet --sdk $SOURCE", 1))
		}
	}
	script.WriteString("stdout '^OK  greet 0.1.0$'\nexec gchost plugin info greet-0.1.0.gcplugin\nstdout 'signed by +A'\n")
	if n := strings.Count(script.String(), "gchost "); n < 6 {
		t.Fatalf("the section has only %d commands of gchost:\n%s", n, script.String())
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ten-minutes.txt"), []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: dir, Setup: func(e *testscript.Env) error {
		e.Setenv("SOURCE", source)
		e.Setenv("GOPROXY", "off") // it needs nothing that is not here
		e.Setenv("GOFLAGS", "")
		for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
			out, err := exec.Command("go", "env", name).Output()
			if err != nil {
				return err
			}
			e.Setenv(name, strings.TrimSpace(string(out)))
		}
		return nil
	}})

	// The section's example of a recording is one.
	n := 0
	example := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(section)
	if err := recording.Read(strings.NewReader(example[1]), func(recording.Question) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("the example of a recording: %d questions, %v", n, err)
	}
}

// checkExample holds the example of a README against the plugin's manifest.
func checkExample(t *testing.T, file string, m manifest.Manifest, cfg Config) {
	t.Helper()
	app := cfg.Apps[0]
	config := []byte(app.Placement.Config)
	for _, h := range app.Hooks.Plugins {
		config = []byte(h.Config)
	}
	if _, err := m.Config(config); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	granted := cfg.Plugins.options().Grants[m.Name]
	for _, c := range m.Capabilities {
		if kind, _, _ := strings.Cut(c.String(), ":"); !slices.ContainsFunc(granted, func(g string) bool { return strings.HasPrefix(g, kind) }) {
			t.Errorf("%s: the example grants nothing of %s", file, c)
		}
	}
	for name := range cfg.Plugins.Secrets {
		if !slices.Contains(granted, "secret:"+name) {
			t.Errorf("%s: the secret %s is not granted", file, name)
		}
	}
}

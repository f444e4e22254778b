package scaffold_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/host/plugin/scaffold"
	"github.com/ozanturksever/go-cluster/host/plugin/trial"
	"github.com/ozanturksever/go-cluster/host/plugin/trial/trialtest"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// projects are all that can be written, by language.
func projects(lang scaffold.Lang) (all []scaffold.Project) {
	for _, k := range scaffold.Kinds() {
		for _, r := range []manifest.Runtime{manifest.WASM, manifest.Binary} {
			if lang == scaffold.Go || r == manifest.WASM {
				all = append(all, scaffold.Project{Name: "my-" + string(k), Lang: lang, Kind: k, Runtime: r})
			}
		}
	}
	return all
}

// The projects of each language build, by the command in their Makefile, and pass
// what gchost plugin test checks.
func TestGo(t *testing.T) {
	sdk, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range projects(scaffold.Go) {
		p.SDK = sdk
		// Modules come from the cache of this machine: the projects need no others.
		prove(t, p, nil, "GOFLAGS=-mod=mod", "GOPROXY=off", "GOSUMDB=off", "GOWORK=off")
	}
}

func TestC(t *testing.T) {
	for _, tool := range []string{"clang-19", "wasm-ld-19"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no compiler of C for WebAssembly: %v", err)
		}
	}
	for _, p := range projects(scaffold.C) {
		prove(t, p, nil)
	}
}

// TestRust needs rustc with the target wasm32-unknown-unknown: of rustup, or
// Debian's libstd-rust-dev-wasm32 and lld.
func TestRust(t *testing.T) {
	found, err := exec.CommandContext(t.Context(), "rustc", "--print", "target-libdir", "--target", "wasm32-unknown-unknown").Output()
	if err != nil {
		t.Skipf("no compiler of Rust: %v", err)
	}
	if files, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(found)), "libstd-*.rlib")); len(files) == 0 {
		t.Skip("rustc has no target wasm32-unknown-unknown")
	}
	for _, p := range projects(scaffold.Rust) {
		prove(t, p, nil)
	}
}

// TestAssemblyScript needs npm, and the compiler from its registry.
func TestAssemblyScript(t *testing.T) {
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skipf("no npm: %v", err)
	}
	// The compiler is installed once, by the projects' own package.json.
	home := filepath.Join(t.TempDir(), "home")
	if _, err := scaffold.Write(home, projects(scaffold.AssemblyScript)[0]); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), trialtest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "make", "node_modules")
	cmd.Dir = home
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("npm cannot install the compiler: %v\n%s", err, out)
	}
	for _, p := range projects(scaffold.AssemblyScript) {
		prove(t, p, func(dir string) error {
			return os.Symlink(filepath.Join(home, "node_modules"), filepath.Join(dir, "node_modules"))
		})
	}
}

// prove writes a project, builds it, runs the tests that it has itself, has it
// checked, and looks at what it does.
func prove(t *testing.T, p scaffold.Project, prepare func(dir string) error, env ...string) {
	t.Run(string(p.Kind)+" "+string(p.Runtime), func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "new")
		if _, err := scaffold.Write(dir, p); err != nil {
			t.Fatal(err)
		}
		if prepare != nil {
			if err := prepare(dir); err != nil {
				t.Fatal(err)
			}
		}
		run(t, dir, env, "make")
		if p.Lang == scaffold.Go {
			run(t, dir, env, "go", "test", "./...")
			run(t, dir, env, "go", "vet", "./...")
			run(t, dir, nil, "gofmt", "-d", ".")
		}
		code := int64(0)
		w := &trial.World{Exec: func(string, []string, []byte) (wire.ExecResult, error) {
			return wire.ExecResult{Code: code, Stderr: []byte("ouch")}, nil
		}}
		plugin := trialtest.Open(t, dir, "", w)
		trialtest.Conform(t, plugin, trial.Suite{Service: p.Runtime == manifest.Binary})
		switch {
		case p.Kind == wire.ContractPlacement:
			trialtest.RankModule(t, plugin, []trialtest.Ranking{placed()})
		case p.Kind == wire.ContractBackend && p.Runtime == manifest.WASM:
			commands(t, plugin, &code)
		}
	})
}

// placed is what every policy of a new project does: labels count before free
// memory, and what cannot be used is unfit.
func placed() trialtest.Ranking {
	ssd, east := pluginapi.Label{Key: "disk", Value: "ssd"}, pluginapi.Label{Key: "zone", Value: "east"}
	both := []pluginapi.Label{ssd, east}
	return trialtest.Ranking{
		App:  pluginapi.AppSpec{Name: "shop", Requires: []pluginapi.Label{ssd}, Prefers: []pluginapi.Label{east}},
		Want: "c b a",
		Nodes: []pluginapi.Candidate{
			{Node: "a", Healthy: true, Labels: both[:1], MemFree: 2 << 30}, {Node: "b", Healthy: true, Labels: both[:1], MemFree: 9 << 30},
			{Node: "c", Healthy: true, Labels: both}, {Node: "d", Healthy: true, Labels: both[1:], MemFree: 99 << 30},
			{Node: "e", Labels: both}, {Node: "f", Healthy: true, Cordoned: true, Labels: both},
		},
	}
}

// commands is what every WebAssembly backend of a new project does: it runs the
// operator's command, and believes its exit code.
func commands(t *testing.T, p *trial.Plugin, code *int64) {
	t.Helper()
	i, err := p.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := len(p.World.Notes())
	if _, err := i.Call(t.Context(), wire.OpStart, (&wire.Start{Epoch: 7}).Append(nil)); err != nil {
		t.Errorf("start: %v", err)
	}
	for *code = range map[int64]bool{0: true, 1: true, 3: true} {
		out, err := i.Call(t.Context(), wire.OpStatus, nil)
		var s wire.Status
		if err == nil {
			err = s.Decode(out)
		}
		want := map[int64]string{0: pluginapi.StatusRunning, 1: pluginapi.StatusUnhealthy, 3: pluginapi.StatusStopped}[*code]
		if err != nil || s.Status != want || *code == 1 && s.Message != "ouch" {
			t.Errorf("status after exit code %d: %+v, %v", *code, s, err)
		}
	}
	*code = 1
	if _, err := i.Call(t.Context(), wire.OpStop, (&wire.Stop{GraceMS: 10}).Append(nil)); err == nil {
		t.Errorf("a stop whose command fails succeeds")
	}
	var ran []string
	for _, n := range p.World.Notes()[before:] {
		ran = append(ran, n.Name)
	}
	name := p.Manifest.Name
	if want := []string{name + " start", name + " status", name + " status", name + " status", name + " stop"}; !slices.Equal(ran, want) {
		t.Errorf("it runs %q, want %q", ran, want)
	}
}

func run(t *testing.T, dir string, env []string, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*trialtest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", words, err, out)
	}
	if words[0] == "gofmt" && len(out) > 0 {
		t.Errorf("not as gofmt has it:\n%s", out)
	}
}

// TestHeaderIsTheDocuments: what a C author gets is what docs/plugin-abi.md says.
func TestHeaderIsTheDocuments(t *testing.T) {
	page, err := os.ReadFile("../../../docs/plugin-abi.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)\n`gchost.h`, [^\n]*\n\n```c\n(.*?\n)```").FindSubmatch(page)
	files, err := scaffold.Files(scaffold.Project{Name: "x", Lang: scaffold.C, Kind: wire.ContractHook})
	if err != nil || m == nil || files["gchost.h"] != string(m[1]) {
		t.Errorf("gchost.h and docs/plugin-abi.md differ: %v", err)
	}
}

// Every project that can be asked for is there, with a manifest that is good,
// whatever its name.
func TestFiles(t *testing.T) {
	for _, lang := range scaffold.Langs() {
		for _, p := range projects(lang) {
			for _, name := range []string{"a", "My_Plugin-9", "9to5", strings.Repeat("x", 63)} {
				p.Name = name
				files, err := scaffold.Files(p)
				if err != nil {
					t.Fatalf("%+v: %v", p, err)
				}
				m, err := manifest.Parse([]byte(files["plugin.yaml"]))
				if err != nil || m.Name != name || m.Contract != p.Kind || m.Runtime != p.Runtime {
					t.Errorf("%+v: manifest %+v, %v", p, m, err)
				}
				if files["Makefile"] == "" || files["README.md"] == "" || files[".gitignore"] == "" || len(files) < 5 {
					t.Errorf("%+v: only %d files", p, len(files))
				}
				for name, text := range files {
					if strings.Contains(name+text, "<%") || strings.Contains(name, ".tmpl") {
						t.Errorf("%+v: %s is not filled in", p, name)
					}
				}
			}
		}
	}
}

// A backend in Go is a binary unless something else is asked for; all others are
// WebAssembly.
func TestRuntimeByDefault(t *testing.T) {
	for _, lang := range scaffold.Langs() {
		for _, kind := range scaffold.Kinds() {
			want := manifest.WASM
			if lang == scaffold.Go && kind == wire.ContractBackend {
				want = manifest.Binary
			}
			files, err := scaffold.Files(scaffold.Project{Name: "x", Lang: lang, Kind: kind})
			if err != nil || !strings.Contains(files["plugin.yaml"], "runtime: "+string(want)+"\n") {
				t.Errorf("%s %s: %v, want %s", lang, kind, err, want)
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	good := scaffold.Project{Name: "x", Lang: scaffold.Go, Kind: wire.ContractHook}
	for name, edit := range map[string]func(*scaffold.Project){
		"no name":           func(p *scaffold.Project) { p.Name = "" },
		"a path":            func(p *scaffold.Project) { p.Name = "../x" },
		"a language":        func(p *scaffold.Project) { p.Lang = "cobol" },
		"a kind":            func(p *scaffold.Project) { p.Kind = "hooks" },
		"a runtime":         func(p *scaffold.Project) { p.Runtime = "jvm" },
		"a binary in C":     func(p *scaffold.Project) { p.Lang, p.Runtime = scaffold.C, manifest.Binary },
		"a folder for C":    func(p *scaffold.Project) { p.Lang, p.SDK = scaffold.C, "/x" },
		"a quote in a path": func(p *scaffold.Project) { p.SDK = "/x\"y" },
	} {
		p := good
		edit(&p)
		dir := filepath.Join(t.TempDir(), "new")
		if _, err := scaffold.Write(dir, p); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: a folder was made", name)
		}
	}
}

// What is there is not written over.
func TestWriteKeeps(t *testing.T) {
	p := scaffold.Project{Name: "x", Lang: scaffold.C, Kind: wire.ContractHook}
	dir := t.TempDir()
	names, err := scaffold.Write(dir, p)
	if err != nil || !slices.Contains(names, "x.c") || !slices.IsSorted(names) {
		t.Fatalf("%q, %v", names, err)
	}
	mine := filepath.Join(dir, "x.c")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := scaffold.Write(dir, p); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("into a folder with files: %v", err)
	}
	if text, err := os.ReadFile(mine); err != nil || string(text) != "mine" {
		t.Errorf("%s, %v", text, err)
	}
}

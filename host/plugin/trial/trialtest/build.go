package trialtest

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/host/plugin/trial"
)

// Patience is for calls and builds on a machine of any load.
const Patience = 2 * time.Minute

// Build compiles the plugin in the folder dir, with its manifest, into a folder
// of the test's, as make plugins would.
func Build(t testing.TB, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, manifest.FileName))
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	args := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(out, m.File)}
	env := append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if m.Runtime == manifest.WASM {
		args = append(args, "-buildmode=c-shared")
		env = append(env, "GOOS=wasip1", "GOARCH=wasm")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append(args, ".")...)
	cmd.Dir, cmd.Env = dir, env
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", dir, err, text)
	}
	if err := os.WriteFile(filepath.Join(out, manifest.FileName), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

// Open puts a plugin on trial. Calls may take as long as a loaded machine needs,
// and code is compiled once for all trials of one folder.
func Open(t testing.TB, dir, config string, w *trial.World) *trial.Plugin {
	t.Helper()
	p, err := trial.Open(dir, trial.Options{Config: []byte(config), World: w, Call: Patience, Cache: filepath.Join(dir, "cache")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), Patience)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Conform runs the checks that every plugin of its contract has to pass. A
// module stays loaded for all of them, so that it is compiled once.
func Conform(t *testing.T, p *trial.Plugin, s trial.Suite) {
	t.Helper()
	i, err := p.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), Patience)
		defer cancel()
		if err := i.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	for _, c := range p.Checks(s) {
		t.Run(c.Name, func(t *testing.T) { c.Run(t) })
	}
}

// Pack writes the package of a folder, and returns its path.
func Pack(t testing.TB, dir string) string {
	t.Helper()
	pkg, err := manifest.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer pkg.Close()
	path := filepath.Join(t.TempDir(), pkg.Manifest.Name+".gcplugin")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(pkg, f); err != nil {
		t.Fatal(err)
	}
	return path
}

func write(pkg *manifest.Package, f io.WriteCloser) error {
	if err := pkg.Write(f); err != nil {
		return err
	}
	return f.Close()
}

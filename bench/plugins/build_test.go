package plugins

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// errMissing is why a contender does not take part.
type errMissing string

func (e errMissing) Error() string { return string(e) }

func run(env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// buildBinary builds a program of testdata for this system.
func buildBinary(b *testing.B, name string) string {
	b.Helper()
	out := filepath.Join(b.TempDir(), name)
	if err := run([]string{"CGO_ENABLED=0"}, "go", "build", "-o", out, "./testdata/"+name); err != nil {
		b.Fatal(err)
	}
	return out
}

// buildGo builds a guest of testdata with the standard compiler.
func buildGo(dir, name string) (string, error) {
	out := filepath.Join(dir, name+".wasm")
	return out, run([]string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0"},
		"go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, "./testdata/"+name)
}

// buildTinyGo builds it with TinyGo: the program that TINYGO names, or that of the
// path, for the target TINYGO_TARGET (default wasip1).
func buildTinyGo(dir string) (string, error) {
	tinygo, err := exec.LookPath(or("TINYGO", "tinygo"))
	if err != nil {
		return "", errMissing("there is no TinyGo: set TINYGO to its path")
	}
	out := filepath.Join(dir, "tinygo.wasm")
	return out, run(nil, tinygo, "build", "-target="+or("TINYGO_TARGET", "wasip1"), "-buildmode=c-shared", "-scheduler=none",
		"-opt=2", "-o", out, "./testdata/policy")
}

func buildC(dir string) (string, error) {
	clang, err := exec.LookPath(or("CLANG", "clang-19"))
	if err != nil {
		return "", errMissing("there is no clang-19: set CLANG to a clang with wasm-ld beside it")
	}
	out := filepath.Join(dir, "c.wasm")
	return out, run(nil, clang, "--target=wasm32", "-O2", "-mbulk-memory", "-nostdlib", "-Wl,--no-entry,--strip-all", "-o", out, "testdata/other/score.c")
}

// buildRust builds with the compiler that RUSTC names, or the first one of the
// usual two that has a library for WebAssembly.
func buildRust(dir string) (string, error) {
	out := filepath.Join(dir, "rust.wasm")
	for _, rustc := range []string{os.Getenv("RUSTC"), "/usr/bin/rustc", "rustc"} {
		if rustc == "" {
			continue
		}
		lib, err := exec.Command(rustc, "--target=wasm32-unknown-unknown", "--print=target-libdir").Output()
		if err != nil {
			continue
		}
		if _, err := os.Stat(strings.TrimSpace(string(lib))); err != nil {
			continue
		}
		args := []string{"--target=wasm32-unknown-unknown", "--crate-type=cdylib", "-Copt-level=3", "-Cpanic=abort", "-Cstrip=symbols"}
		return out, run(nil, rustc, append(args, "-o", out, "testdata/other/score.rs")...)
	}
	return "", errMissing("there is no rustc with a library for wasm32-unknown-unknown: set RUSTC to its path")
}

func or(env, otherwise string) string {
	if v := os.Getenv(env); v != "" {
		return v
	}
	return otherwise
}

func artifact(b *testing.B, path string, contract wire.Contract) plugin.Artifact {
	b.Helper()
	module, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	return plugin.Artifact{Name: "bench", Version: "1.0.0", Contract: contract, Path: path, Digest: sha256.Sum256(module)}
}

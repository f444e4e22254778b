package wasm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// shared is what the tests of this package make once: a guest built by Go, and a
// cache with its compiled code.
type shared struct {
	dir  string
	wasm []byte
}

var made shared

func TestMain(m *testing.M) {
	code := m.Run()
	if made.dir != "" {
		_ = os.RemoveAll(made.dir)
	}
	os.Exit(code)
}

// goModule is testdata/guest, compiled by Go. Tests that use it do not run in
// parallel.
func goModule(t testing.TB) []byte {
	t.Helper()
	if made.wasm == nil {
		wasm, err := buildGoGuest(filepath.Join(workDir(t), "guest.wasm"))
		if err != nil {
			t.Fatal(err)
		}
		made.wasm = wasm
	}
	return made.wasm
}

// goCache is a compile cache that these tests share.
func goCache(t testing.TB) string { return filepath.Join(workDir(t), "cache") }

func workDir(t testing.TB) string {
	t.Helper()
	if made.dir == "" {
		dir, err := os.MkdirTemp("", "gchost-wasm")
		if err != nil {
			t.Fatal(err)
		}
		made.dir = dir
	}
	return made.dir
}

func buildGoGuest(out string) ([]byte, error) {
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, "./testdata/guest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the guest: %w\n%s", err, text)
	}
	return os.ReadFile(out)
}

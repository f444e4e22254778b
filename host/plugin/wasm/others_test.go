package wasm

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// TestModulesOfOthers: modules that others wrote (guests of WASI, and a sample of
// the suite of the standard, valid and broken ones) are refused as what they are:
// no plugins.
func TestModulesOfOthers(t *testing.T) {
	r := newRuntime(t, Config{})
	seen := 0
	for n, path := range modulesOfOthers(t) {
		wasm, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n%25 > 0 || len(wasm) > 256<<10 {
			continue
		}
		seen++
		if _, err := r.Prepare(testContext(t), artifact(t, wasm)); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if seen < 50 || len(r.entries) > 0 {
		t.Fatalf("%d modules seen, %d are left in memory", seen, len(r.entries))
	}
}

func modulesOfOthers(t *testing.T) (paths []string) {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err == nil {
		err = filepath.WalkDir(strings.TrimSpace(string(out)), func(path string, d fs.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".wasm" {
				paths = append(paths, path)
			}
			return err
		})
	}
	if err == nil && len(paths) > 0 {
		return paths
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("wazero's sources are not there:", err)
	}
	t.Skip("wazero's sources are not there:", err)
	return nil
}

// FuzzReturn: whatever a guest returns and answers, the call comes to an end that
// has a name.
func FuzzReturn(f *testing.F) {
	// It answers with its input, and returns the first byte of it, as a signed one.
	m := module{imports: usualImports(), memory: [2]uint32{2, 2}, funcs: []function{{export: "gchost_abi_v1", signature: "->"},
		{export: "gc_event", signature: "i->i", code: code(echo(), opDrop, c32(buffer), 0x2c, 0, 0)}}}
	i := load(f, newRuntime(f, Config{}), m.bytes(), plugin.Options{})
	failure := (&wire.Error{Code: "rejected", Text: "no", Retry: true}).Append(nil)
	for _, seed := range []string{"\x00", "\x00answer", "\x01", "\x02", "\xff", "\x01" + string(failure), "\x0a\x08rejected", "\x01\xff\xff\xff\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) == 0 || len(in) > 64<<10 {
			return // without an input it returns what the last one has left
		}
		out, err := i.Call(t.Context(), wire.OpEvent, in)
		first := in[0]
		var told *wire.Error
		switch {
		case first == 0 && err == nil && bytes.Equal(in, out):
		case first == 1 && out == nil && (errors.As(err, &told) || errors.Is(err, pluginapi.ErrPluginProtocol)):
		case first > 1 && out == nil && errors.Is(err, pluginapi.ErrPluginProtocol):
		default:
			t.Fatalf("%q: %q, %v", in, out, err)
		}
	})
}

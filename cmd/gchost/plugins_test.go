package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPluginInstall: a folder becomes a package, goes to a host, and the command
// says what has come of it.
func TestPluginInstall(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "plugin.yaml"), []byte("name: greet\nversion: 1.0.0\ncontract: hook\nruntime: wasm\nabi: 1\nfile: greet.wasm\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "greet.wasm"), []byte("\x00asm"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		kind string
		args []string
		exit int
		want string
	}{
		{"healthy", []string{"install", dir}, exitOK, "greet 1.0.0 is active on all nodes"},
		{"healthy", []string{"install", dir, "--no-wait"}, exitOK, "is on its way"},
		{"bad upgrade", []string{"upgrade", dir}, exitFailure, "greet 1.1.0 was rolled back: node n2 cannot have it"},
		{"rolling", []string{"upgrade", dir}, exitRefused, "is on its way"},
		{"healthy", []string{"install", filepath.Join(dir, "greet.wasm")}, exitUsage, "no package of a plugin"},
		{"healthy", []string{"install", filepath.Join(dir, "none")}, exitUsage, "there is no plugin at"},
		{"healthy", []string{"install"}, exitUsage, "FILE|DIR is missing"},
		{"healthy", []string{"install", dir, "--timeout", "-1s"}, exitUsage, "positive duration"},
		{"down", []string{"install", dir}, exitUnreachable, "no host answers"},
	} {
		r := execute(t.Context(), platformOf(tt.kind), append([]string{"plugin"}, tt.args...)...)
		if r.exit != tt.exit || !strings.Contains(r.stdout+r.stderr, tt.want) {
			t.Errorf("%s: %v: want exit %d and %q, got %s", tt.kind, tt.args, tt.exit, tt.want, r)
		}
	}
}

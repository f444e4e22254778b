package wasm

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// cachedFiles are the files of a cache by their path.
func cachedFiles(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// useCache loads a module in a new runtime, as a restart does, calls it, and says
// whether its code came from the cache.
func useCache(t *testing.T, dir string, a plugin.Artifact, log *journal) bool {
	t.Helper()
	r, err := New(Config{CacheDir: dir, Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	info, err := r.Prepare(testContext(t), a)
	if err != nil {
		t.Fatal(err)
	}
	i, err := r.Load(testContext(t), a, plugin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	answers(t, i)
	if err := r.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	return info.Cached
}

// TestCache: what was compiled is found after a restart; whatever is damaged in
// it is noticed, logged, and compiled again.
func TestCache(t *testing.T) {
	dir, a := filepath.Join(t.TempDir(), "cache"), artifact(t, hook().bytes())
	var log journal
	if useCache(t, dir, a, &log) || !useCache(t, dir, a, &log) || log.String() != "" {
		t.Fatal("the code is not compiled once: ", log.String())
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("%v, %v", info, err)
	}
	files := cachedFiles(t, dir)
	if len(files) != 2 {
		t.Fatal(files)
	}
	for _, path := range files {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damages := map[string]func() error{
			"empty":     func() error { return os.WriteFile(path, nil, 0o600) },
			"truncated": func() error { return os.WriteFile(path, whole[:len(whole)/2], 0o600) },
			"longer":    func() error { return os.WriteFile(path, append(bytes.Clone(whole), 0), 0o600) },
			"removed":   func() error { return os.Remove(path) },
			"a link":    func() error { return errors.Join(os.Remove(path), os.Symlink(a.Path, path)) },
			"beside":    func() error { return os.WriteFile(path+"x", whole, 0o600) },
		}
		for at := 0; at < len(whole); at += 1 + len(whole)/20 { // also where wazero has no checksum
			damages["byte "+string(rune('A'+at*20/len(whole)))] = func() error {
				broken := bytes.Clone(whole)
				broken[at] ^= 0x20
				return os.WriteFile(path, broken, 0o600)
			}
		}
		for name, damage := range damages {
			var log journal
			if err := damage(); err != nil {
				t.Fatal(err)
			}
			if useCache(t, dir, a, &log) || !strings.Contains(log.String(), "compiled plugin is damaged") {
				t.Fatalf("%s, %s: not noticed; %s", filepath.Base(path), name, log.String())
			}
			if !useCache(t, dir, a, &log) || strings.Count(log.String(), "damaged") != 1 {
				t.Fatalf("%s, %s: not healed; %s", filepath.Base(path), name, log.String())
			}
			if left := cachedFiles(t, dir); len(left) != 2 {
				t.Fatalf("%s: %v", name, left)
			}
		}
	}
}

// TestCacheOfAnotherVersion: what another version of the rewriter has left is not
// used, and goes.
func TestCacheOfAnotherVersion(t *testing.T) {
	dir, a := t.TempDir(), artifact(t, hook().bytes())
	prepare := func(version byte) (bool, []string) {
		r := newRuntime(t, Config{CacheDir: dir})
		rewrite := r.rewrite
		r.rewrite = func(module []byte) ([]byte, error) {
			out, err := rewrite(module)
			return append(out, 0, 3, 1, version, 0), err // a custom section
		}
		info, err := r.Prepare(testContext(t), a)
		if err != nil {
			t.Fatal(err)
		}
		return info.Cached, cachedFiles(t, dir)
	}
	_, first := prepare(1)
	if cached, second := prepare(2); cached || len(second) != 2 || strings.Join(first, "") == strings.Join(second, "") {
		t.Fatal(cached, first, second)
	}
	if cached, _ := prepare(2); !cached {
		t.Fatal("the new version is not found")
	}
}

// TestKeep: entries of modules that are gone are removed, those of loaded ones
// never, and nothing that is not ours.
func TestKeep(t *testing.T) {
	r := newRuntime(t, Config{CacheDir: t.TempDir()})
	var all []plugin.Artifact
	for n := range 3 {
		m := hook()
		m.extra = []byte{byte(n)}
		all = append(all, artifact(t, m.bytes()))
		if _, err := r.Prepare(testContext(t), all[n]); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(r.cache, "README"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	i, err := r.Load(testContext(t), all[0], plugin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Keep(all[1].Digest); err != nil {
		t.Fatal(err)
	}
	if files := cachedFiles(t, r.cache); len(files) != 5 {
		t.Fatal(files)
	}
	if err := errors.Join(i.Close(testContext(t)), r.Keep()); err != nil {
		t.Fatal(err)
	}
	if files := cachedFiles(t, r.cache); len(files) != 1 {
		t.Fatal(files)
	}
}

// TestCacheFolder: a folder that others can write to is refused, one that they
// can read is closed to them.
func TestCacheFolder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("folders have no such modes here")
	}
	dir := t.TempDir()
	for _, mode := range []fs.FileMode{0o770, 0o777, 0o702} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{CacheDir: dir}); !errors.Is(err, pluginapi.ErrInvalid) || !strings.Contains(err.Error(), dir) {
			t.Fatalf("%v: %v", mode, err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	newRuntime(t, Config{CacheDir: dir})
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("%v, %v", info, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{CacheDir: file}); err == nil {
		t.Fatal("a file was taken for a folder")
	}
	if os.Geteuid() != 0 {
		t.Skip("a folder of another user needs root")
	}
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{CacheDir: dir}); !errors.Is(err, pluginapi.ErrInvalid) || !strings.Contains(err.Error(), "user 12345") {
		t.Fatal(err)
	}
}

// TestSharedCode: two instances of one module have one entry, and the one that is
// left goes on working when the other is closed.
func TestSharedCode(t *testing.T) {
	r := newRuntime(t, Config{CacheDir: t.TempDir()})
	a := artifact(t, hook().bytes())
	one, err := r.Load(testContext(t), a, plugin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	two, err := r.Load(context.Background(), a, plugin.Options{Limits: plugin.Limits{Memory: 1 << 20}})
	if err != nil || len(r.entries) != 1 {
		t.Fatal(err, r.entries)
	}
	answers(t, one)
	if err := one.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	runtime.GC() // wazero unmaps code in finalizers
	runtime.GC()
	answers(t, two)
	if err := two.Close(testContext(t)); err != nil || len(r.entries) != 0 {
		t.Fatal(err, r.entries)
	}
	if _, err := r.Load(context.Background(), a, plugin.Options{}); err != nil {
		t.Fatal(err)
	}
}

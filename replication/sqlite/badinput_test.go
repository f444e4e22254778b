package sqlite_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// What is no database in WAL mode is refused, with a word on what to do, and
// not touched.
func TestOpenCaptureRefuses(t *testing.T) {
	t.Parallel()
	needs(t, "")
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	noise := make([]byte, 8192)
	_, _ = rand.Read(noise)
	rollback := &rig{t: t, source: filepath.Join(dir, "rollback.db")}
	db := rollback.open(rollback.source)
	exe(t, db, "CREATE TABLE a(i)")
	_ = db.Close()
	odd := bytes.Clone(noise)
	copy(odd, "SQLite format 3\x00\x12\x34")
	for _, c := range []struct {
		name, path string
		is         error
		says       string
	}{
		{"missing", filepath.Join(dir, "none.db"), os.ErrNotExist, "none.db"},
		{"folder", dir, sqlite.ErrNotDatabase, "regular file"},
		{"encrypted", file("noise.db", noise), sqlite.ErrNotDatabase, "encrypted"},
		{"short", file("short.db", noise[:50]), sqlite.ErrNotDatabase, "header"},
		{"page size", file("odd.db", odd), sqlite.ErrNotDatabase, "power of two"},
		{"rollback mode", rollback.source, sqlite.ErrNotWAL, "journal_mode=WAL"},
		{"empty", file("empty.db", nil), sqlite.ErrNotWAL, "journal_mode=WAL"},
	} {
		before, _ := os.ReadFile(c.path)
		got, err := sqlite.OpenCapture(t.Context(), c.path, sqlite.CaptureOptions{})
		if err == nil {
			got.Close()
		}
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
		if after, _ := os.ReadFile(c.path); !bytes.Equal(before, after) {
			t.Errorf("%s: the file was changed", c.name)
		}
	}
	if _, err := sqlite.OpenCapture(t.Context(), rollback.source, sqlite.CaptureOptions{MaxBatch: -1}); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("negative limit: %v", err)
	}
}

// A database in rollback mode is converted where that is wished, and refused
// where its owner is at work on it.
func TestConvert(t *testing.T) {
	r := newRig(t, 4096)
	f := newForeign(t, r.source)
	f.do("PRAGMA journal_mode=DELETE", "BEGIN IMMEDIATE", "INSERT INTO a(v) VALUES(1)")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if c, err := sqlite.OpenCapture(ctx, r.source, sqlite.CaptureOptions{Convert: true}); err == nil {
		c.Close()
		t.Error("converted under a writer")
	}
	f.do("COMMIT")
	r.start(sqlite.CaptureOptions{Convert: true})
	f.fill(3, 100)
	r.same()
	if mode := f.do("PRAGMA journal_mode"); mode != "wal" {
		t.Errorf("mode %s", mode)
	}
	// Nor can its owner leave the mode now.
	if answer, _ := f.try("PRAGMA journal_mode=DELETE"); !strings.HasPrefix(answer, "ERROR") && answer != "wal" {
		t.Errorf("left WAL mode: %s", answer)
	}
	r.same()
}

// One database is captured once.
func TestCapturedTwice(t *testing.T) {
	r := newRig(t, 4096)
	r.start(sqlite.CaptureOptions{})
	r.sync()
	c, err := sqlite.OpenCapture(t.Context(), r.source, sqlite.CaptureOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Run(t.Context(), nil, func(context.Context, sqlite.Change) error { return nil })
	if !errors.Is(err, pluginapi.ErrBusy) || !strings.Contains(err.Error(), "twice") {
		t.Errorf("second capture: %v", err)
	}
	if err := c.Run(t.Context(), nil, nil); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("run again: %v", err)
	}
	if err := c.Sync(t.Context()); !errors.Is(err, pluginapi.ErrShuttingDown) {
		t.Errorf("sync without a run: %v", err)
	}
	newForeign(t, r.source).fill(3, 100)
	r.same()
}

// A path with letters that mean something in a URI, and one through a link.
func TestOddPath(t *testing.T) {
	r := newRig(t, 4096)
	odd := filepath.Join(r.dir, "a b%20?x=1#é")
	if err := os.Mkdir(odd, 0o700); err != nil {
		t.Fatal(err)
	}
	f := newForeign(t, filepath.Join(odd, "x?.db"))
	f.do("PRAGMA journal_mode=WAL", "CREATE TABLE a(i INTEGER PRIMARY KEY, v)")
	link := filepath.Join(r.dir, "link.db")
	if err := os.Symlink(filepath.Join(odd, "x?.db"), link); err != nil {
		t.Fatal(err)
	}
	r.source = link
	r.start(sqlite.CaptureOptions{})
	f.fill(3, 100)
	r.same()
	if n := r.count(r.copy, "SELECT count(*) FROM a"); n != 3 {
		t.Errorf("%d rows", n)
	}
}

// Another page size is another database: the copy must be made anew.
func TestPageSizeChanged(t *testing.T) {
	r := newRig(t, 4096)
	r.start(sqlite.CaptureOptions{})
	f := newForeign(t, r.source)
	f.fill(3, 5000)
	r.same()
	_ = r.stop()
	f.do("PRAGMA journal_mode=DELETE", "PRAGMA page_size=8192", "VACUUM", "PRAGMA journal_mode=WAL")
	r.start(sqlite.CaptureOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.capture.Sync(ctx); err == nil {
		t.Error("pages of another size went into the copy")
	}
	if err := r.stop(); !errors.Is(err, sqlite.ErrDiverged) || !strings.Contains(err.Error(), "anew") {
		t.Errorf("capture ended with %v", err)
	}
	r.copy += "2"
	r.start(sqlite.CaptureOptions{})
	r.same()
}

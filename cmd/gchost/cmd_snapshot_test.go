package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/replication/snapshot"
)

// store keeps chunks as a host gives them out.
type store map[string][]byte

func (s store) Put(_ context.Context, d [32]byte, data []byte) error {
	s[snapshot.Digest(d).String()] = data
	return nil
}

func (s store) Get(_ context.Context, d [32]byte) ([]byte, error) {
	return s[snapshot.Digest(d).String()], nil
}

// replicated is a platform with a snapshot of some pages.
func replicated(t *testing.T) (p *fakePlatform, content []byte) {
	t.Helper()
	content = bytes.Repeat([]byte("0123456789abcdef"), 3*256) // three pages
	p = platformOf("replicated")
	p.shot.chunks = store{}
	m, err := snapshot.Take(t.Context(), snapshot.Manifest{ID: "s1", Platform: "prod", App: "web", PageSize: 4096, Pages: 3, Time: time.Now()},
		bytes.NewReader(content), nil, store(p.shot.chunks))
	if err != nil {
		t.Fatal(err)
	}
	parts := &control.SnapshotPages{Sum: uint64(m.Sum), Platform: "prod", PageSize: 4096, Pages: 3}
	for _, d := range m.Chunks {
		parts.Digests = append(parts.Digests, d.String())
	}
	p.shot.parts = control.SnapshotAnswer{Snapshots: []control.Snapshot{{ID: "s1"}}, Parts: parts}
	return p, content
}

// TestSnapshotRestore: the file is what the snapshot is, or it is not made; what
// a host says is not believed.
func TestSnapshotRestore(t *testing.T) {
	for what, spoil := range map[string]func(*fakePlatform){
		"": func(*fakePlatform) {},
		"its content is not what its digest says": func(p *fakePlatform) {
			for d := range p.shot.chunks {
				p.shot.chunks[d] = []byte("no")
			}
		},
		"the database has the checksum": func(p *fakePlatform) { p.shot.parts.Parts.Sum++ },
		"is of something else":          func(p *fakePlatform) { p.shot.parts.Snapshots[0].ID = "s2" },
		"chunks for":                    func(p *fakePlatform) { p.shot.parts.Parts.Pages = 1 << 20 },
		"page size":                     func(p *fakePlatform) { p.shot.parts.Parts.PageSize = 3 },
		"it has 3 characters":           func(p *fakePlatform) { p.shot.parts.Parts.Digests[0] = "abc" },
	} {
		t.Run(what, func(t *testing.T) {
			p, content := replicated(t)
			spoil(p)
			dir := t.TempDir()
			path := filepath.Join(dir, "web.db")
			r := execute(t.Context(), p, "snapshot", "restore", "s1", "--app", "web", "--to", path)
			if got, err := os.ReadFile(path); what == "" && (err != nil || len(got) != len(content) || !bytes.Equal(got[4096:], content[4096:])) {
				t.Errorf("%d bytes, %v: %s", len(got), err, r)
			}
			left, err := os.ReadDir(dir)
			if what != "" && (r.exit == exitOK || len(left) > 0 || err != nil || !strings.Contains(r.stderr, what)) {
				t.Errorf("%v %v, %s", left, err, r)
			}
		})
	}
	p, _ := replicated(t)
	path := filepath.Join(t.TempDir(), "web.db-wal")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := execute(t.Context(), p, "snapshot", "restore", "s1", "--app", "web", "--to", strings.TrimSuffix(path, "-wal")); r.exit == exitOK || !strings.Contains(r.stderr, "move it away") {
		t.Error(r)
	}
}

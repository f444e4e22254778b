package host

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestAside: what was kept beside a database is found, also after a restart, and
// nothing else is taken for it.
func TestAside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.db")
	for _, name := range []string{"a.db", "a.db-wal", "a.db.diverged-2", "a.db.diverged-2-wal", "a.db.diverged-2-shm", "a.db.diverged-1", "b.db.diverged-1", "a.db.position"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := aside(path), []string{path + ".diverged-1", path + ".diverged-2"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := aside(filepath.Join(dir, "none", "a.db")); got != nil {
		t.Errorf("%v", got)
	}
}

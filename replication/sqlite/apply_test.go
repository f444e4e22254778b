package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/replication/page"
	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// recorded is a change with its pages, which are its own.
func recorded(c sqlite.Change) sqlite.Change {
	pages := make([]page.Page, len(c.Pages))
	for i, p := range c.Pages {
		pages[i] = page.Page{Number: p.Number, Data: append([]byte(nil), p.Data...)}
	}
	c.Pages = pages
	return c
}

// history records the changes that statements make, each of them one or more
// parts.
func history(t *testing.T, o sqlite.CaptureOptions, sql ...string) (r *rig, parts []sqlite.Change) {
	t.Helper()
	r = newRig(t, 4096)
	r.before = func(c sqlite.Change) { parts = append(parts, recorded(c)) }
	r.start(o)
	r.sync()
	f := newForeign(t, r.source)
	for _, q := range sql {
		f.do(q)
		r.sync()
	}
	r.same()
	_ = r.stop()
	return r, parts
}

const many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200) INSERT INTO a(v) SELECT randomblob(3000) FROM n"

// A change that is damaged, or belongs to another state, is refused, and leaves
// the copy as it was; the right one goes in afterwards.
func TestApplyRefuses(t *testing.T) {
	_, parts := history(t, sqlite.CaptureOptions{}, many, "UPDATE a SET v=1 WHERE i<50", "DELETE FROM a WHERE i>5", "PRAGMA incremental_vacuum")
	last := len(parts) - 1
	if len(parts) != 5 || parts[last].Commit >= parts[last-1].Commit {
		t.Fatalf("%d changes", len(parts))
	}
	spoilt := map[string]struct {
		do func(*sqlite.Change)
		is error
	}{
		"bit":        {func(c *sqlite.Change) { c.Pages[0].Data[1000] ^= 1 }, sqlite.ErrDiverged},
		"pre":        {func(c *sqlite.Change) { c.Pre++ }, sqlite.ErrDiverged},
		"post":       {func(c *sqlite.Change) { c.Post++ }, sqlite.ErrDiverged},
		"missing":    {func(c *sqlite.Change) { c.Pages = c.Pages[:len(c.Pages)-1] }, nil},
		"twice":      {func(c *sqlite.Change) { c.Pages = append(c.Pages, c.Pages[0]) }, sqlite.ErrDamaged},
		"page 0":     {func(c *sqlite.Change) { c.Pages[0].Number = 0 }, sqlite.ErrDamaged},
		"too far":    {func(c *sqlite.Change) { c.Pages[len(c.Pages)-1].Number = c.Commit + 1 }, sqlite.ErrDamaged},
		"lock page":  {func(c *sqlite.Change) { c.Commit, c.Pages[len(c.Pages)-1].Number = 1<<30, 1<<18+1 }, sqlite.ErrDamaged},
		"short page": {func(c *sqlite.Change) { c.Pages[0].Data = c.Pages[0].Data[:512] }, sqlite.ErrDamaged},
		"page size":  {func(c *sqlite.Change) { c.PageSize = 1000 }, sqlite.ErrDamaged},
		"no size":    {func(c *sqlite.Change) { c.Commit = 0 }, sqlite.ErrDamaged},
		"huge":       {func(c *sqlite.Change) { c.Commit = 1<<32 - 1 }, sqlite.ErrDamaged},
		"part":       {func(c *sqlite.Change) { c.Part = 3 }, sqlite.ErrDamaged},
	}
	for name, s := range spoilt {
		copy := filepath.Join(t.TempDir(), "copy.db")
		a, err := sqlite.OpenApplier(t.Context(), copy, sqlite.ApplierOptions{Sync: true})
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range parts {
			before := a.Table().Sum()
			bad := recorded(c)
			s.do(&bad)
			if err := a.Apply(t.Context(), bad); err == nil || s.is != nil && !errors.Is(err, s.is) {
				t.Errorf("change %d, %s: %v", i, name, err)
			}
			if a.Table().Sum() != before {
				t.Errorf("change %d, %s: the table of the copy changed", i, name)
			}
			if err := a.Apply(t.Context(), c); err != nil {
				t.Fatalf("change %d after %s: %v", i, name, err)
			}
		}
		a.Close()
		again, err := sqlite.OpenApplier(t.Context(), copy, sqlite.ApplierOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Table().Sum(); got != parts[last].Post {
			t.Errorf("%s: the copy has the sum %016x, not %016x", name, got, parts[last].Post)
		}
		again.Close()
	}
}

// A change in parts is there as a whole or not at all: not finished, begun
// again, or with the parts of another between.
func TestApplyParts(t *testing.T) {
	r, parts := history(t, sqlite.CaptureOptions{MaxBatch: 64 << 10}, many)
	whole := 0 // parts of the first change
	for parts[whole].More {
		whole++
	}
	whole++
	first, second := parts[:whole], parts[whole:]
	if len(second) < 5 || !second[0].More {
		t.Fatalf("%d parts", len(second))
	}
	path := filepath.Join(r.dir, "parts.db")
	a, err := sqlite.OpenApplier(t.Context(), path, sqlite.ApplierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	put := func(parts ...sqlite.Change) {
		t.Helper()
		for _, c := range parts {
			if err := a.Apply(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(first...)
	put(second[:3]...)
	a.Close() // as a crash: the rest never came
	if a, err = sqlite.OpenApplier(t.Context(), path, sqlite.ApplierOptions{}); err != nil {
		t.Fatal(err)
	}
	if a.Table().Sum() != first[0].Post {
		t.Error("parts of a change are in the copy")
	}
	put(second[:3]...)
	if err := a.Apply(t.Context(), second[4]); !errors.Is(err, sqlite.ErrDamaged) {
		t.Errorf("part left out: %v", err)
	}
	if err := a.Apply(t.Context(), second[3]); !errors.Is(err, sqlite.ErrDamaged) {
		t.Errorf("part after a refusal: %v", err)
	}
	put(second[:2]...)
	put(second...)
	if a.Table().Sum() != second[0].Post {
		t.Error("the change is not in the copy")
	}
	a.Close()
	r.intact(path)
}

// The first change brings the file into being. What is left of an older
// database of that name does not get in.
func TestApplyToNothing(t *testing.T) {
	r, parts := history(t, sqlite.CaptureOptions{}, many)
	path := filepath.Join(r.dir, "new.db")
	for _, end := range []string{"-wal", "-building"} {
		if err := copyFile(r.source+"-wal", path+end); err != nil {
			t.Fatal(err)
		}
	}
	a, err := sqlite.OpenApplier(t.Context(), path, sqlite.ApplierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Apply(t.Context(), parts[1]); !errors.Is(err, sqlite.ErrDiverged) {
		t.Errorf("change without what was before it: %v", err)
	}
	bad := recorded(parts[0])
	bad.Pages[0].Data[50] ^= 1
	if err := a.Apply(t.Context(), bad); !errors.Is(err, sqlite.ErrDiverged) {
		t.Errorf("damaged database: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a damaged database is there: %v", err)
	}
	for _, c := range parts {
		if err := a.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.count(path, "SELECT count(*) FROM a"); n != 200 {
		t.Errorf("%d rows", n)
	}
}

// Nobody else writes to the copy.
func TestApplyKeepsWritersOff(t *testing.T) {
	r := newRig(t, 4096)
	r.start(sqlite.CaptureOptions{})
	r.sync()
	on := newForeign(t, r.copy)
	on.do("PRAGMA busy_timeout=20")
	for range 3 {
		if answer, _ := on.try("INSERT INTO a(v) VALUES(1)"); !strings.Contains(answer, "locked") {
			t.Errorf("a foreign write to the copy: %q", answer)
		}
		newForeign(t, r.source).fill(2, 100)
		r.same()
		if n := on.do("SELECT count(*) FROM a"); n == "0" {
			t.Error("the reader sees nothing")
		}
	}
}

// Who writes to the copy all the same, in the moment around a change, is found.
// A checkpoint of others is no harm.
func TestApplyFindsForeignWrite(t *testing.T) {
	r, parts := history(t, sqlite.CaptureOptions{}, many, "UPDATE a SET v=1 WHERE i<50", "DELETE FROM a WHERE i>5")
	path := filepath.Join(r.dir, "written.db")
	a, err := sqlite.OpenApplier(t.Context(), path, sqlite.ApplierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Apply(t.Context(), parts[0]); err != nil {
		t.Fatal(err)
	}
	on := newForeign(t, path)
	for i, c := range parts[1:3] {
		a.Unseal()
		on.do("PRAGMA wal_checkpoint(TRUNCATE)")
		if err := a.Apply(t.Context(), c); err != nil {
			t.Fatalf("change %d after a checkpoint of others: %v", i, err)
		}
	}
	a.Unseal()
	on.do("UPDATE a SET v=2 WHERE i=3")
	if err := a.Apply(t.Context(), parts[3]); !errors.Is(err, sqlite.ErrWritten) {
		t.Errorf("change after a foreign write: %v", err)
	}
	if err := a.Apply(t.Context(), parts[3]); !errors.Is(err, sqlite.ErrDiverged) {
		t.Errorf("the same change again: %v", err)
	}
	a.Close()
	r.copy = path
	r.start(sqlite.CaptureOptions{}) // the difference mends it
	r.same()
}

// The schema changes with each change; readers of the copy and the connection
// that writes go on.
func TestApplySchemaChanges(t *testing.T) {
	r := newRig(t, 1024)
	r.start(sqlite.CaptureOptions{})
	r.sync()
	f, on := newForeign(t, r.source), newForeign(t, r.copy)
	for i := range 20 {
		f.do(fmt.Sprintf("CREATE TABLE t%d(a PRIMARY KEY, b) WITHOUT ROWID", i), fmt.Sprintf("INSERT INTO t%d VALUES(1, randomblob(3000))", i))
		r.sync()
		if n := on.do(fmt.Sprintf("SELECT length(b) FROM t%d", i)); n != "3000" {
			t.Errorf("table %d: %s", i, n)
		}
		if i%3 == 2 {
			f.do(fmt.Sprintf("DROP TABLE t%d", i-1))
			r.sync()
		}
	}
	r.same()
}

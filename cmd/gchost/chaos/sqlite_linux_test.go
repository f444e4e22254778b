package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSQLite: a service writes a database on three machines while leaders are
// killed, lost with all their processes, frozen and cut off. After each: every
// row that was safe by a barrier is there, all copies are the same, and whole.
func TestSQLite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{machines: true, library: &librarySpec{Rows: true}}).start()
	faults := []struct {
		name string
		do   func(*host) (mend func())
	}{
		{"kill -9 of the host", func(h *host) func() { h.kill(); return h.start }},
		{"loss of the machine", func(h *host) func() { h.vanish(); return func() { w.rebuild(h) } }},
		{"freeze", func(h *host) func() { h.freeze(); return h.thaw }},
		{"link cut", func(h *host) func() {
			for _, o := range w.others(h.name) {
				w.net("cut", h.link(), w.host(o).link())
			}
			return func() { w.net("heal") }
		}},
	}
	for i := range times(6, 60) {
		fault := faults[i%len(faults)]
		safe := w.ledgerOf("")
		w.await(settleTime, "30 more rows are safe", func() bool { return len(w.ledgerOf("")) >= len(safe)+30 })
		victim := w.host(w.hosts[i%3].status().Apps[0].Leader)
		at := w.now()
		mend := fault.do(victim)
		w.await(settleTime, "rows of another leader are safe", func() bool {
			all := w.ledgerOf("")
			return len(all) > 0 && !strings.HasPrefix(all[len(all)-1].tag, victim.name+".")
		})
		t.Logf("%s of %s: rows of another are safe after %v, %d are safe in all", fault.name, victim.name, time.Duration(w.now()-at), len(w.ledgerOf("")))
		mend()
		w.settle()
		w.checkRows()
	}
	aside, err := filepath.Glob(filepath.Join(w.dir, "*", "rows.db.diverged-*Z"))
	t.Logf("kept aside: %d files, %v", len(aside), err)
}

func (h *host) database() string    { return filepath.Join(h.dir, "rows.db") }
func (w *world) ledgerPath() string { return filepath.Join(w.dir, "ledger") }

// ledgerOf returns the rows that are safe, of one node or all.
func (w *world) ledgerOf(node string) (all []row) {
	w.t.Helper()
	text, err := os.ReadFile(w.ledgerPath())
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		r, err := parseRow(strings.TrimSuffix(line, "\n"))
		if err != nil {
			w.t.Fatal(err)
		}
		if node == "" || strings.HasPrefix(r.tag, node+".") {
			all = append(all, r)
		}
	}
	return all
}

// checkRows lets the service stand still, waits until all copies are the same,
// and looks for the rows of the ledger.
func (w *world) checkRows() {
	w.t.Helper()
	pause := filepath.Join(w.gatePath(), "pause")
	if err := os.WriteFile(pause, nil, 0o600); err != nil {
		w.t.Fatal(err)
	}
	var copies [3]map[row]int
	why := ""
	w.awaitOr(settleTime, func() bool {
		why = ""
		for i, h := range w.hosts {
			var err error
			if copies[i], err = h.rows(); err != nil {
				why = fmt.Sprintf("%s: %v", h.name, err)
				return false
			}
		}
		for i := range copies {
			if d := differ(copies[0], copies[i]); d != "" {
				why = fmt.Sprintf("%s and %s differ: %s", w.hosts[0].name, w.hosts[i].name, d)
				return false
			}
		}
		return true
	}, func() string { return why })
	missing := slices.DeleteFunc(w.ledgerOf(""), func(r row) bool { _, there := copies[0][r]; return there })
	if len(missing) > 0 {
		w.t.Errorf("%d rows that were safe are missing: %v", len(missing), missing[:min(10, len(missing))])
	}
	if err := os.Remove(pause); err != nil {
		w.t.Fatal(err)
	}
}

// awaitOr is await with a reason that is known late.
func (w *world) awaitOr(d time.Duration, cond func() bool, why func() string) {
	w.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	late := time.After(d)
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			w.t.Fatalf("not within %v: %s", d, why())
		}
	}
}

// rows reads a copy, with the length of what each row is filled with, and proves
// that it is whole.
func (h *host) rows() (map[row]int, error) {
	db, err := openRows(h.database(), "&mode=ro")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		return nil, fmt.Errorf("integrity: %s %v", verdict, err)
	}
	all, err := db.Query("SELECT n, tag, length(fill) FROM rows")
	if err != nil {
		return nil, err
	}
	defer all.Close()
	out := map[row]int{}
	for all.Next() {
		var r row
		var size int
		if err := all.Scan(&r.n, &r.tag, &size); err != nil {
			return nil, err
		}
		out[r] = size
	}
	return out, all.Err()
}

// differ says how two copies differ, "" if they do not.
func differ(a, b map[row]int) string {
	for r, size := range a {
		if got, there := b[r]; !there || got != size {
			return fmt.Sprintf("row %d of %s; %d and %d rows", r.n, r.tag, len(a), len(b))
		}
	}
	if len(a) != len(b) {
		return fmt.Sprintf("%d and %d rows", len(a), len(b))
	}
	return ""
}

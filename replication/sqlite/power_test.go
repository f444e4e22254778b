package sqlite_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/ozanturksever/go-cluster/replication/page"
	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// sector is what a disk writes whole or not at all.
const sector = 512

// torn is a file of which, behind what was synced, any sectors may have reached
// the disk: of the others there is what was there before, and its end may be
// anywhere.
func torn(r *rand.Rand, before, after []byte, synced int) []byte {
	out := bytes.Clone(after)
	if n := len(out); n > synced && r.IntN(2) == 0 {
		out = out[:synced+r.IntN(n-synced)]
	}
	for at := synced / sector * sector; at < len(out); at += sector {
		if at >= synced && r.IntN(4) == 0 {
			end := min(at+sector, len(out))
			clear(out[at:end])
			if at < len(before) {
				copy(out[at:end], before[at:])
			}
		}
	}
	return out
}

// cut is what a machine has when it comes up again.
func cut(t *testing.T, path string, file, log []byte) {
	t.Helper()
	for end, b := range map[string][]byte{"": file, "-wal": log} {
		if err := os.WriteFile(path+end, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_ = os.Remove(path + "-shm")
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const few = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<40) INSERT INTO a(v) SELECT randomblob(1500) FROM n"

// TestPowerCut: whatever of what was not synced has reached the disk, the copy is
// in one of the states that it was given, never between two, and takes what
// follows from there. While the log is copied into the file no state is lost at
// all, and with Sync none ever.
func TestPowerCut(t *testing.T) {
	var statements []string
	for i := range 3 {
		statements = append(statements, few, "UPDATE a SET v=randomblob(100) WHERE i%7="+strconv.Itoa(i%7), "DELETE FROM a WHERE i%5="+strconv.Itoa(i%5))
	}
	_, parts := history(t, sqlite.CaptureOptions{MaxBatch: 16 << 20}, statements...)
	rounds := 18
	if long() {
		rounds = 1000
	}
	dir := t.TempDir()
	lost := 0
	for round := range rounds {
		r := rand.New(rand.NewPCG(uint64(round), 3))
		path := filepath.Join(dir, strconv.Itoa(round)+".db")
		a, err := sqlite.OpenApplier(t.Context(), path, sqlite.ApplierOptions{Sync: round%3 == 2})
		if err != nil {
			t.Fatal(err)
		}
		last := 1 + r.IntN(len(parts)-1)
		for _, c := range parts[:last+1] {
			if err := a.Apply(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		file, log := content(t, path), content(t, path+"-wal")
		exact := true
		switch round % 3 {
		case 0: // nothing of the log was synced; the system has written some of it by itself
			log, exact = torn(r, nil, log, r.IntN(len(log))), false
		case 1: // the log was synced, and is being copied into the file
			a.Unseal()
			newForeign(t, path).do("PRAGMA wal_checkpoint(PASSIVE)")
			now := content(t, path)
			file = torn(r, file, now, 0)
			if len(file) < len(now) { // the end is set last
				file = append(file, make([]byte, len(now)-len(file))...)
			}
		}
		a.Close()
		cut(t, path, file, log)
		if found := resume(t, path, parts, last); exact && found != last {
			t.Errorf("round %d: the copy is at change %d of %d", round, found, last)
		} else if found < last {
			lost++
		}
	}
	if lost < rounds/10 {
		t.Errorf("in %d of %d rounds something was lost: the power was not cut", lost, rounds)
	}
}

// resume finds the change at which the copy stands, and applies what follows.
func resume(t *testing.T, path string, parts []sqlite.Change, last int) (at int) {
	t.Helper()
	a, err := sqlite.OpenApplier(t.Context(), path, sqlite.ApplierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	at = -1
	var sums []page.Sum
	for i, c := range parts[:last+1] {
		sums = append(sums, c.Post)
		if c.Post == a.Table().Sum() {
			at = i
		}
	}
	if at < 0 {
		t.Fatalf("the copy has the sum %016x, none of %016x", uint64(a.Table().Sum()), sums)
	}
	for _, c := range parts[at+1:] {
		if err := a.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	return at
}

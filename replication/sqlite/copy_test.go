package sqlite_test

import (
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// A program of another language writes at random, with an old SQLite and without
// knowing of us; the copy is the same page by page, and a reader of it never
// sees a transaction half.
func TestStress(t *testing.T) {
	for name, features := range map[string][]string{
		"plain":      {"vacuum"},
		"checkpoint": {"vacuum", "checkpoint"},
		"savepoint":  {"vacuum", "checkpoint", "savepoint"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 4096)
			r.start(sqlite.CaptureOptions{Checkpoint: 1 << 20})
			r.sync()
			end := r.watch()
			one := r.stress(1, 300, features...)
			two := r.stress(2, 300, features...)
			t.Log(strings.ReplaceAll(r.finish(one)+"; "+r.finish(two), "\n", " "))
			r.same()
			if looks := end(); looks == 0 {
				t.Error("the reader did not look once")
			} else {
				t.Logf("%d looks of a reader; %+v", looks, r.capture.Stats())
			}
			r.ends()
		})
	}
}

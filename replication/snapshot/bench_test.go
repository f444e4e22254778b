package snapshot

import (
	"bytes"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"
)

// BenchmarkSnapshot takes and restores a database of 100 MB in a folder.
func BenchmarkSnapshot(b *testing.B) {
	const pages = 25_000
	db := database(rand.New(rand.NewPCG(1, 1)), 4096, pages)
	dir := Dir(b.TempDir())
	m := blank(4096, pages)
	b.Run("take", func(b *testing.B) {
		b.SetBytes(int64(len(db)))
		for b.Loop() {
			var err error
			if m, err = Take(b.Context(), m, bytes.NewReader(db), nil, dir); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("restore", func(b *testing.B) {
		b.SetBytes(int64(len(db)))
		out := b.TempDir()
		n := 0
		for b.Loop() {
			n++
			if err := Restore(b.Context(), m, dir, filepath.Join(out, strconv.Itoa(n))); err != nil {
				b.Fatal(err)
			}
		}
	})
}

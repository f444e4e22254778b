package sqlite

import (
	"github.com/ozanturksever/go-cluster/replication/page"
)

// Change is what one or more transactions made of a database: pages as they are
// after the last of them. A large change comes in parts, one Change each, with
// the same Pre, Post, Commit and TX; it counts only as a whole.
type Change struct {
	Part     int         // from 0; part 0 discards the parts of a change that was not finished
	More     bool        // another part follows
	Pages    []page.Page // by number, each once, normalized; valid until the call that got them returns
	PageSize int         // bytes
	Commit   uint32      // size of the database after the change, in pages
	TX       uint64      // transactions in it; 1 for a difference of pages
	Pre      page.Sum    // of the database before
	Post     page.Sum    // and after
}

// lockPage is the number of the page that SQLite never uses: byte 1 GiB, where
// its locks are, lies in it. It has no hash, and is never part of a change.
func lockPage(pageSize int) uint32 { return uint32(1<<30/pageSize) + 1 }

// Table is the hash of each page of a database, and their sum. Its memory is 8
// bytes for each page.
type Table struct {
	pageSize int
	hashes   []uint64 // of page i+1; 0: the lock page
	sum      page.Sum
}

// NewTable makes a table of the hashes of the pages from 1 on, as Hashes has
// returned them. It keeps the slice.
func NewTable(pageSize int, hashes []uint64) *Table {
	t := &Table{pageSize: pageSize, hashes: hashes}
	for _, h := range hashes {
		t.sum = t.sum.Replace(0, h)
	}
	return t
}

// PageSize is in bytes; 0 of a table of nothing.
func (t *Table) PageSize() int { return t.pageSize }

// Pages is the size of the database in pages.
func (t *Table) Pages() uint32 { return uint32(len(t.hashes)) }

// Sum is the checksum of the database.
func (t *Table) Sum() page.Sum { return t.sum }

// Hashes returns the hash of each page from 1 on, 0 for the one that SQLite
// never uses. It is the table's own slice, not to be changed.
func (t *Table) Hashes() []uint64 { return t.hashes }

// hash of a page; 0 where there is none.
func (t *Table) hash(number uint32) uint64 {
	if number == 0 || uint64(number) > uint64(len(t.hashes)) {
		return 0
	}
	return t.hashes[number-1]
}

// resize makes the table one of so many pages; new ones have no hash yet.
func (t *Table) resize(pages uint32) {
	t.sum = t.sumResized(pages)
	if n := int(pages); n <= len(t.hashes) {
		t.hashes = t.hashes[:n]
	} else {
		t.hashes = append(t.hashes, make([]uint64, n-len(t.hashes))...)
	}
}

// sumResized is the sum that resize would leave.
func (t *Table) sumResized(pages uint32) page.Sum {
	sum := t.sum
	for i := int(pages); i < len(t.hashes); i++ {
		sum = sum.Replace(t.hashes[i], 0)
	}
	return sum
}

// set notes the hash of a page within the size of the table.
func (t *Table) set(number uint32, hash uint64) {
	t.sum = t.sum.Replace(t.hashes[number-1], hash)
	t.hashes[number-1] = hash
}

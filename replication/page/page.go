package page

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// Page is one page of a database.
type Page struct {
	Number uint32 // from 1
	Data   []byte
}

// Bounds of a page's size in bytes; it is a power of two.
const (
	MinSize = 512
	MaxSize = 65536
)

// CheckSize says whether n can be the size of a page.
func CheckSize(n int) error {
	if n < MinSize || n > MaxSize || n&(n-1) != 0 {
		return fmt.Errorf("page size %d: it is a power of two from %d to %d", n, MinSize, MaxSize)
	}
	return nil
}

// Lock is the number of the page that holds byte 1 GiB, where SQLite's locks
// are: it is never used, has no hash and is never part of a change
// (https://www.sqlite.org/fileformat2.html, 1.4).
func Lock(pageSize int) uint32 { return uint32(1<<30/pageSize) + 1 }

// Normalize zeroes, in place, the bytes of page 1 that belong to the engine
// that wrote it and not to the data: the file change counter (24-27) and the
// version-valid-for number with the library's version (92-99). Zero in both
// keeps the header's size field valid (https://www.sqlite.org/fileformat2.html,
// 1.3). Other pages stay as they are.
func Normalize(p Page) {
	if p.Number != 1 || len(p.Data) < 100 {
		return
	}
	clear(p.Data[24:28])
	clear(p.Data[92:100])
}

// Hash is the part of a page in the checksum of its database: XXH64 of its
// number (little endian, 4 bytes) and its data, which must be normalized. It is
// never 0, so that 0 can mean that a page's hash is not known.
func Hash(p Page) uint64 {
	var number [4]byte
	binary.LittleEndian.PutUint32(number[:], p.Number)
	d := xxhash.New()
	d.Write(number[:])
	d.Write(p.Data)
	return max(1, d.Sum64())
}

// Sum is the checksum of a database: the hashes of all its pages in one XOR, so
// that it follows a change by the hashes of the changed pages alone.
type Sum uint64

// Replace follows the change of one page. A hash of 0 stands for a page that is
// not there.
func (s Sum) Replace(old, new uint64) Sum { return s ^ Sum(old) ^ Sum(new) }

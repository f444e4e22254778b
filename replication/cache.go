package replication

import (
	"bytes"

	"github.com/ozanturksever/go-cluster/replication/page"
)

// cacheSize bounds the pages that are kept to tell differences by, in bytes.
const cacheSize = 32 << 20

// cache keeps the last version of pages that changed lately. Which ones is no
// matter of correctness: a page that is not here is sent whole, or read.
type cache struct {
	pages map[uint32][]byte
	bytes int
}

func newCache() *cache { return &cache{pages: map[uint32][]byte{}} }

// get returns a page, or nil.
func (c *cache) get(number uint32) []byte { return c.pages[number] }

// put keeps a copy of a page, and lets go of some other when there are too many.
func (c *cache) put(p page.Page) {
	if old := c.pages[p.Number]; len(old) == len(p.Data) {
		copy(old, p.Data)
		return
	} else if old != nil {
		c.bytes -= len(old)
	}
	for n, old := range c.pages {
		if c.bytes+len(p.Data) <= cacheSize {
			break
		}
		delete(c.pages, n)
		c.bytes -= len(old)
	}
	c.pages[p.Number] = bytes.Clone(p.Data)
	c.bytes += len(p.Data)
}

// truncate lets go of the pages above the size of the database: when it grows
// again they are others.
func (c *cache) truncate(commit uint32) {
	for n, old := range c.pages {
		if n > commit {
			delete(c.pages, n)
			c.bytes -= len(old)
		}
	}
}

package replication

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"time"

	"github.com/ozanturksever/go-cluster/replication/page"
	"github.com/ozanturksever/go-cluster/replication/segment"
	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// pages is what is kept beside a database in <path>.pages: the hashes of its
// pages as the feed had them at some change, so that a primary that begins again
// sends what differs and not all. It is a hint like the position: it counts
// where a change of the feed has the very sum of the hashes.
//
// The file, little endian: "GCP1", page size (4 bytes), number of pages (4), the
// feed's message at or before that change (8), the sum (8), the hash of each
// page (8 each), CRC-32C of all before (4).
type pages struct {
	table *sqlite.Table
	seq   uint64
}

const (
	pagesMagic  = "GCP1"
	pagesHeader = 28
)

// DefaultPagesEvery is the time between two writings of the hashes while changes
// come; they are written at each clean stop as well.
const DefaultPagesEvery = time.Minute

// keepPages writes the file. It is not synced: one that is torn is found by its
// checksum.
func keepPages(path string, p pages) (err error) {
	tmp := path + ".pages.new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("keep hashes of pages: %w", err)
	}
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	buffer := bufio.NewWriterSize(f, 256<<10)
	w := io.MultiWriter(buffer, sum)
	hashes := p.table.Hashes()
	head := append(make([]byte, 0, pagesHeader), pagesMagic...)
	head = binary.LittleEndian.AppendUint32(head, uint32(p.table.PageSize()))
	head = binary.LittleEndian.AppendUint32(head, p.table.Pages())
	head = binary.LittleEndian.AppendUint64(head, p.seq)
	head = binary.LittleEndian.AppendUint64(head, uint64(p.table.Sum()))
	_, err = w.Write(head)
	for len(hashes) > 0 && err == nil {
		n := min(len(hashes), 8192)
		err = binary.Write(w, binary.LittleEndian, hashes[:n])
		hashes = hashes[n:]
	}
	if err == nil {
		err = binary.Write(buffer, binary.LittleEndian, sum.Sum32())
	}
	err = errors.Join(err, buffer.Flush(), f.Close())
	if err == nil {
		err = os.Rename(tmp, path+".pages")
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep hashes of pages: %w", err), os.Remove(tmp))
	}
	return nil
}

// errPages says that the hashes are none.
var errPages = errors.New("file of hashes is damaged")

// keptPages reads the file.
func keptPages(path string) (pages, error) {
	b, err := os.ReadFile(path + ".pages")
	if err != nil {
		return pages{}, err
	}
	if len(b) < pagesHeader+4 || !bytes.HasPrefix(b, []byte(pagesMagic)) {
		return pages{}, errPages
	}
	body, end := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	size, n := int(binary.LittleEndian.Uint32(b[4:])), binary.LittleEndian.Uint32(b[8:])
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != end || page.CheckSize(size) != nil || uint64(len(body)-pagesHeader) != 8*uint64(n) {
		return pages{}, errPages
	}
	hashes := make([]uint64, n)
	for i := range hashes {
		hashes[i] = binary.LittleEndian.Uint64(body[pagesHeader+8*i:])
	}
	p := pages{sqlite.NewTable(size, hashes), binary.LittleEndian.Uint64(b[12:])}
	if uint64(p.table.Sum()) != binary.LittleEndian.Uint64(b[20:]) {
		return pages{}, errPages
	}
	return p, nil
}

// Bounds of what is read of a feed to bring old hashes up to its end.
const (
	pagesMessages = 200_000
	pagesTime     = 20 * time.Second
)

// errNotKnown says that it is not known what the feed has.
var errNotKnown = errors.New("what the feed has cannot be told from the kept hashes")

// recall returns the hashes of the database as the feed has it at its end. Pages
// that the feed has changed since they were kept have no hash; exact says that
// there are none of them.
func recall(ctx context.Context, path string, feed Feed, head Head) (t *sqlite.Table, exact bool, err error) {
	kept, err := keptPages(path)
	if err != nil {
		return nil, false, err
	}
	first, _, err := feed.Bounds(ctx)
	if err != nil {
		return nil, false, err
	}
	if kept.seq == 0 || kept.seq < first || kept.seq > head.LastSeq || head.LastSeq-kept.seq > pagesMessages {
		return nil, false, errNotKnown
	}
	w := walker{sum: kept.table.Sum(), size: kept.table.PageSize(), touched: map[uint32]bool{}, least: kept.table.Pages()}
	ctx, cancel := context.WithTimeout(ctx, pagesTime)
	defer cancel()
	done := false
	err = feed.Follow(ctx, kept.seq, func(m Message) {
		if done {
			return
		}
		w.take(m)
		if w.err != nil || m.Seq >= head.LastSeq {
			done = true
			cancel()
		}
	})
	if err = errors.Join(err, w.err); err != nil {
		return nil, false, err
	}
	if !done || !w.found || !w.whole {
		return nil, false, errNotKnown
	}
	return w.table(kept.table)
}

// walker goes along a feed and notes which pages its changes have.
type walker struct {
	sum     page.Sum // up to the change that ends with it, then the end of the last one
	size    int
	found   bool
	whole   bool // not within a change
	touched map[uint32]bool
	least   uint32 // smallest size of the database since
	err     error
}

func (w *walker) take(m Message) {
	if m.Epoch != 0 {
		return
	}
	s, err := segment.Decode(m.Data)
	switch {
	case err != nil:
		w.err = err
	case !w.found:
		w.found = s.Post == w.sum && s.Part == s.Parts
		w.whole = w.found
	case len(s.Chunks) > 0, s.PageSize != w.size, s.Pre != w.sum:
		w.err = errNotKnown // chunks: pages that are not in the feed
	default:
		w.err = s.Numbers(func(n uint32) { w.touched[n] = true })
		w.least = min(w.least, s.Commit)
		if w.whole = s.Part == s.Parts; w.whole {
			w.sum = s.Post
		}
	}
}

// table takes the hashes away that are not known any more. Without page 1 there
// is always something to send: what is sent must bring the feed's end to where
// the database is.
func (w *walker) table(t *sqlite.Table) (*sqlite.Table, bool, error) {
	if len(w.touched) == 0 {
		return t, true, nil
	}
	w.touched[1] = true
	hashes := t.Hashes()
	for i := range hashes {
		if n := uint32(i + 1); n > w.least || w.touched[n] {
			hashes[i] = 0
		}
	}
	return sqlite.NewTable(t.PageSize(), hashes), false, nil
}

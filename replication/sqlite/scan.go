package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ozanturksever/go-cluster/replication/page"
	"github.com/ozanturksever/go-cluster/replication/wal"
)

// moment is a state of a database that a pin of ours keeps in place.
type moment struct {
	index  wal.Index
	pages  uint32            // size of the database
	frames map[uint32]uint32 // page: the frame with its last version; not in it: the file has it
}

// errMoved says that what a pin kept was gone all the same.
var errMoved = errors.New("pages changed while they were read")

// momentOf reads which pages of a pinned state are in the log. inFile says that
// all of them are in the file and that the log may begin anew at any time.
func (d *database) momentOf(x wal.Index, inFile bool) (moment, error) {
	m := moment{index: x, pages: x.Pages}
	if m.pages == 0 {
		size, err := d.file.size()
		if err != nil {
			return moment{}, err
		}
		m.pages = uint32(size / int64(d.pageSize))
	}
	if inFile {
		return m, nil
	}
	var err error
	m.frames, err = d.framesTo(x.End(), nil)
	return m, err
}

// framesTo maps pages to their last frame up to a position. With want it looks
// for these pages only.
func (d *database) framesTo(end wal.Position, want map[uint32]bool) (map[uint32]uint32, error) {
	frames := make(map[uint32]uint32)
	r := wal.NewReader(d.log, wal.Position{PageSize: d.pageSize})
	r.Trust() // whether they follow from each other was judged before, or cannot be
	for range end.Frame {
		f, err := r.Next(end.Frame)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errMoved, err)
		}
		if want == nil || want[f.Page] {
			frames[f.Page] = f.Number
		}
	}
	return frames, nil
}

// read fills b with a page of the moment, normalized.
func (d *database) read(m moment, number uint32, b []byte) error {
	var err error
	if frame, ok := m.frames[number]; ok {
		_, err = d.log.ReadAt(b, wal.DataOffset(frame, d.pageSize))
	} else {
		err = d.readFile(b, int64(number-1)*int64(d.pageSize))
	}
	if err != nil {
		return fmt.Errorf("read page %d: %w", number, err)
	}
	page.Normalize(page.Page{Number: number, Data: b})
	return nil
}

// readFile reads from the database file. Behind its end are zeros: pages that
// were added and never written.
func (d *database) readFile(b []byte, at int64) error {
	n, err := d.file.ReadAt(b, at)
	clear(b[n:])
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// scanChunk is how much of the file is read at once, in bytes.
const scanChunk = 1 << 20

// scan hashes every page of the moment.
func (d *database) scan(ctx context.Context, m moment) (*Table, error) {
	t := &Table{pageSize: d.pageSize}
	t.resize(m.pages)
	size := d.pageSize
	b := make([]byte, scanChunk)
	one := make([]byte, size)
	for done := uint32(0); done < m.pages; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		first, n := done+1, min(uint32(scanChunk/size), m.pages-done)
		done += n
		if err := d.readFile(b[:int(n)*size], int64(first-1)*int64(size)); err != nil {
			return nil, fmt.Errorf("read pages: %w", err)
		}
		for i := range n {
			p := page.Page{Number: first + i, Data: b[int(i)*size:][:size]}
			if p.Number == lockPage(size) {
				continue
			}
			if _, ok := m.frames[p.Number]; ok {
				p.Data = one
				if err := d.read(m, p.Number, one); err != nil {
					return nil, err
				}
			}
			page.Normalize(p)
			t.set(p.Number, page.Hash(p))
		}
	}
	return t, nil
}

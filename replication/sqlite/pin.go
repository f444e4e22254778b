package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ozanturksever/go-cluster/replication/page"
)

// Pinned is a database as it was at one moment, whatever is applied or written
// meanwhile. It is read as the bytes of its pages, in order. As long as it is
// open the log of the database grows.
type Pinned struct {
	read     func(number uint32) ([]byte, error)
	close    func()
	pageSize int
	pages    uint32
	sum      page.Sum
	next     uint32
	rest     []byte // of the page that is being read
}

// Pin holds the copy as it is. No change may have begun. ctx bounds what is read
// from it. It is to be closed before the applier is.
func (a *Applier) Pin(ctx context.Context) (*Pinned, error) {
	if a.begun != nil || a.d == nil {
		return nil, errors.New("pin copy: there is none, or a change has begun")
	}
	c, err := a.d.conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("pin copy: %w", err)
	}
	if err := begin(ctx, c); err != nil {
		discard(c)
		return nil, fmt.Errorf("pin copy: %w", err)
	}
	t := a.table
	p := &Pinned{pageSize: t.PageSize(), pages: t.Pages(), sum: t.Sum(), next: 1}
	p.close = func() { rollback(c); discard(c) }
	p.read = func(number uint32) (data []byte, err error) {
		err = c.QueryRowContext(ctx, "SELECT data FROM sqlite_dbpage WHERE pgno = ?", number).Scan(&data)
		return data, err
	}
	return p, nil
}

// PageSize is in bytes.
func (p *Pinned) PageSize() int { return p.pageSize }

// Pages is the size in pages.
func (p *Pinned) Pages() uint32 { return p.pages }

// Sum is the checksum.
func (p *Pinned) Sum() page.Sum { return p.sum }

// Read implements [io.Reader].
func (p *Pinned) Read(b []byte) (n int, err error) {
	if len(p.rest) == 0 {
		if p.next > p.pages {
			return 0, io.EOF
		}
		if err := p.load(); err != nil {
			return 0, fmt.Errorf("read page %d: %w", p.next, err)
		}
		p.next++
	}
	n = copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *Pinned) load() error {
	if p.next == page.Lock(p.pageSize) {
		p.rest = make([]byte, p.pageSize)
		return nil
	}
	data, err := p.read(p.next)
	if err != nil {
		return err
	}
	if len(data) != p.pageSize {
		return fmt.Errorf("it has %d bytes, not %d", len(data), p.pageSize)
	}
	p.rest = data
	return nil
}

// Close lets go of the moment.
func (p *Pinned) Close() { p.close() }

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ozanturksever/go-cluster/replication/page"
)

// What can be wrong between a change and the copy that it is meant for. The
// copy is as it was before the change; it needs the difference of pages to the
// original, or to be made anew.
var (
	ErrDiverged = errors.New("change does not belong to this state of the copy")
	ErrWritten  = errors.New("copy was written by another program")
	ErrDamaged  = errors.New("change is damaged")
)

// ApplierOptions are what an Applier can be told. The zero value of each field
// stands for its default.
type ApplierOptions struct {
	// Sync makes each change durable before Apply returns (default: it is
	// durable after the next checkpoint of the copy; a power cut may take the
	// copy some changes back, never into a state between two changes).
	Sync bool
}

// Applier puts changes into a copy of a database, one write transaction each,
// so that programs that read the copy find it between two changes always. While
// it is open no one else can write to the copy. Its methods are for one
// goroutine.
type Applier struct {
	path   string
	o      ApplierOptions
	d      *database // nil: there is no file yet
	c      *sql.Conn
	put    *sql.Stmt
	table  *Table
	seen   int64  // SQLite's number of what others have written
	schema uint32 // SQLite's number of the schema
	stale  bool   // the connection must not be used again
	begun  *pending
}

// pending is a change of which not all parts are here.
type pending struct {
	first  Change // without pages
	parts  int
	hashes map[uint32]uint64
	one    []byte // page 1, which is written last
	last   uint32 // the highest page so far
	build  *building
}

// OpenApplier opens the copy at path. Where there is no file, the first change
// must be a whole database, and brings it into being.
func OpenApplier(ctx context.Context, path string, o ApplierOptions) (*Applier, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find copy: %w", err)
	}
	a := &Applier{path: path, o: o, table: &Table{}}
	if st, err := os.Stat(path); errors.Is(err, os.ErrNotExist) || err == nil && st.Mode().IsRegular() && st.Size() == 0 {
		return a, nil
	}
	if err := a.open(ctx); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

func (a *Applier) open(ctx context.Context) (err error) {
	level := "synchronous(normal)"
	if a.o.Sync {
		level = "synchronous(full)"
	}
	if a.d, err = open(ctx, a.path, true, level, "cache_size(-16000)", "defensive(0)"); err != nil {
		return err
	}
	if err := a.d.lock(ctx, byteWrite, ownWait); err != nil {
		return fmt.Errorf("keep others from writing to %s: %w", a.path, err)
	}
	if err := a.connect(ctx); err != nil {
		return err
	}
	a.table, err = a.rescan(ctx)
	return err
}

// connect takes a new connection to write with. Pages that are written through
// sqlite_dbpage are not what a connection believes to have in its schema: it
// must not read a new one.
func (a *Applier) connect(ctx context.Context) error {
	c, err := a.d.conn(ctx)
	if err != nil {
		return fmt.Errorf("open connection to %s: %w", a.path, err)
	}
	if a.put != nil {
		_ = a.put.Close()
	}
	discard(a.c)
	a.c = c
	if a.put, err = c.PrepareContext(ctx, "INSERT INTO sqlite_dbpage(pgno, data) VALUES(?, ?)"); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if err = c.QueryRowContext(ctx, "PRAGMA schema_version").Scan(&a.schema); err != nil {
		return fmt.Errorf("read schema_version: %w", err)
	}
	a.seen, err = a.version(ctx)
	a.stale = false
	return err
}

// version changes whenever another connection has written.
func (a *Applier) version(ctx context.Context) (n int64, err error) {
	if err = a.c.QueryRowContext(ctx, "PRAGMA data_version").Scan(&n); err != nil {
		err = fmt.Errorf("read data_version: %w", err)
	}
	return n, err
}

// rescan hashes the copy as it is. Others cannot write; a checkpoint of theirs
// moves no page that the pin has.
func (a *Applier) rescan(ctx context.Context) (*Table, error) {
	if err := begin(ctx, a.c); err != nil {
		return nil, fmt.Errorf("pin: %w", err)
	}
	defer rollback(a.c)
	x, err := a.d.index()
	if err != nil {
		return nil, err
	}
	m, err := a.d.momentOf(x, false)
	if err != nil {
		return nil, err
	}
	return a.d.scan(ctx, m)
}

// Table is the hashes of the copy, as of the last change. It is the applier's
// own until Close; then it can be given to Run of a Capture of the same file.
func (a *Applier) Table() *Table { return a.table }

// Close lets go of the copy. A change of which not all parts came is not there.
func (a *Applier) Close() {
	a.abandon()
	if a.put != nil {
		_ = a.put.Close()
	}
	discard(a.c)
	if a.d != nil {
		a.d.close()
	}
	a.d, a.c, a.put = nil, nil, nil
}

// abandon forgets a change that is not finished.
func (a *Applier) abandon() {
	p := a.begun
	a.begun = nil
	switch {
	case p == nil:
	case p.build != nil:
		p.build.remove()
	default:
		rollback(a.c)
		a.stale = true
		a.seal()
	}
}

// seal keeps others from writing until the next change. If one of them was
// faster, the next change finds it.
func (a *Applier) seal() {
	ctx, cancel := context.WithTimeout(context.Background(), sealWait)
	defer cancel()
	_ = a.d.lock(ctx, byteWrite, sealWait)
}

// Apply takes one part of a change. After the last part the change is in the
// copy. After an error the copy is as before the change; the error wraps
// ErrDiverged where Pre or Post is not the sum of the copy, ErrDamaged where the
// change contradicts itself, ErrWritten where another program has written.
func (a *Applier) Apply(ctx context.Context, c Change) error {
	if c.Part == 0 {
		a.abandon()
	}
	err := a.apply(ctx, c)
	if err != nil {
		a.abandon()
		return fmt.Errorf("apply to %s: %w", a.path, err)
	}
	return nil
}

func (a *Applier) apply(ctx context.Context, c Change) error {
	if err := a.check(c); err != nil {
		return err
	}
	if a.begun == nil {
		if err := a.begin(ctx, c); err != nil {
			return err
		}
	}
	p := a.begun
	p.parts++
	for _, pg := range c.Pages {
		if err := a.write(ctx, p, pg); err != nil {
			return fmt.Errorf("write page %d: %w", pg.Number, err)
		}
	}
	if c.More {
		return nil
	}
	return a.finish(ctx, c)
}

// check refuses what contradicts itself or what came before.
func (a *Applier) check(c Change) error {
	if err := page.CheckSize(c.PageSize); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if c.Commit == 0 {
		return fmt.Errorf("%w: a database of no pages", ErrDamaged)
	}
	last := uint32(0)
	if p := a.begun; p != nil {
		f := p.first
		if c.Part != p.parts || c.Pre != f.Pre || c.Post != f.Post || c.Commit != f.Commit || c.PageSize != f.PageSize {
			return fmt.Errorf("%w: part %d does not follow part %d of the change begun", ErrDamaged, c.Part, p.parts-1)
		}
		last = p.last
	} else if c.Part != 0 {
		return fmt.Errorf("%w: part %d without those before it", ErrDamaged, c.Part)
	}
	for _, p := range c.Pages {
		if p.Number <= last || p.Number > c.Commit || p.Number == lockPage(c.PageSize) || len(p.Data) != c.PageSize {
			return fmt.Errorf("%w: page %d of %d bytes after page %d, database of %d pages of %d bytes",
				ErrDamaged, p.Number, len(p.Data), last, c.Commit, c.PageSize)
		}
		last = p.Number
	}
	return nil
}

// begin starts the write transaction.
func (a *Applier) begin(ctx context.Context, c Change) error {
	if c.Pre != a.table.Sum() {
		return fmt.Errorf("%w: its sum before is %016x, the copy has %016x", ErrDiverged, c.Pre, a.table.Sum())
	}
	p := &pending{first: c, hashes: make(map[uint32]uint64)}
	p.first.Pages = nil
	if a.d == nil {
		var err error
		if p.build, err = newBuilding(a.path); err != nil {
			return err
		}
		a.begun = p
		return nil
	}
	if c.PageSize != a.table.PageSize() {
		return fmt.Errorf("%w: its pages have %d bytes, those of the copy %d: make the copy anew", ErrDiverged, c.PageSize, a.table.PageSize())
	}
	if a.stale {
		if err := a.connect(ctx); err != nil {
			return err
		}
	}
	a.d.shm.unlock(byteWrite)
	if _, err := a.c.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		a.seal()
		return fmt.Errorf("begin: %w", err)
	}
	a.begun = p
	return a.unwritten(ctx)
}

// unwritten looks whether others have written. If they have, the copy is hashed
// again: they may have changed nothing that counts.
func (a *Applier) unwritten(ctx context.Context) error {
	n, err := a.version(ctx)
	if err != nil || n == a.seen {
		return err
	}
	x, err := a.d.index()
	if err != nil {
		return err
	}
	m, err := a.d.momentOf(x, false)
	if err != nil {
		return err
	}
	now, err := a.d.scan(ctx, m)
	if err != nil {
		return err
	}
	before := a.table.Sum()
	a.seen, a.table = n, now
	if now.Sum() != before {
		return fmt.Errorf("%w: its sum was %016x and is %016x", ErrWritten, before, now.Sum())
	}
	return nil
}

func (a *Applier) write(ctx context.Context, p *pending, pg page.Page) error {
	p.last = pg.Number
	h := page.Hash(pg)
	if a.table.hash(pg.Number) == h {
		return nil // it is there
	}
	p.hashes[pg.Number] = h
	switch {
	case p.build != nil:
		return p.build.write(pg)
	case pg.Number == 1:
		p.one = append(p.one, pg.Data...)
		return nil
	}
	_, err := a.put.ExecContext(ctx, pg.Number, pg.Data)
	return err
}

// finish checks the change as a whole and commits it.
func (a *Applier) finish(ctx context.Context, c Change) error {
	p := a.begun
	if err := a.checkGrowth(p, c); err != nil {
		return err
	}
	post := a.table.sumResized(c.Commit)
	for n, h := range p.hashes {
		post = post.Replace(a.table.hash(n), h)
	}
	if post != c.Post {
		return fmt.Errorf("%w: the copy would have the sum %016x, the original has %016x", ErrDiverged, post, c.Post)
	}
	if p.build != nil {
		return a.finishBuilding(ctx, p, c)
	}
	cookie, err := a.writeLast(ctx, p.one, c.Commit)
	if err != nil {
		return err
	}
	if _, err := a.c.ExecContext(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	a.begun = nil
	a.note(p, c)
	a.seal()
	a.stale = cookie != a.schema
	return nil
}

// checkGrowth: each new page must be in the change; what it claims in size
// alone costs nothing.
func (a *Applier) checkGrowth(p *pending, c Change) error {
	old, added := a.table.Pages(), uint32(0)
	for n := range p.hashes {
		if n > old {
			added++
		}
	}
	if lock := lockPage(c.PageSize); lock > old && lock <= c.Commit {
		added++
	}
	if c.Commit > old && added != c.Commit-old {
		return fmt.Errorf("%w: it grows the database from %d to %d pages and brings %d of them", ErrDamaged, old, c.Commit, added)
	}
	return nil
}

// note takes the change into the table.
func (a *Applier) note(p *pending, c Change) {
	a.table.pageSize = c.PageSize
	a.table.resize(c.Commit)
	for n, h := range p.hashes {
		a.table.set(n, h)
	}
}

package sqlite

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/ozanturksever/go-cluster/replication/page"
	"github.com/ozanturksever/go-cluster/replication/wal"
)

// version is the last version of a page in a batch.
type version struct {
	hash  uint64
	frame uint32 // 0: it is not in the log, but in the file
	at    int    // in the batch's arena
}

// batch is whole transactions, read from the log.
type batch struct {
	pages   map[uint32]version
	arena   []byte // the pages, normalized
	spilled bool   // too many for the arena: they are read again when they are given out
	size    int    // bytes of pages that were read
	commit  uint32
	tx      uint64
	end     wal.Position
}

func (b *batch) reset() {
	if b.pages == nil || len(b.pages) > 1<<16 {
		b.pages = make(map[uint32]version)
	}
	clear(b.pages)
	b.arena, b.spilled, b.size, b.tx = b.arena[:0], false, 0, 0
}

// triesChain is how often a break in the log is looked at again before it is
// taken for what old versions of SQLite commit.
const triesChain = 6

// follow reads the frames up to what the index says, or up to a batch's size,
// and gives them out. present says that the index is not one of before: whoever
// waits for what it says has waited long enough.
func (c *Capture) follow(ctx context.Context, x wal.Index, present bool) error {
	from := c.at
	if x.Salt != from.Salt || from.Frame == 0 {
		var err error
		if from, err = c.newLog(x); err != nil {
			if c.bad >= triesChain {
				return fmt.Errorf("%w: %w", errMoved, err)
			}
			return err
		}
	}
	trust := c.bad >= triesChain
	if err := c.collect(from, x, trust); err != nil {
		if trust {
			return fmt.Errorf("%w: %w", errMoved, err)
		}
		return err
	}
	if trust {
		if !c.k.holding.Load() {
			return errMoved
		}
		c.stats.trusted.Add(1)
		c.k.needReset.Store(true)
		c.k.wake()
		c.o.Logger.Warn("committed frames without right salts or checksums, taken on trust: the program that writes has a SQLite older than 3.50.4, whose own recovery would lose them; use a newer one",
			"database", c.d.path, "from", from.Frame, "to", x.MaxFrame)
	}
	if err := c.addGrown(); err != nil {
		return err
	}
	whole := present && c.batch.end.Frame == x.MaxFrame
	if !c.batch.spilled {
		c.readTo(whole)
	}
	if err := c.giveBatch(ctx); err != nil {
		return err
	}
	if c.batch.spilled {
		c.readTo(whole)
	}
	if whole {
		release(&c.giving)
	}
	return nil
}

// readTo notes that the log is not needed any more up to the batch's end.
func (c *Capture) readTo(whole bool) {
	end := c.batch.end
	c.at = end
	c.k.read.Store(&end)
	if whole {
		release(&c.reading)
	}
}

// newLog is the start of a log that has begun anew.
func (c *Capture) newLog(x wal.Index) (wal.Position, error) {
	var b [wal.HeaderSize]byte
	if _, err := c.d.log.ReadAt(b[:], 0); err != nil {
		return wal.Position{}, fmt.Errorf("%w: %w", wal.ErrHeader, err)
	}
	h, err := wal.ParseHeader(b[:])
	if err != nil {
		return wal.Position{}, err
	}
	if h.Salt != x.Salt || h.PageSize != c.d.pageSize {
		return wal.Position{}, fmt.Errorf("%w: it has salt %08x and page size %d, the index %08x and %d",
			wal.ErrHeader, h.Salt, h.PageSize, x.Salt, c.d.pageSize)
	}
	return h.Start(), nil
}

// collect reads a batch. On trust it reads all up to the index, since only
// there the chain can be taken up again.
func (c *Capture) collect(from wal.Position, x wal.Index, trust bool) error {
	b := &c.batch
	b.reset()
	c.reader.Reset(from)
	if trust {
		c.reader.Trust()
	}
	for c.reader.Position().Frame < x.MaxFrame {
		f, err := c.reader.Next(x.MaxFrame)
		if err != nil {
			return err
		}
		b.add(f, 2*c.o.MaxBatch)
		if f.Commit == 0 {
			continue
		}
		b.tx, b.commit = b.tx+1, f.Commit
		if b.size >= c.o.MaxBatch && !trust {
			break
		}
	}
	b.end = c.reader.Position()
	if b.end.Frame != x.MaxFrame {
		return nil
	}
	if trust {
		b.end = x.End()
	}
	if b.end.Sum != x.Sum {
		return fmt.Errorf("%w: frame %d ends it with %08x, the index says %08x", wal.ErrChain, b.end.Frame, b.end.Sum, x.Sum)
	}
	if b.commit != x.Pages {
		return fmt.Errorf("%w: frame %d commits %d pages, the index %d", wal.ErrChain, b.end.Frame, b.commit, x.Pages)
	}
	return nil
}

// add takes a frame, which is the newest version of its page.
func (b *batch) add(f wal.Frame, most int) {
	b.size += len(f.Data)
	at := len(b.arena)
	if old, ok := b.pages[f.Page]; ok && !b.spilled {
		at = old.at
	}
	if at == len(b.arena) {
		b.arena = append(b.arena, f.Data...)
	}
	data := b.arena[at : at+len(f.Data)]
	copy(data, f.Data)
	p := page.Page{Number: f.Page, Data: data}
	page.Normalize(p)
	b.pages[f.Page] = version{hash: page.Hash(p), frame: f.Number, at: at}
	if len(b.arena) > most {
		b.spilled = true
	}
	if b.spilled {
		b.arena = b.arena[:0]
	}
}

// addGrown adds pages that the database grew by and no transaction wrote (they
// are on its list of free pages): they are what SQLite would read there.
func (c *Capture) addGrown() error {
	b := &c.batch
	var want map[uint32]bool
	for n := c.table.Pages() + 1; n <= b.commit && n > 0; n++ {
		if _, ok := b.pages[n]; ok || n == lockPage(c.d.pageSize) {
			continue
		}
		if want == nil {
			want = make(map[uint32]bool)
		}
		want[n] = true
	}
	if want == nil {
		return nil
	}
	end := b.end
	frames, err := c.d.framesTo(end, want)
	if err != nil {
		return err
	}
	m := moment{frames: frames}
	data := make([]byte, c.d.pageSize)
	for n := range want {
		if err := c.d.read(m, n, data); err != nil {
			return fmt.Errorf("%w: %w", errMoved, err)
		}
		v := version{hash: page.Hash(page.Page{Number: n, Data: data}), frame: frames[n], at: len(b.arena)}
		if !b.spilled {
			b.arena = append(b.arena, data...)
		}
		b.pages[n] = v
	}
	if !c.k.holding.Load() {
		return errMoved
	}
	return nil
}

// giveBatch gives the batch out as one change.
func (c *Capture) giveBatch(ctx context.Context) error {
	b := &c.batch
	numbers := slices.Sorted(maps.Keys(b.pages))
	numbers = slices.DeleteFunc(numbers, func(n uint32) bool {
		return n > b.commit || n == lockPage(c.d.pageSize) || b.pages[n].hash == c.table.hash(n)
	})
	ch := Change{PageSize: c.d.pageSize, Commit: b.commit, TX: b.tx, Pre: c.table.Sum()}
	ch.Post = c.table.sumResized(b.commit)
	for _, n := range numbers {
		ch.Post = ch.Post.Replace(c.table.hash(n), b.pages[n].hash)
	}
	err := c.give(ctx, ch, numbers, func(n uint32, buf []byte) ([]byte, error) {
		v := b.pages[n]
		if !b.spilled {
			return b.arena[v.at:][:c.d.pageSize], nil
		}
		return buf, c.readAgain(n, v, buf)
	})
	if err != nil {
		return err
	}
	c.table.pageSize = c.d.pageSize
	c.table.resize(b.commit)
	for _, n := range numbers {
		c.table.set(n, b.pages[n].hash)
	}
	return nil
}

// readAgain reads a page that was read before, and must be the same.
func (c *Capture) readAgain(number uint32, v version, buf []byte) error {
	m := moment{}
	if v.frame > 0 {
		m.frames = map[uint32]uint32{number: v.frame}
	}
	if err := c.d.read(m, number, buf); err != nil {
		return fmt.Errorf("%w: %w", errMoved, err)
	}
	if page.Hash(page.Page{Number: number, Data: buf}) != v.hash {
		return fmt.Errorf("%w: page %d", errMoved, number)
	}
	return nil
}

// give hands a change out in parts of MaxBatch bytes. read returns a page, in
// buf or elsewhere. A change that changes nothing is not handed out.
func (c *Capture) give(ctx context.Context, ch Change, numbers []uint32, read func(number uint32, buf []byte) ([]byte, error)) error {
	if len(numbers) == 0 && ch.Commit == c.table.Pages() && ch.PageSize == c.table.PageSize() {
		return nil
	}
	perPart := max(1, c.o.MaxBatch/ch.PageSize)
	total := len(numbers)
	for ch.More = true; ch.More; ch.Part++ {
		n := min(perPart, len(numbers))
		if need := n * ch.PageSize; len(c.out) < need {
			c.out = make([]byte, need)
		}
		ch.Pages = ch.Pages[:0]
		for i, number := range numbers[:n] {
			data, err := read(number, c.out[i*ch.PageSize:][:ch.PageSize])
			if err != nil {
				return err
			}
			ch.Pages = append(ch.Pages, page.Page{Number: number, Data: data})
		}
		numbers = numbers[n:]
		ch.More = len(numbers) > 0
		if err := c.emit(ctx, ch); err != nil {
			return emitError{err}
		}
	}
	c.stats.changes.Add(1)
	c.stats.transactions.Add(ch.TX)
	c.stats.pages.Add(uint64(total))
	return nil
}

package replication

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/replication/flow"
	"github.com/ozanturksever/go-cluster/replication/page"
	"github.com/ozanturksever/go-cluster/replication/segment"
	"github.com/ozanturksever/go-cluster/replication/snapshot"
	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

const messageSize = 512 << 10 // of one message's body; a message holds one page at least

// DefaultLarge is the size of a change, in bytes of its messages before
// compression, above which it is stored in chunks first.
const DefaultLarge = 24 << 20

// encoder makes messages of the changes that a capture gives out.
type encoder struct {
	epoch  uint64
	tx     uint64 // last transaction
	cache  *cache
	commit uint32
	sum    page.Sum // of the database after the last transaction
	chunks snapshot.Store
	large  int
	now    func() time.Time
	whole  page.Sum // the next change is the whole database, for copies with this checksum; 0: it is not

	open   *segment.Encoder // a change of which not all parts are here
	header segment.Header
	names  []segment.Chunk
	stored uint64 // bytes of chunks, until they are counted
}

// add takes one part of a change, and returns the change and its messages when
// it was the last.
func (e *encoder) add(ctx context.Context, c sqlite.Change) (ch flow.Change, messages [][]byte, err error) {
	if c.Part == 0 {
		if err := e.begin(c); err != nil {
			return ch, nil, err
		}
	}
	for _, p := range c.Pages {
		if err := e.open.Add(p); err != nil {
			return ch, nil, err
		}
		e.cache.put(p)
	}
	if e.open.Size() > e.large || len(e.names) > 0 {
		if err := e.store(ctx, !c.More); err != nil {
			return ch, nil, err
		}
	}
	if c.More {
		return ch, nil, nil
	}
	if len(e.names) > 0 {
		var m []byte
		m, err = segment.Chunked(e.header, e.names)
		messages = [][]byte{m}
	} else {
		messages, err = e.open.Messages()
	}
	ch = changeOf(e.header)
	for _, m := range messages {
		ch.Bytes += len(m)
	}
	e.tx, e.sum, e.whole, e.open, e.names = e.header.Last, e.header.Post, 0, nil, nil
	return ch, messages, err
}

func (e *encoder) begin(c sqlite.Change) (err error) {
	if c.Commit < e.commit {
		e.cache.truncate(c.Commit)
	}
	e.commit = c.Commit
	e.header = segment.Header{
		Epoch: e.epoch, First: e.tx + 1, Last: e.tx + max(1, c.TX), Time: e.now().UnixMilli(),
		PageSize: c.PageSize, Commit: c.Commit, Pre: c.Pre, Post: c.Post,
	}
	e.names = nil
	if e.open != nil { // a change that the capture has broken off: nobody has its pages
		e.cache = newCache()
	}
	prev := e.cache.get
	if e.whole != 0 {
		e.header.Pre, prev = e.whole, nil
	}
	e.open, err = segment.NewEncoder(e.header, prev, messageSize)
	return err
}

// store puts what is complete into the store of chunks.
func (e *encoder) store(ctx context.Context, end bool) error {
	for _, m := range e.open.TakeChunks(end) {
		c := segment.Chunk{Digest: sha256.Sum256(m), Size: len(m)}
		if err := e.chunks.Put(ctx, c.Digest, m); err != nil {
			return fmt.Errorf("store a large change: %w", err)
		}
		e.names = append(e.names, c)
		e.stored += uint64(c.Size)
	}
	return nil
}

// takeStored returns the bytes that were stored in chunks since the last time.
func (e *encoder) takeStored() (n uint64) {
	n, e.stored = e.stored, 0
	return n
}

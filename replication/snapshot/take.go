package snapshot

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/klauspost/compress/s2"
	"golang.org/x/sync/errgroup"

	"github.com/ozanturksever/go-cluster/replication/page"
)

// Store keeps chunks under their digests. Its methods are called at the same
// time.
type Store interface {
	// Put stores a chunk. Storing it again does nothing.
	Put(ctx context.Context, d [sha256.Size]byte, data []byte) error
	// Get returns what was stored. Whoever asks compares the digest.
	Get(ctx context.Context, d [sha256.Size]byte) ([]byte, error)
}

// workers is how many chunks are on their way at a time.
const workers = 8

// Take stores a database that is read from src, page after page, and fills in
// the manifest's chunks and checksum; its page size and number of pages are
// given. Chunks that last has are there already and not stored again; last may
// be nil. What is read is normalized, see [page.Normalize]. The manifest is to be
// stored afterwards, and within [Grace].
//
// # Errors
//
// Those of src and store.
func Take(ctx context.Context, m Manifest, src io.Reader, last *Manifest, store Store) (Manifest, error) {
	known := map[Digest]bool{}
	if last != nil {
		for _, d := range last.Chunks {
			known[d] = true
		}
	}
	group, work := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	m.Format = format
	m.Chunks, m.Sum = make([]Digest, chunkCount(m.Size())), 0
	for i := range m.Chunks {
		data := make([]byte, m.chunkLen(i))
		if _, err := io.ReadFull(src, data); err != nil {
			_ = group.Wait()
			return m, fmt.Errorf("take snapshot: read chunk %d of %d: %w", i, len(m.Chunks), err)
		}
		m.Sum = sumOf(data, i, m.PageSize, m.Sum)
		group.Go(func() error {
			m.Chunks[i] = sha256.Sum256(data)
			if known[m.Chunks[i]] {
				return nil
			}
			if err := store.Put(work, m.Chunks[i], s2.Encode(nil, data)); err != nil {
				return fmt.Errorf("store chunk %d of %d: %w", i, len(m.Chunks), err)
			}
			return nil
		})
		if work.Err() != nil {
			break
		}
	}
	if err := cmp.Or(group.Wait(), ctx.Err()); err != nil {
		return m, fmt.Errorf("take snapshot: %w", err)
	}
	return m, nil
}

// sumOf normalizes the pages of chunk i and adds them to the checksum.
func sumOf(data []byte, i, pageSize int, sum page.Sum) page.Sum {
	first := i * (ChunkSize / pageSize)
	for at := 0; at < len(data); at += pageSize {
		p := page.Page{Number: uint32(first + at/pageSize + 1), Data: data[at : at+pageSize]}
		if p.Number == page.Lock(pageSize) {
			continue
		}
		page.Normalize(p)
		sum = sum.Replace(0, page.Hash(p))
	}
	return sum
}

package snapshot

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/klauspost/compress/s2"
	"golang.org/x/sync/errgroup"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication/page"
)

// errDamaged is what is wrong with a chunk whose content has another digest.
var errDamaged = errors.New("its content is not what its digest says")

// Restore makes the database of a snapshot at path, where nothing may be: it is
// written beside it, checked as a whole, synced, and renamed. When it returns an
// error nothing is left.
//
// # Errors
//
// [pluginapi.ErrKeyExists] when there is something at path, its -wal or -shm;
// those of the store and of the disk.
func Restore(ctx context.Context, m Manifest, store Store, path string) error {
	if err := m.check(); err != nil {
		return fmt.Errorf("restore snapshot: %w: %w", pluginapi.ErrInvalid, err)
	}
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if _, err := os.Lstat(path + suffix); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("restore snapshot: %w: %s is there: stop what uses it and move it away, or restore to another path", pluginapi.ErrKeyExists, path+suffix)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".restore-*")
	if err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	err = fetch(ctx, m, store, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("restore snapshot: %w", errors.Join(err, os.Remove(f.Name())))
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	return nil
}

// Verify reads the whole snapshot and compares every digest and the checksum.
func Verify(ctx context.Context, m Manifest, store Store) error {
	if err := m.check(); err != nil {
		return fmt.Errorf("verify snapshot: %w: %w", pluginapi.ErrInvalid, err)
	}
	if err := fetch(ctx, m, store, nowhere{}); err != nil {
		return fmt.Errorf("verify snapshot: %w", err)
	}
	return nil
}

// nowhere takes what is only to be checked.
type nowhere struct{}

func (nowhere) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }

// fetch writes all chunks and compares the checksum of the whole.
func fetch(ctx context.Context, m Manifest, store Store, to io.WriterAt) error {
	group, work := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	var mu sync.Mutex
	var sum page.Sum
	for i := range m.Chunks {
		if work.Err() != nil {
			break
		}
		group.Go(func() error {
			data, err := fetchChunk(work, m, store, i)
			if err != nil {
				return fmt.Errorf("chunk %d of %d, %s: %w", i, len(m.Chunks), m.Chunks[i], err)
			}
			part := sumOf(data, i, m.PageSize, 0)
			mu.Lock()
			sum ^= part
			mu.Unlock()
			_, err = to.WriteAt(data, int64(i)*ChunkSize)
			return err
		})
	}
	if err := cmp.Or(group.Wait(), ctx.Err()); err != nil {
		return err
	}
	if sum != m.Sum {
		return fmt.Errorf("the database has the checksum %x, its manifest says %x", uint64(sum), uint64(m.Sum))
	}
	return nil
}

// Page is a page of a snapshot, with its hash.
type Page struct {
	page.Page
	Hash uint64
}

// Each calls fn with the pages of a snapshot, chunk after chunk, in order; last
// says that it was the last time. fn may keep the pages. The page that SQLite
// never uses is left out.
func Each(ctx context.Context, m Manifest, store Store, fn func(pages []Page, last bool) error) error {
	if err := m.check(); err != nil {
		return fmt.Errorf("read snapshot: %w: %w", pluginapi.ErrInvalid, err)
	}
	per := uint32(ChunkSize / m.PageSize)
	for i := range m.Chunks {
		data, err := fetchChunk(ctx, m, store, i)
		if err != nil {
			return fmt.Errorf("read snapshot: chunk %d of %d, %s: %w", i, len(m.Chunks), m.Chunks[i], err)
		}
		var pages []Page
		for at := 0; at < len(data); at += m.PageSize {
			p := page.Page{Number: uint32(i)*per + uint32(at/m.PageSize) + 1, Data: data[at : at+m.PageSize]}
			if p.Number != page.Lock(m.PageSize) {
				pages = append(pages, Page{p, page.Hash(p)})
			}
		}
		if err := fn(pages, i == len(m.Chunks)-1); err != nil {
			return err
		}
	}
	return nil
}

func fetchChunk(ctx context.Context, m Manifest, store Store, i int) ([]byte, error) {
	stored, err := store.Get(ctx, m.Chunks[i])
	if err != nil {
		return nil, err
	}
	if n, err := s2.DecodedLen(stored); err != nil || n != m.chunkLen(i) {
		return nil, errDamaged
	}
	data, err := s2.Decode(nil, stored)
	if err != nil || sha256.Sum256(data) != m.Chunks[i] {
		return nil, errDamaged
	}
	return data, nil
}

// syncDir makes a rename last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

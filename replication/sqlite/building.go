package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ozanturksever/go-cluster/replication/page"
)

// building is a copy that comes into being: a file beside its place, which is
// moved there when it is whole.
type building struct {
	f    *os.File
	path string // where it will be
}

const buildingSuffix = "-building"

func newBuilding(path string) (*building, error) {
	name := path + buildingSuffix
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove what is left of an earlier attempt: %w", err)
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make copy: %w", err)
	}
	return &building{f: f, path: path}, nil
}

func (b *building) write(p page.Page) error {
	_, err := b.f.WriteAt(p.Data, int64(p.Number-1)*int64(len(p.Data)))
	return err
}

func (b *building) remove() {
	_ = b.f.Close()
	_ = os.Remove(b.f.Name())
}

// place makes the file durable, then moves it. A log or an index that is left
// over of an older database of that name would be taken for its own.
func (b *building) place(size int64) error {
	if err := b.f.Truncate(size); err != nil {
		return err
	}
	if err := b.f.Sync(); err != nil {
		return err
	}
	for _, end := range []string{"-wal", "-shm", "-journal"} {
		if err := os.Remove(b.path + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(b.f.Name(), b.path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(b.path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return err
	}
	return b.f.Close()
}

// finishBuilding opens what was built, and looks whether it is what it should be.
func (a *Applier) finishBuilding(ctx context.Context, p *pending, c Change) error {
	if err := p.build.place(int64(c.Commit) * int64(c.PageSize)); err != nil {
		return fmt.Errorf("put copy in its place: %w", err)
	}
	a.begun = nil
	if err := a.open(ctx); err != nil {
		return err
	}
	if a.table.Sum() != c.Post {
		return fmt.Errorf("%w: the copy has the sum %016x, the original has %016x", ErrDamaged, a.table.Sum(), c.Post)
	}
	return nil
}

package snapshot

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Dir keeps chunks in a folder: Dir/ab/<digest>. It can be a folder of a file
// system that is backed up.
type Dir string

// Put implements [Store]. The file is complete or not there.
func (dir Dir) Put(_ context.Context, d [sha256.Size]byte, data []byte) error {
	path := dir.path(d)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("put chunk: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "new-*")
	if err != nil {
		return fmt.Errorf("put chunk: %w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("put chunk: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// Get implements [Store].
func (dir Dir) Get(_ context.Context, d [sha256.Size]byte) ([]byte, error) {
	data, err := os.ReadFile(dir.path(d))
	if err != nil {
		return nil, fmt.Errorf("get chunk: %w", err)
	}
	return data, nil
}

func (dir Dir) path(d Digest) string {
	name := d.String()
	return filepath.Join(string(dir), name[:2], name)
}

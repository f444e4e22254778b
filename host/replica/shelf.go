package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication/snapshot"
)

// maxManifest bounds a manifest in bytes: that of a database of 100 GB has 110 MB.
const maxManifest = 128 << 20

// Shelf keeps the manifests of an app's snapshots in the platform's object
// store, under snapshot.<app>.<id>.
type Shelf struct {
	b   *bus.Blobs
	app string
	log *slog.Logger
}

// NewShelf returns the shelf of an app.
func NewShelf(b *bus.Blobs, app string, log *slog.Logger) Shelf { return Shelf{b, app, log} }

func (s Shelf) prefix() string { return "snapshot." + s.app + "." }

// List implements [replication.Shelf]. A manifest that cannot be read, or is
// another app's, is logged and left out.
func (s Shelf) List(ctx context.Context) (all []snapshot.Manifest, err error) {
	infos, err := s.b.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list snapshots of %s: %w", s.app, err)
	}
	for _, in := range infos {
		if !strings.HasPrefix(in.Name, s.prefix()) {
			continue
		}
		m, err := s.get(ctx, in)
		switch {
		case errors.Is(err, pluginapi.ErrInvalid):
			s.log.Warn("manifest of a snapshot", "name", in.Name, "err", err)
		case errors.Is(err, bus.ErrBlobNotFound): // deleted meanwhile
		case err != nil:
			return nil, fmt.Errorf("list snapshots of %s: %w", s.app, err)
		default:
			all = append(all, m)
		}
	}
	return all, nil
}

// Get returns a manifest.
//
// # Errors
//
// [pluginapi.ErrKeyNotFound]; [pluginapi.ErrInvalid] when it is none of this app.
func (s Shelf) Get(ctx context.Context, id string) (snapshot.Manifest, error) {
	infos, err := s.b.List(ctx)
	if err != nil {
		return snapshot.Manifest{}, err
	}
	for _, in := range infos {
		if in.Name == s.prefix()+id {
			return s.get(ctx, in)
		}
	}
	return snapshot.Manifest{}, pluginapi.ErrKeyNotFound
}

func (s Shelf) get(ctx context.Context, in bus.BlobInfo) (m snapshot.Manifest, err error) {
	if in.Size > maxManifest {
		return m, fmt.Errorf("%w: it has %d bytes", pluginapi.ErrInvalid, in.Size)
	}
	r, err := s.b.Get(ctx, in.Name)
	if err != nil {
		return m, err
	}
	data, err := io.ReadAll(io.LimitReader(r, maxManifest))
	if err = errors.Join(err, r.Close()); err != nil {
		return m, err
	}
	if m, err = snapshot.Decode(data); err != nil {
		return m, err
	}
	if s.prefix()+m.ID != in.Name || m.App != s.app {
		return m, fmt.Errorf("%w: it says that it is %s of app %s", pluginapi.ErrInvalid, m.ID, m.App)
	}
	return m, nil
}

// Put implements [replication.Shelf]. A manifest with the same id is replaced.
func (s Shelf) Put(ctx context.Context, m snapshot.Manifest) error {
	data, err := m.Encode()
	if err == nil {
		_, _, err = s.b.Put(ctx, s.prefix()+m.ID, bytes.NewReader(data))
	}
	if err != nil {
		return fmt.Errorf("put manifest of snapshot %s: %w", m.ID, err)
	}
	return nil
}

// Forget removes a manifest.
func (s Shelf) Forget(ctx context.Context, id string) error {
	if err := s.b.Delete(ctx, s.prefix()+id); err != nil && !errors.Is(err, bus.ErrBlobNotFound) {
		return fmt.Errorf("forget snapshot %s: %w", id, err)
	}
	return nil
}

package catalog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// MaxUploads is how many packages may be on their way to a node at once.
const MaxUploads = 4

// MaxPiece is the largest piece of an upload, in bytes.
const MaxPiece = 512 << 10

// uploads are packages on their way from the command line to this node.
type uploads struct {
	dir  string
	idle time.Duration

	mu   sync.Mutex
	open map[string]*upload
}

type upload struct {
	file *os.File
	size int64 // that it is going to have
	at   int64
	last time.Time
	busy bool // it is being used by somebody
}

func newUploads(dir string, idle time.Duration) *uploads {
	return &uploads{dir: dir, idle: idle, open: map[string]*upload{}}
}

// run forgets uploads that do not go on, and all of them when ctx ends.
func (u *uploads) run(ctx context.Context) {
	tick := time.NewTicker(max(u.idle/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			u.expire(0)
			return
		case <-tick.C:
			u.expire(u.idle)
		}
	}
}

func (u *uploads) expire(idle time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, up := range u.open {
		if !up.busy && time.Since(up.last) >= idle {
			delete(u.open, id)
			up.drop()
		}
	}
}

func (up *upload) drop() {
	up.file.Close()
	os.Remove(up.file.Name())
}

// begin makes room for a package of so many bytes and returns its id.
func (u *uploads) begin(size int64) (id string, err error) {
	if size <= 0 || size > plan.MaxPackage {
		return "", fmt.Errorf("%w: a package of %d bytes: allowed are 1 to %d", pluginapi.ErrTooLarge, size, int64(plan.MaxPackage))
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.open) >= MaxUploads {
		return "", fmt.Errorf("%w: %d packages are on their way to this node already: try again in a minute", pluginapi.ErrBusy, len(u.open))
	}
	id = rand.Text()
	f, err := os.OpenFile(filepath.Join(u.dir, "upload-"+id), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return "", fmt.Errorf("store upload: %w", err)
	}
	u.open[id] = &upload{file: f, size: size, last: time.Now()}
	return id, nil
}

// piece takes the bytes from offset on. One that was taken before is taken again:
// its answer may have been lost.
func (u *uploads) piece(id string, offset int64, data []byte) error {
	up, err := u.take(id)
	if err != nil {
		return err
	}
	defer u.give(id, up, false)
	switch {
	case len(data) == 0 || len(data) > MaxPiece:
		return fmt.Errorf("%w: a piece of %d bytes: allowed are 1 to %d", pluginapi.ErrInvalid, len(data), MaxPiece)
	case offset < 0 || offset > up.at || offset+int64(len(data)) > up.size:
		return fmt.Errorf("%w: a piece of %d bytes at %d: %d of %d bytes are here", pluginapi.ErrInvalid, len(data), offset, up.at, up.size)
	}
	if _, err := up.file.WriteAt(data, offset); err != nil {
		return fmt.Errorf("store upload: %w", err)
	}
	up.at = max(up.at, offset+int64(len(data)))
	return nil
}

// whole hands the file of a complete upload to fn, and forgets it.
func (u *uploads) whole(id string, fn func(path string) error) error {
	up, err := u.take(id)
	if err != nil {
		return err
	}
	defer u.give(id, up, true)
	if up.at != up.size {
		return fmt.Errorf("%w: %d of %d bytes of the package are here", pluginapi.ErrInvalid, up.at, up.size)
	}
	return fn(up.file.Name())
}

func (u *uploads) take(id string) (*upload, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	up := u.open[id]
	switch {
	case up == nil:
		return nil, fmt.Errorf("%w: no upload %.40q on this node: begin again", pluginapi.ErrInvalid, id)
	case up.busy:
		return nil, fmt.Errorf("%w: another piece of upload %.40q is being stored", pluginapi.ErrBusy, id)
	}
	up.busy = true
	return up, nil
}

func (u *uploads) give(id string, up *upload, over bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	up.busy, up.last = false, time.Now()
	if over {
		delete(u.open, id)
		up.drop()
	}
}

// Begin makes room on this node for a package of so many bytes, and returns an
// id for [Catalog.Piece] and [Catalog.Install].
//
// # Errors
//
// ErrTooLarge, ErrBusy.
func (c *Catalog) Begin(ctx context.Context, size int64) (id string, err error) {
	if err := c.running(ctx); err != nil {
		return "", err
	}
	return c.uploads.begin(size)
}

// Piece takes the bytes of a package from offset on, at most [MaxPiece] of them.
//
// # Errors
//
// ErrInvalid, ErrBusy.
func (c *Catalog) Piece(ctx context.Context, id string, offset int64, data []byte) error {
	if err := c.running(ctx); err != nil {
		return err
	}
	return c.uploads.piece(id, offset, data)
}

// Install installs the plugin in an upload, or with upgrade begins to replace the
// version that is there. It returns when the platform knows what is wanted; what
// comes of it is shown by [Catalog.List].
//
// # Errors
//
// What is wrong with the package; ErrUnauthorized, ErrNotGranted; and as of
// [plan.Plugin.Install] and [plan.Plugin.Upgrade].
func (c *Catalog) Install(ctx context.Context, id string, upgrade bool) (p plan.Plugin, err error) {
	if err := c.running(ctx); err != nil {
		return plan.Plugin{}, err
	}
	err = c.uploads.whole(id, func(path string) error {
		p, err = c.InstallFile(ctx, path, upgrade)
		return err
	})
	return p, err
}

// tryOut loads a plugin here, without giving it any work. One that cannot do
// without a config is loaded when an app uses it.
func (c *Catalog) tryOut(ctx context.Context, path string, p opened) error {
	inst, err := c.load(ctx, path, p, Use{})
	if errors.Is(err, errNeedsConfig) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	return errors.Join(inst.Close(ctx))
}

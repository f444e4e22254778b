package catalog

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// InstallFile is Install with a package on this machine. The package is verified
// here as every node is going to, and the plugin is loaded once: a mistake is
// told now, and nothing is changed by it.
func (c *Catalog) InstallFile(ctx context.Context, path string, upgrade bool) (plan.Plugin, error) {
	if err := c.running(ctx); err != nil {
		return plan.Plugin{}, err
	}
	v, name, err := c.examine(ctx, path)
	if err != nil {
		return plan.Plugin{}, err
	}
	change := func(p plan.Plugin) (plan.Plugin, error) {
		if upgrade {
			return p.Upgrade(name, v)
		}
		return p.Install(name, v)
	}
	// What would be refused is not stored at all.
	if _, err := c.wish(ctx, name, change); err != nil {
		return plan.Plugin{}, err
	}
	if err := c.room(ctx, name); err != nil {
		return plan.Plugin{}, err
	}
	blobs, err := c.cfg.Blobs(ctx)
	if err != nil {
		return plan.Plugin{}, fmt.Errorf("store package: %w", err)
	}
	if err := c.upload(ctx, blobs, path, v); err != nil {
		return plan.Plugin{}, err
	}
	p, err := c.edit(ctx, name, change)
	if known, ok := p.Find(v.Digest); err == nil && ok && known.Blob == v.Blob || errors.Is(err, pluginapi.ErrUnknownOutcome) {
		return c.tell(p, err, actionOf(upgrade), map[string]any{"version": v.Version, "digest": v.Digest, "signer": v.Signer})
	}
	// Refused after all, or the platform has the same package already.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if delErr := blobs.Delete(ctx, v.Blob); delErr != nil {
		c.log.Warn("a package that was not installed was left in the object store", "blob", v.Blob, "err", delErr)
	}
	return c.tell(p, err, actionOf(upgrade), map[string]any{"version": v.Version, "digest": v.Digest, "signer": v.Signer})
}

func actionOf(upgrade bool) string {
	if upgrade {
		return "upgraded"
	}
	return "installed"
}

// examine verifies a package as a node would, and loads its plugin once.
func (c *Catalog) examine(ctx context.Context, path string) (v plan.Version, name string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return v, "", fmt.Errorf("read package: %w", err)
	}
	defer f.Close()
	tmp, err := os.CreateTemp(c.store.tmp(), "examine")
	if err != nil {
		return v, "", fmt.Errorf("unpack plugin: %w", err)
	}
	defer os.Remove(tmp.Name())
	hash := sha256.New()
	all := io.TeeReader(f, hash)
	p, err := c.open(all, tmp)
	if err := errors.Join(err, tmp.Close()); err != nil {
		return v, "", err
	}
	if _, err := io.Copy(io.Discard, all); err != nil {
		return v, "", fmt.Errorf("read package: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return v, "", fmt.Errorf("read package: %w", err)
	}
	v = plan.Version{
		Version: p.Version, Contract: p.Contract, Signer: p.signer, Size: info.Size(),
		Digest: hex.EncodeToString(hash.Sum(nil)), Blob: plan.BlobPrefix + rand.Text(),
	}
	if err := errors.Join(v.Check(), c.vet(p.Name, v, p)); err != nil {
		return v, "", err
	}
	if p.Runtime == manifest.Binary {
		if err := os.Chmod(tmp.Name(), 0o500); err != nil {
			return v, "", fmt.Errorf("unpack plugin: %w", err)
		}
	}
	return v, p.Name, c.tryOut(ctx, tmp.Name(), p)
}

// upload stores a package, and compares what was stored.
func (c *Catalog) upload(ctx context.Context, blobs Blobs, path string, v plan.Version) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("store package: %w", err)
	}
	defer f.Close()
	digest, size, err := blobs.Put(ctx, v.Blob, f)
	if err != nil {
		return fmt.Errorf("store package: %w", err)
	}
	if digest != v.Digest || size != v.Size {
		return fmt.Errorf("store package: %w: it was changed while it was stored", pluginapi.ErrInvalid)
	}
	return nil
}

// room refuses one plugin too many.
func (c *Catalog) room(ctx context.Context, name string) error {
	recs, err := c.records.List(ctx, keyPlugin+"*")
	if err != nil {
		return fmt.Errorf("count plugins: %w", err)
	}
	n := 0
	for _, rec := range recs {
		if p, err := plan.DecodePlugin(rec.Key[len(keyPlugin):], rec.Value); err == nil && p.Installed() && p.Name != name {
			n++
		}
	}
	if n >= plan.MaxPlugins {
		return fmt.Errorf("%w: the platform has %d plugins, which is the most: remove one", pluginapi.ErrTooLarge, n)
	}
	return nil
}

// Rollback goes back to the previous version on all nodes, or ends a rollout.
//
// # Errors
//
// As of [plan.Plugin.Rollback], and ErrUnknownOutcome.
func (c *Catalog) Rollback(ctx context.Context, name string) (plan.Plugin, error) {
	p, err := c.edit(ctx, name, func(p plan.Plugin) (plan.Plugin, error) { return p.Rollback(name) })
	return c.tell(p, err, "rollback_asked", nil)
}

// Remove takes a plugin from all nodes.
//
// # Errors
//
// As of [plan.Plugin.Remove], and ErrUnknownOutcome.
func (c *Catalog) Remove(ctx context.Context, name string) (plan.Plugin, error) {
	p, err := c.edit(ctx, name, func(p plan.Plugin) (plan.Plugin, error) { return p.Remove(name) })
	return c.tell(p, err, "removed", nil)
}

// SetEnabled turns a plugin on or off on all nodes.
//
// # Errors
//
// As of [plan.Plugin.SetEnabled], and ErrUnknownOutcome.
func (c *Catalog) SetEnabled(ctx context.Context, name string, on bool) (plan.Plugin, error) {
	p, err := c.edit(ctx, name, func(p plan.Plugin) (plan.Plugin, error) { return p.SetEnabled(name, on) })
	action := "disabled"
	if on {
		action = "enabled"
	}
	return c.tell(p, err, action, nil)
}

// tell hands on what a person has changed.
func (c *Catalog) tell(p plan.Plugin, err error, action string, data map[string]any) (plan.Plugin, error) {
	if err == nil {
		c.cfg.OnEvent(Event{Action: action, Plugin: p.Name, Data: data})
	}
	return p, err
}

// change makes a new record of an old one, or refuses to.
type change func(plan.Plugin) (plan.Plugin, error)

// wish reads the record and says what a change would make of it.
func (c *Catalog) wish(ctx context.Context, name string, fn change) (rec plan.Plugin, err error) {
	_, p, err := c.read(ctx, name)
	if err != nil {
		return plan.Plugin{}, err
	}
	return fn(p)
}

func (c *Catalog) read(ctx context.Context, name string) (seq uint64, p plan.Plugin, err error) {
	if err := pluginapi.CheckName("plugin", name); err != nil {
		return 0, p, err
	}
	rec, err := c.records.Get(ctx, keyPlugin+name)
	if err != nil || rec.Seq == 0 {
		return 0, p, err
	}
	p, err = plan.DecodePlugin(name, rec.Value)
	return rec.Seq, p, err
}

// editTries is how often a change is made anew because somebody else was faster.
const editTries = 5

// edit changes the record of a plugin. When somebody else has changed it in the
// meantime, the change is made anew from what is there then, and may be refused.
func (c *Catalog) edit(ctx context.Context, name string, fn change) (plan.Plugin, error) {
	if err := c.running(ctx); err != nil {
		return plan.Plugin{}, err
	}
	for try := 1; ; try++ {
		seq, p, err := c.read(ctx, name)
		if err == nil {
			p, err = fn(p)
		}
		if err != nil {
			return plan.Plugin{}, err
		}
		err = c.write(ctx, seq, p)
		switch {
		case err == nil:
			return p, nil
		case errors.Is(err, bus.ErrConflict) && try < editTries:
		case errors.Is(err, bus.ErrConflict):
			return plan.Plugin{}, fmt.Errorf("%w: plugin %s is being changed by others: try again", pluginapi.ErrConflict, name)
		case errors.Is(err, bus.ErrRefused):
			return plan.Plugin{}, fmt.Errorf("change plugin %s: %w", name, err)
		default:
			return p, c.wasDone(ctx, p, err)
		}
	}
}

// wasDone reads what became of a write that was not answered.
func (c *Catalog) wasDone(ctx context.Context, p plan.Plugin, cause error) error {
	if rec, err := c.records.Get(ctx, keyPlugin+p.Name); err == nil && bytes.Equal(rec.Value, p.Encode()) {
		c.takePlugin(rec)
		return nil
	}
	return fmt.Errorf("change plugin %s: %w: look with gchost plugin list: %w", p.Name, pluginapi.ErrUnknownOutcome, cause)
}

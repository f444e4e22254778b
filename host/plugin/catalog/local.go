package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
)

// localLoop loads plugins from the folder Local, one in each folder below it, or
// in one package, and loads them anew when they change. They go before those
// that the platform has under the same name, on this node only, and the same
// rules hold for their signatures and grants.
//
// It looks once in a while and does not wait to be told: a build writes a file
// many times and renames others over it, network folders tell nothing, and a
// look at some files costs microseconds. What has changed is loaded when two
// looks in a row have seen the same.
func (c *Catalog) localLoop(ctx context.Context, read <-chan struct{}) {
	if c.cfg.Local == "" {
		return
	}
	select {
	case <-read:
	case <-ctx.Done():
		return
	}
	l := newLocalFolder(c, c.cfg.Local)
	tick := time.NewTicker(c.timing.Local)
	defer tick.Stop()
	for {
		l.look()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// localFolder is what is known of the folder. The keys are the names of what is
// in it.
type localFolder struct {
	c      *Catalog
	path   string
	seen   map[string]string // marks at the last look
	done   map[string]string // marks at which it was loaded, or refused
	names  map[string]string // plugin that it is
	serial uint64
	gone   bool
}

func newLocalFolder(c *Catalog, path string) *localFolder {
	return &localFolder{c: c, path: path, seen: map[string]string{}, done: map[string]string{}, names: map[string]string{}}
}

func (l *localFolder) look() {
	entries, err := os.ReadDir(l.path)
	if err != nil {
		if !l.gone {
			l.c.log.Error("read plugins.dir", "err", err)
		}
		l.gone = true
		return
	}
	l.gone = false
	now := map[string]string{}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			now[e.Name()] = marks(filepath.Join(l.path, e.Name()))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if now[name] != "" && now[name] == l.seen[name] && now[name] != l.done[name] {
			l.done[name] = now[name]
			if err := l.load(name); err != nil {
				l.c.log.Error("plugin in plugins.dir", "in", name, "err", err)
			}
		}
	}
	for name, plugin := range l.names {
		if now[name] == "" {
			l.drop(name, plugin)
		}
	}
	l.seen = now
}

// marks change when a plugin's files do; "" when there is none.
func marks(path string) string {
	var out strings.Builder
	files := []string{path}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		files = nil
		entries, err := os.ReadDir(path)
		if err != nil {
			return ""
		}
		found := false
		for _, e := range entries {
			found = found || e.Name() == manifest.FileName
			if e.Type().IsRegular() {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
		if !found {
			return ""
		}
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil || info.Mode()&fs.ModeType != 0 {
			return ""
		}
		fmt.Fprintf(&out, "%s %d %d\n", f, info.Size(), info.ModTime().UnixNano())
	}
	return out.String()
}

// load packs a plugin, as if it was going to be installed, and wants it.
func (l *localFolder) load(name string) error {
	p, err := manifest.Open(filepath.Join(l.path, name))
	if err != nil {
		return err
	}
	defer p.Close()
	plugin := p.Manifest.Name
	for other, has := range l.names {
		if has == plugin && other != name {
			return fmt.Errorf("%s and %s are both plugin %s: rename one in its %s", other, name, plugin, manifest.FileName)
		}
	}
	var packed bytes.Buffer
	if err := p.Write(&packed); err != nil {
		return err
	}
	sum := sha256.Sum256(packed.Bytes())
	v := plan.Version{
		Version: p.Manifest.Version, Contract: p.Manifest.Contract, Digest: hex.EncodeToString(sum[:]),
		Size: int64(packed.Len()), Blob: plan.BlobPrefix + "local",
	}
	if err := l.c.store.put(v, io.Reader(&packed)); err != nil {
		return err
	}
	l.serial++
	l.names[name] = plugin
	l.c.log.Info("plugin from plugins.dir", "plugin", plugin, "version", v.Version, "in", name)
	l.c.worker(plugin).wantLocal(&plan.Plugin{Name: plugin, Serial: l.serial, Versions: []plan.Version{v}, Current: v.Digest, Enabled: true})
	return nil
}

// drop gives the plugin back to the platform.
func (l *localFolder) drop(name, plugin string) {
	delete(l.names, name)
	delete(l.done, name)
	l.c.log.Info("plugin is gone from plugins.dir", "plugin", plugin, "in", name)
	l.c.worker(plugin).wantLocal(nil)
}

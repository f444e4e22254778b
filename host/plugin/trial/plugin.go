package trial

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	goruntime "runtime"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/host/plugin/exec"
	"github.com/ozanturksever/go-cluster/host/plugin/grant"
	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/host/plugin/wasm"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Who a plugin on trial works for.
const (
	Platform = "trial"
	Node     = "n1"
	App      = "app"
)

// Options of a trial. The zero value is the manifest's.
type Options struct {
	Config []byte        // JSON, over the manifest's default config
	World  *World        // nil: a new one
	Call   time.Duration // in the place of the manifest's limit of one call, for slow machines
	Logger *slog.Logger  // what the plugin logs; nil: nowhere
	Cache  string        // folder for compiled WebAssembly; "": one that goes with the trial
}

// Plugin is a plugin on trial.
type Plugin struct {
	Manifest manifest.Manifest
	World    *World

	dir     string
	cache   string
	options plugin.Options
	load    plugin.Runtime
	end     func(context.Context) error
}

// runtime is what loads the manifest's kind of plugin.
func (p *Plugin) runtime() (err error) {
	if p.Manifest.Runtime == manifest.Binary {
		if err := p.Manifest.CheckPlatform(goruntime.GOOS, goruntime.GOARCH); err != nil {
			return err
		}
		p.load = exec.New(exec.Config{
			Dir: filepath.Join(p.dir, "run"), Platform: Platform, Node: Node, StartTimeout: max(exec.DefaultStartTimeout, p.options.Limits.Call),
		})
		return nil
	}
	r, err := wasm.New(wasm.Config{CacheDir: p.cache})
	if err != nil {
		return err
	}
	p.load, p.end = r, r.Close
	return nil
}

// Open opens a plugin, a package or a folder, and checks its config. Its file is
// copied: what lies there may change meanwhile. Close it.
//
// # Errors
//
// Those of manifest.Open; ErrInvalid for a config that breaks the schema and for
// a binary that was built for another system.
func Open(path string, o Options) (*Plugin, error) {
	pkg, err := manifest.Open(path)
	if err != nil {
		return nil, err
	}
	p, err := open(pkg, o)
	if err = errors.Join(err, pkg.Close()); err != nil {
		return nil, errors.Join(err, p.remove())
	}
	return p, nil
}

func open(pkg *manifest.Package, o Options) (*Plugin, error) {
	p := &Plugin{Manifest: pkg.Manifest, World: o.World}
	if p.World == nil {
		p.World = &World{}
	}
	config, err := p.Manifest.Config(o.Config)
	if err != nil {
		return p, err
	}
	asked := p.Manifest.Capabilities
	host := grant.New(asked, asked, p.World.Services())
	if !host.Has(capability.Log) {
		o.Logger = nil
	}
	p.options = plugin.Options{
		Limits:    p.Manifest.Limits,
		Host:      host,
		Configure: wire.Configure{Platform: Platform, Node: Node, App: App, Config: config, Seed: 1},
		Logger:    o.Logger,
	}
	if o.Call > 0 {
		p.options.Limits.Call = o.Call
	}
	if p.dir, err = os.MkdirTemp("", "gctrial"); err != nil {
		return p, fmt.Errorf("make folder of a trial: %w", err)
	}
	if p.cache = o.Cache; p.cache == "" {
		p.cache = filepath.Join(p.dir, "cache")
	}
	f, err := os.OpenFile(p.file(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return p, fmt.Errorf("copy plugin: %w", err)
	}
	if err := errors.Join(pkg.Copy(f), f.Close()); err != nil {
		return p, err
	}
	return p, p.runtime()
}

func (p *Plugin) file() string { return filepath.Join(p.dir, "plugin") }

// Load loads the plugin, as a node would. Each instance is one of its own; close
// it.
func (p *Plugin) Load(ctx context.Context) (plugin.Instance, error) {
	return p.load.Load(ctx, p.Manifest.Artifact(p.file()), p.options)
}

// LoadWith loads the plugin with another config than that of the trial, over the
// manifest's default config.
//
// # Errors
//
// ErrInvalid for a config that breaks the schema; those of a start.
func (p *Plugin) LoadWith(ctx context.Context, config []byte) (plugin.Instance, error) {
	whole, err := p.Manifest.Config(config)
	if err != nil {
		return nil, err
	}
	o := p.options
	o.Configure.Config = whole
	return p.load.Load(ctx, p.Manifest.Artifact(p.file()), o)
}

// Close ends what of the plugin still runs, as long as ctx allows, and removes
// the copy of its file.
func (p *Plugin) Close(ctx context.Context) error {
	var err error
	if p.end != nil {
		err = p.end(ctx)
	}
	return errors.Join(err, p.remove())
}

func (p *Plugin) remove() error {
	if p == nil || p.dir == "" {
		return nil
	}
	if err := os.RemoveAll(p.dir); err != nil {
		return fmt.Errorf("remove folder of a trial: %w", err)
	}
	return nil
}

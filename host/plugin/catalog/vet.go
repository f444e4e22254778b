package catalog

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"runtime"
	"strings"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// vet compares what a package says of itself with what is expected of it, and
// with what this node allows.
//
// # Errors
//
// ErrInvalid, ErrNotGranted, each with what, where and how to mend it.
func (c *Catalog) vet(name string, v plan.Version, p opened) error {
	m := p.Manifest
	switch {
	case m.Name != name:
		return fmt.Errorf("%w: the package is of plugin %s, not of %s", pluginapi.ErrInvalid, m.Name, name)
	case v.Version != "" && m.Version != v.Version, v.Contract != "" && m.Contract != v.Contract:
		return fmt.Errorf("%w: the package is a %s of version %s, the platform has it as a %s of version %s", pluginapi.ErrInvalid, m.Contract, m.Version, v.Contract, v.Version)
	case c.cfg.Runtimes[m.Runtime] == nil:
		return fmt.Errorf("%w: plugin %s needs the runtime %s, which node %s does not have", pluginapi.ErrInvalid, m, m.Runtime, c.cfg.Node)
	}
	if err := m.CheckPlatform(runtime.GOOS, runtime.GOARCH); err != nil {
		return fmt.Errorf("node %s: %w", c.cfg.Node, err)
	}
	if missing := m.Missing(c.cfg.Grants[name]); len(missing) > 0 {
		return fmt.Errorf("%w: plugin %s asks for %s, which node %s does not grant: add it to plugins.grants, for the plugin %s, in the configuration of every host, or leave the plugin out",
			pluginapi.ErrNotGranted, m, strings.Join(missing.Strings(), ", "), c.cfg.Node, name)
	}
	return nil
}

// errNeedsConfig says that a plugin has no default config that its schema allows:
// it is loaded only for who gives it one.
const errNeedsConfig pluginapi.Error = "it needs a config: use it from an app, with one"

// load loads a plugin for one use and asks it for its description.
//
// # Errors
//
// errNeedsConfig for the use of the platform, which gives no config.
func (c *Catalog) load(ctx context.Context, path string, p opened, u Use) (plugin.Instance, error) {
	m := p.Manifest
	config, err := m.Config(u.Config)
	switch {
	case err != nil && u.App == "" && u.Config == nil:
		return nil, fmt.Errorf("plugin %s: %w: %w", m, errNeedsConfig, err)
	case err != nil:
		return nil, fmt.Errorf("config of plugin %s for %s: %w", m, forWhom(u), err)
	}
	seed := fnv.New64a()
	fmt.Fprintf(seed, "%s/%s/%s", c.cfg.Platform, m.Name, m.Version)
	o := plugin.Options{
		Limits:    m.Limits,
		Configure: wire.Configure{Platform: c.cfg.Platform, Node: c.cfg.Node, App: u.App, Config: config, Seed: seed.Sum64()},
	}
	granted := c.cfg.Grants[m.Name]
	if m.Capabilities.Has(capability.Log) && granted.Has(capability.Log) {
		o.Logger = c.logs.logger(c.log, m.Name, m.Version)
	}
	if c.cfg.Host != nil {
		o.Host = c.cfg.Host(m, granted, u.App)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timing.Load)
	defer cancel()
	inst, err := c.cfg.Runtimes[m.Runtime].Load(ctx, m.Artifact(path), o)
	if err != nil {
		return nil, fmt.Errorf("load plugin %s for %s: %w", m, forWhom(u), err)
	}
	if err := c.warm(ctx, inst, p); err != nil {
		return nil, errors.Join(fmt.Errorf("load plugin %s for %s: %w", m, forWhom(u), err), inst.Close(ctx))
	}
	return inst, nil
}

// warm makes the first call, so that no guest is made on a failover's path, and
// compares what the plugin says of itself with its manifest.
func (c *Catalog) warm(ctx context.Context, inst plugin.Instance, p opened) error {
	out, err := inst.Call(ctx, wire.OpDescribe, nil)
	if errors.Is(err, pluginapi.ErrNoMethod) {
		return nil // what it does not say cannot be wrong
	}
	if err != nil {
		return fmt.Errorf("ask for its description: %w", err)
	}
	var d wire.Description
	if err := d.Decode(out); err != nil {
		return fmt.Errorf("read its description: %w: %w", pluginapi.ErrPluginProtocol, err)
	}
	m := p.Manifest
	if d.Contract != m.Contract || d.Name != "" && d.Name != m.Name || d.Version != "" && d.Version != m.Version {
		return fmt.Errorf("%w: it says that it is the %s %.80q %.80q, its manifest has %s %s %s: build it anew, or correct plugin.yaml",
			pluginapi.ErrInvalid, d.Contract, d.Name, d.Version, m.Contract, m.Name, m.Version)
	}
	return nil
}

func forWhom(u Use) string {
	if u.App == "" {
		return "the platform"
	}
	return "app " + u.App
}

package host

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/observe"
	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/host/plugin/catalog"
	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/host/plugin/grant/command"
	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Plugins says which plugins may run on a node, and what runs them.
type Plugins struct {
	Trust    []string                            // public keys whose plugins may run; plugins.trust
	Unsigned bool                                // plugins without a signature may run too; plugins.allow_unsigned
	Grants   map[string][]string                 // plugin -> capabilities that it may use, as a manifest has them; plugins.grants
	Local    string                              // folder of plugins under development; "": none; plugins.dir
	Rules    plan.Rules                          // when a new version is worse than the old one
	Secrets  map[string]string                   // name -> file; plugins.secrets
	Commands map[string]command.Command          // name -> what a plugin with that grant may run; plugins.commands
	Runtimes map[manifest.Runtime]plugin.Runtime // nil: WebAssembly and binaries
	// Host returns what a plugin is given to ask its host with; nil: what this
	// node has, by its grants.
	Host func(m manifest.Manifest, granted capability.Set, app string) plugin.Host
}

// check reports every mistake.
func (p *Plugins) check(dataDir string) (faults []error) {
	if p == nil {
		return nil
	}
	if dataDir == "" {
		faults = append(faults, fmt.Errorf("%w: plugins need a data directory: give a folder of this node's own", pluginapi.ErrInvalid))
	}
	for _, key := range p.Trust {
		if err := manifest.CheckKey(key); err != nil {
			faults = append(faults, fmt.Errorf("plugins.trust: %w", err))
		}
	}
	for name, texts := range p.Grants {
		if err := pluginapi.CheckName("plugin", name); err != nil {
			faults = append(faults, fmt.Errorf("plugins.grants: %w", err))
		}
		if _, err := capability.ParseSet(texts); err != nil {
			faults = append(faults, fmt.Errorf("plugins.grants, for %s: %w", name, err))
		}
	}
	for name, path := range p.Secrets {
		if err := pluginapi.CheckName("secret", name); err != nil {
			faults = append(faults, fmt.Errorf("plugins.secrets: %w", err))
		}
		if !filepath.IsAbs(path) {
			faults = append(faults, fmt.Errorf("plugins.secrets: %w: %s: %q: give the absolute path of a file", pluginapi.ErrInvalid, name, path))
		}
	}
	if _, err := command.New(p.Commands); err != nil {
		faults = append(faults, fmt.Errorf("plugins.commands: %w", err))
	}
	return faults
}

func (p *Plugins) grants() map[string]capability.Set {
	out := map[string]capability.Set{}
	for name, texts := range p.Grants {
		if set, err := capability.ParseSet(texts); err == nil { // New has checked it
			out[name] = set
		}
	}
	return out
}

// blobsWait bounds one try to open the object store.
const blobsWait = 15 * time.Second

// blobStore is the platform's object store, opened when it is needed first.
type blobStore struct {
	mu sync.Mutex
	b  *bus.Blobs
}

func (n *Node) openBlobs(ctx context.Context) (catalog.Blobs, error) {
	n.blobs.mu.Lock()
	defer n.blobs.mu.Unlock()
	if n.blobs.b == nil {
		ctx, cancel := context.WithTimeout(ctx, blobsWait)
		defer cancel()
		b, err := bus.OpenBlobs(ctx, n.Bus(), n.names.Blobs(), n.replicas())
		if err != nil {
			return nil, err
		}
		n.blobs.b = b
	}
	return n.blobs.b, nil
}

func (n *Node) openPlugins(ctx context.Context) (catalog.Records, error) {
	r, err := bus.OpenRecords(ctx, n.Bus(), n.replicated(n.names.Plugins()))
	if err != nil {
		return nil, err
	}
	return r, nil
}

// newCatalog makes the node's part of the plugins; nil when it has none.
func (n *Node) newCatalog() *catalog.Catalog {
	p := n.cfg.Plugins
	if p == nil {
		return nil
	}
	host := p.Host
	if host == nil {
		host = n.pluginHost
	}
	return catalog.New(catalog.Config{
		Platform: n.cfg.Platform, Node: n.cfg.Node, Dir: filepath.Join(n.cfg.DataDir, "plugins"),
		Records: n.openPlugins, Blobs: n.openBlobs,
		Members: n.pluginMembers, Changes: n.Changes,
		Runtimes: n.known(), Trust: manifest.Trust{Keys: p.Trust, AllowUnsigned: p.Unsigned}, Grants: p.grants(), Host: host,
		Local: p.Local, Rules: p.Rules, Logger: n.log, OnEvent: n.auditPlugin,
	})
}

// pluginMembers is what the catalog goes by.
func (n *Node) pluginMembers() catalog.Members {
	v := n.View()
	m := catalog.Members{Inc: v.Inc, Controller: v.Controller == n.cfg.Node && v.Inc != 0, Live: map[string]uint64{}}
	for _, o := range v.Members {
		if o.Up {
			m.Live[o.NodeID] = o.Inc
		}
	}
	return m
}

// Catalog returns the node's part of the plugins.
//
// # Errors
//
// ErrInvalid when the node has none.
func (n *Node) Catalog() (*catalog.Catalog, error) {
	if n.catalog == nil {
		return nil, fmt.Errorf("%w: node %s runs no plugins", pluginapi.ErrInvalid, n.cfg.Node)
	}
	return n.catalog, nil
}

// servePlugins keeps the node's plugins as they are wanted.
func (n *Node) servePlugins(context.Context) (stop func(), err error) {
	if n.catalog == nil {
		return func() {}, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.catalog.Run(ctx); err != nil {
			n.log.Error("keep plugins", "err", err)
		}
	}()
	return func() {
		cancel()
		<-done
		if err := n.closeUses(); err != nil {
			n.log.Warn("end plugins", "err", err)
		}
	}, nil
}

// PluginFigures are what the node has counted of its plugins.
func (h handler) PluginFigures() (out []observe.PluginFigure) {
	if h.n.catalog == nil {
		return nil
	}
	for name, s := range h.n.catalog.Stats() {
		out = append(out, observe.PluginFigure{Plugin: name, Calls: s.Calls, Errors: s.Errors, Restart: s.Restarts, Memory: s.Memory})
	}
	return out
}

// auditPlugin writes what became of a plugin.
func (n *Node) auditPlugin(e catalog.Event) {
	data := map[string]any{"plugin": e.Plugin}
	for k, v := range e.Data {
		if text, ok := v.(string); ok {
			v = clipped(text)
		}
		data[k] = v
	}
	n.put("plugin", e.Action, data, e.ID)
}

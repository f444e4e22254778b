package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Catalog is one node's part of the plugins of its platform. Its methods may be
// called at the same time.
type Catalog struct {
	cfg    Config
	timing Timing
	log    *slog.Logger
	open   opener
	logs   *logbooks
	slots  chan struct{} // of fetching and loading
	dirty  chan struct{} // holds one token when there is something to report
	look   chan struct{} // the same, to decide
	ready  chan struct{} // closed when store and records are there

	// Set by Run before ready is closed.
	store   *store
	records Records
	uploads *uploads

	mu      sync.Mutex
	handles map[string]map[string]*Handle // plugin -> app
	workers map[string]*worker
	begun   bool
	swept   bool // what earlier lives left behind is gone
	over    bool
	life    context.Context // of the workers
	working sync.WaitGroup
	view    view
}

// atOnce is how many plugins are fetched or loaded at the same time.
const atOnce = 2

// New returns a catalog that has started nothing.
func New(cfg Config) *Catalog {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.OnEvent == nil {
		cfg.OnEvent = func(Event) {}
	}
	return &Catalog{
		cfg: cfg, timing: cfg.Timing.withDefaults(), log: cfg.Logger, open: trusting(cfg.Trust), logs: newLogbooks(),
		slots: make(chan struct{}, atOnce), dirty: make(chan struct{}, 1), look: make(chan struct{}, 1), ready: make(chan struct{}),
		handles: map[string]map[string]*Handle{}, workers: map[string]*worker{}, view: newView(),
	}
}

// Instance returns the plugin for the use of the platform. It may be asked for
// at any time: before the plugin is active on this node, calls are refused.
//
// # Errors
//
// ErrInvalid for what is no name.
func (c *Catalog) Instance(name string) (plugin.Instance, error) {
	if err := pluginapi.CheckName("plugin", name); err != nil {
		return nil, err
	}
	return c.handle(name, Use{}, false)
}

// Open returns the plugin for the use of an app, with a config of its own. Close
// it when it is not needed any more.
//
// # Errors
//
// ErrInvalid for what is no name; ErrKeyExists when the app uses it already;
// ErrShuttingDown.
func (c *Catalog) Open(name string, u Use) (*Handle, error) {
	err := pluginapi.CheckName("plugin", name)
	if u.App != "" {
		err = errors.Join(err, pluginapi.CheckName("app", u.App))
	}
	if err != nil {
		return nil, err
	}
	return c.handle(name, u, u.App != "")
}

// handle returns the handle of a use, and makes it when there is none.
func (c *Catalog) handle(name string, u Use, fresh bool) (*Handle, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return nil, pluginapi.ErrShuttingDown
	}
	if h := c.handles[name][u.App]; h != nil {
		if fresh {
			return nil, fmt.Errorf("%w: app %s uses plugin %s already", pluginapi.ErrKeyExists, u.App, name)
		}
		return h, nil
	}
	if c.handles[name] == nil {
		c.handles[name] = map[string]*Handle{}
	}
	var h *Handle
	h = newHandle(name, u, func(context.Context) error {
		c.closeHandle(h)
		return nil
	})
	c.handles[name][u.App] = h
	if w := c.workers[name]; w != nil {
		w.nudge()
	}
	return h, nil
}

// closeHandle ends a use: its worker ends what was loaded for it.
func (c *Catalog) closeHandle(h *Handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handles[h.name][h.use.App] == h {
		delete(c.handles[h.name], h.use.App)
	}
	h.empty(fmt.Errorf("%w: this use of %s was closed", pluginapi.ErrPluginNotFound, h.name))
	if w := c.workers[h.name]; w != nil {
		w.nudge()
	}
}

// handlesOf lists the uses of a plugin, that of the platform first. A plugin that
// nobody uses is loaded for the platform: what is loaded only when it is needed
// is found broken only then.
func (c *Catalog) handlesOf(name string) []*Handle {
	c.mu.Lock()
	used := len(c.handles[name]) > 0
	c.mu.Unlock()
	if !used {
		if _, err := c.handle(name, Use{}, false); err != nil {
			return nil
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	out := slices.Collect(maps.Values(c.handles[name]))
	slices.SortFunc(out, func(a, b *Handle) int { return strings.Compare(a.use.App, b.use.App) })
	return out
}

// turn waits for one of the slots in which plugins are fetched and loaded.
func (c *Catalog) turn(ctx context.Context) error {
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Catalog) done() { <-c.slots }

// told says that there is something to report.
func (c *Catalog) told() { token(c.dirty) }

func token(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// worker returns the worker of a plugin, and starts it when there is none.
func (c *Catalog) worker(name string) *worker {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.workers[name]
	if w == nil {
		w = newWorker(c, name)
		c.workers[name] = w
		if life := c.life; !c.over { // else there is nothing to be done any more
			c.working.Go(func() { w.run(life) })
		}
	}
	return w
}

// all returns the workers, by name.
func (c *Catalog) all() []*worker {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*worker
	for _, name := range slices.Sorted(maps.Keys(c.workers)) {
		out = append(out, c.workers[name])
	}
	return out
}

package exec

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/guard"
	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Defaults and bounds.
const (
	DefaultMemory       = 256 << 20 // bytes
	DefaultStartTimeout = 5 * time.Second

	killTimeout = 10 * time.Second
	probeTime   = 10 * time.Second // in which a process must say that it lives
	stopTimeout = 2 * time.Second  // from the word to the kill
)

// Config says where plugins are run.
type Config struct {
	// Dir is where copies of the binaries are kept while they run. It is made,
	// for this user only; one that others can get into is refused.
	Dir string
	// Platform and Node are in the names of control groups and marks.
	Platform, Node string
	// Env is the environment of each plugin, beside what the runtime adds; each
	// entry is KEY=VALUE. Nil is the host's PATH.
	Env []string
	// StartTimeout is how long a process may take from its start to its first
	// connection; default 5 s.
	StartTimeout time.Duration
	// Fenced is told what must be killed when this host is dead: the whole set,
	// each time that it changes, and always before a process of it can run. An
	// error keeps the plugin from being loaded. Nil: nobody is told.
	Fenced func(ctx context.Context, all []pluginapi.Fence) error
}

// Runtime loads plugin binaries. It is safe for concurrent use.
type Runtime struct {
	cfg Config

	probe, firstPause, lastPause time.Duration

	mu     sync.Mutex // also keeps the words of Fenced in order
	ready  bool       // the folder is there and holds nothing of an earlier host
	groups groups
	live   map[*Instance]bool
}

var _ plugin.Runtime = (*Runtime)(nil)

// New returns a runtime. It starts nothing; [Runtime.Load] tells what is wrong
// with the configuration.
func New(cfg Config) *Runtime {
	if cfg.StartTimeout == 0 {
		cfg.StartTimeout = DefaultStartTimeout
	}
	if cfg.Env == nil {
		cfg.Env = []string{"PATH=" + os.Getenv("PATH")}
	}
	return &Runtime{cfg: cfg, probe: probeTime, firstPause: firstPause, lastPause: lastPause, live: map[*Instance]bool{}}
}

// Load starts a plugin and returns when it is configured and can be called. The
// context bounds the start only. The first Load also ends what an earlier host
// left of its plugins. The instance is an *[Instance].
//
// # Errors
//
// An error that wraps ErrInvalid for names and limits, a file that differs from
// its digest, or that is no program for this machine; ErrPluginProtocol for one
// that speaks another version, prints before its handshake, or serves another
// contract; ErrPluginCrashed and ErrPluginLimit; what it answers to its
// configuration. After an error nothing of the plugin runs or is kept.
func (r *Runtime) Load(ctx context.Context, a plugin.Artifact, o plugin.Options) (plugin.Instance, error) {
	i, err := r.load(ctx, a, o)
	if err != nil {
		return nil, fmt.Errorf("load plugin %s: %w", a.Name, err)
	}
	return i, nil
}

func (r *Runtime) load(ctx context.Context, a plugin.Artifact, o plugin.Options) (*Instance, error) {
	o.Limits = o.Limits.WithDefaults(a.Contract)
	if o.Limits.Memory == 0 {
		o.Limits.Memory = DefaultMemory
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := errors.Join(pluginapi.CheckName("plugin", a.Name), checkContract(a.Contract), checkLimits(o.Limits)); err != nil {
		return nil, err
	}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	i := r.newInstance(a, o)
	if err := i.install(); err != nil {
		return nil, errors.Join(err, i.uninstall())
	}
	if err := r.enlist(ctx, i, true); err != nil {
		return nil, errors.Join(err, r.enlist(context.WithoutCancel(ctx), i, false), i.uninstall())
	}
	if err := i.begin(ctx); err != nil {
		return nil, errors.Join(err, r.enlist(context.WithoutCancel(ctx), i, false), i.uninstall())
	}
	return i, nil
}

func checkContract(c wire.Contract) error {
	switch c {
	case wire.ContractPlacement, wire.ContractHook, wire.ContractBackend:
		return nil
	}
	return fmt.Errorf("%w: contract %q: give %s, %s or %s", pluginapi.ErrInvalid, c,
		wire.ContractPlacement, wire.ContractHook, wire.ContractBackend)
}

func checkLimits(l plugin.Limits) error {
	const most = 64 << 20
	if l.Memory < 0 || l.Call < 0 || l.Output < 0 || l.Input < 0 || l.HostCalls < 0 || l.Log < 0 || l.Tasks < 0 || !(l.CPU >= 0.01 && l.CPU <= 10000) {
		return fmt.Errorf("%w: limits %+v: none may be negative, and cpu is 0.01 to 10000 cores", pluginapi.ErrInvalid, l)
	}
	if l.Input > most || l.Output > most {
		return fmt.Errorf("%w: limits: input %d and output %d: at most %d bytes each", pluginapi.ErrInvalid, l.Input, l.Output, most)
	}
	return nil
}

// newInstance gives an instance a name that no other has, of any host.
func (r *Runtime) newInstance(a plugin.Artifact, o plugin.Options) *Instance {
	key := fmt.Sprintf("%.40s-%.10s", a.Name, strings.ToLower(rand.Text()))
	i := &Instance{
		runtime: r, artifact: a, options: o, key: key,
		dir:   filepath.Join(r.cfg.Dir, key),
		mark:  envPlugin + "=" + r.cfg.Platform + "." + r.cfg.Node + "." + key,
		group: r.groups.folder(r.cfg.Platform + "." + r.cfg.Node + "." + key),
	}
	return i.init()
}

// envPlugin is the mark of everything that a plugin starts.
const envPlugin = "GCHOST_PLUGIN"

// fencesName is the file, beside the copy of a binary, that says what must be
// killed before the folder may go.
const fencesName = "fences.json"

// prepare makes the folder, and ends what an earlier host left in it.
func (r *Runtime) prepare(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ready {
		return nil
	}
	err := errors.Join(pluginapi.CheckName("platform", r.cfg.Platform), pluginapi.CheckName("node", r.cfg.Node))
	if err == nil && !filepath.IsAbs(r.cfg.Dir) {
		err = fmt.Errorf("%w: folder of plugins %q: give an absolute path", pluginapi.ErrInvalid, r.cfg.Dir)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(r.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("make folder of plugins: %w", err)
	}
	if err := checkPrivate(r.cfg.Dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(r.cfg.Dir)
	if err != nil {
		return fmt.Errorf("read folder of plugins: %w", err)
	}
	for _, e := range entries {
		if err := endLeftover(ctx, filepath.Join(r.cfg.Dir, e.Name())); err != nil {
			return err
		}
	}
	r.groups = findGroups()
	r.ready = true
	return nil
}

// endLeftover kills what runs of an instance of an earlier host and removes its
// folder. A folder without a list of fences never had a process.
func endLeftover(ctx context.Context, dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, fencesName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read leftover of an earlier host: %w", err)
	}
	var fences []pluginapi.Fence
	if err == nil {
		if err := json.Unmarshal(b, &fences); err != nil {
			return fmt.Errorf("read leftover of an earlier host: %s: %w", dir, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	if err := guard.Kill(ctx, fences); err != nil {
		return fmt.Errorf("end plugin of an earlier host: %w", err)
	}
	return os.RemoveAll(dir)
}

// Fences returns what must be killed for all plugins of this runtime to be
// dead, now.
func (r *Runtime) Fences() []pluginapi.Fence {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fences()
}

func (r *Runtime) fences() (all []pluginapi.Fence) {
	for i := range r.live {
		all = append(all, i.Fences()...)
	}
	return all
}

// enlist adds an instance to what is told to Fenced, or takes it away.
func (r *Runtime) enlist(ctx context.Context, i *Instance, live bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if live {
		r.live[i] = true
	} else {
		delete(r.live, i)
	}
	if r.cfg.Fenced == nil {
		return nil
	}
	if err := r.cfg.Fenced(ctx, r.fences()); err != nil {
		return fmt.Errorf("tell what is to be killed: %w", err)
	}
	return nil
}

package wasm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/wasm/fuel"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Modes of a runtime, as [plugin.Stats] names them.
const (
	ModeCompiled    = "compiled"
	ModeInterpreted = "interpreted" // some fifty times slower
)

const (
	defaultModule = 64 << 20         // bytes of a module
	defaultMemory = 64 << 20         // bytes of a guest
	defaultCalls  = 1_000_000        // that a guest makes before it is replaced
	defaultStart  = 10 * time.Second // for a guest to start, unless Limits.Call is longer
	pageSize      = 64 << 10
	maxPages      = 1 << 16
)

// Config says how plugins are run.
type Config struct {
	// CacheDir is the folder for compiled code. It is made when it is not there.
	// It must belong to this user, and nobody else may write to it: what is in it
	// runs as this process. "" keeps compiled code in memory only.
	CacheDir string
	// Logger gets what happens to the runtime, not what plugins print; nil: nowhere.
	Logger *slog.Logger
	// MaxModule is how many bytes a module may have; 0: 64 MiB.
	MaxModule int64
	// Interpreter runs without a compiler, as happens anyway where the system
	// does not let a process make memory executable.
	Interpreter bool
}

// Runtime runs WebAssembly plugins. It is safe for concurrent use.
type Runtime struct {
	logger    *slog.Logger
	cache     string
	maxModule int64
	maxCalls  int
	maxStart  time.Duration
	mode      string
	born      time.Time
	rewrite   func([]byte) ([]byte, error)

	mu        sync.Mutex
	entries   map[[32]byte]*entry
	instances map[*instance]struct{}
	closed    bool
}

// Info is what [Runtime.Prepare] has found out about a module.
type Info struct {
	Operations []string // that it exports, without gc_, sorted
	Asks       bool     // it can ask its host for something
	Memory     int64    // bytes that a guest has at least
	Cached     bool     // its code was in the cache already
}

// New makes a runtime. Where compiled code cannot run it interprets, and logs
// that once.
//
// # Errors
//
// ErrInvalid for a CacheDir that others may write to or that belongs to another
// user.
func New(c Config) (*Runtime, error) {
	r := &Runtime{
		logger: c.Logger, cache: c.CacheDir, maxModule: c.MaxModule, maxCalls: defaultCalls, maxStart: defaultStart,
		mode: ModeCompiled, born: time.Now(),
		entries: make(map[[32]byte]*entry), instances: make(map[*instance]struct{}),
	}
	if r.logger == nil {
		r.logger = slog.New(slog.DiscardHandler)
	}
	if r.maxModule <= 0 {
		r.maxModule = defaultModule
	}
	r.rewrite = func(module []byte) ([]byte, error) {
		return fuel.Instrument(module, fuel.Options{Module: int(r.maxModule)})
	}
	if r.cache != "" {
		if err := ownFolder(r.cache); err != nil {
			return nil, fmt.Errorf("open compile cache: %w", err)
		}
	}
	switch err := compilerRuns(context.Background()); {
	case c.Interpreter:
		r.mode = ModeInterpreted
	case err != nil:
		r.mode = ModeInterpreted
		r.logger.Warn("WebAssembly plugins are interpreted, some fifty times slower than compiled: "+
			"this process may not make memory executable; a unit file must not set MemoryDenyWriteExecute", "cause", err)
	}
	return r, nil
}

// Prepare checks a module and compiles it into the cache, so that Load is quick.
//
// # Errors
//
// Those of Load, without those of a start: nothing of the module runs.
func (r *Runtime) Prepare(ctx context.Context, a plugin.Artifact) (Info, error) {
	e, info, err := r.build(ctx, a)
	return info, errors.Join(err, r.drop(ctx, e))
}

// Load makes a plugin ready for calls: it is checked, compiled or found in the
// cache, and one guest of it has started and is configured. What the plugin
// prints goes to o.Logger, which should say whose it is.
//
// # Errors
//
// ErrInvalid says what is wrong with the module, and how to mend it: it is not
// WebAssembly, it has another digest or another version of the ABI, it lacks
// what its contract needs or needs what there is not. ErrPluginCrashed,
// ErrPluginLimit, ErrPluginProtocol and the plugin's own errors tell of its start.
func (r *Runtime) Load(ctx context.Context, a plugin.Artifact, o plugin.Options) (plugin.Instance, error) {
	limits, err := limitsOf(a, o.Limits)
	if err != nil {
		return nil, err
	}
	e, info, err := r.build(ctx, a)
	if err == nil && info.Memory > limits.Memory {
		err = flaw(a, fmt.Sprintf("it needs %d KiB of memory at least, and its limit is %d", info.Memory>>10, limits.Memory>>10),
			"give it more, or build it with less")
	}
	if err != nil {
		return nil, errors.Join(err, r.drop(ctx, e))
	}
	i := &instance{
		runtime: r, entry: e, ops: info.Operations, artifact: a, limits: limits, host: o.Host, slice: fuel.Slice,
		configure: o.Configure.Append(nil), seed: o.Configure.Seed, fixed: a.Contract == wire.ContractPlacement,
		out: newOutput(o.Logger, limits.Log), emptied: make(chan struct{}),
	}
	i.killed, i.kill = context.WithCancel(context.WithoutCancel(ctx))
	r.mu.Lock()
	r.instances[i] = struct{}{}
	closed := r.closed
	r.mu.Unlock()
	g, err := i.acquire(ctx, "start")
	if err == nil {
		i.release(g)
	}
	if closed {
		err = errors.Join(err, fmt.Errorf("load plugin %s: %w", a.Name, pluginapi.ErrShuttingDown))
	}
	if err != nil {
		return nil, errors.Join(err, i.Close(ctx))
	}
	return i, nil
}

// Keep removes from the cache what belongs to no module with one of these
// digests and to none that is loaded.
func (r *Runtime) Keep(digests ...[32]byte) error {
	if r.cache == "" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	keep := make(map[string]bool)
	for _, d := range digests {
		keep[entryName(d)] = true
	}
	for d := range r.entries {
		keep[entryName(d)] = true
	}
	return sweep(r.cache, keep)
}

// Close unloads all plugins, as [plugin.Instance] says of its Close.
func (r *Runtime) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	var all []*instance
	for i := range r.instances {
		all = append(all, i)
	}
	r.mu.Unlock()
	var errs []error
	for _, i := range all {
		errs = append(errs, i.Close(ctx))
	}
	return errors.Join(errs...)
}

// limitsOf checks limits and fills in those that were left out.
func limitsOf(a plugin.Artifact, l plugin.Limits) (plugin.Limits, error) {
	for _, v := range []struct {
		name  string
		value int64
	}{
		{"memory", l.Memory}, {"call", int64(l.Call)}, {"output", l.Output}, {"input", l.Input},
		{"host_calls", int64(l.HostCalls)}, {"log", l.Log}, {"guests", int64(l.Guests)},
	} {
		if v.value < 0 {
			return l, fmt.Errorf("%w: plugin %s: limit %s is %d: give a positive number, or 0 for the default",
				pluginapi.ErrInvalid, a.Name, v.name, v.value)
		}
	}
	l = l.WithDefaults(a.Contract)
	if a.Contract == wire.ContractBackend {
		l.Guests = 1 // what it knows of its service is in the memory of one guest
	}
	if l.Memory == 0 {
		l.Memory = defaultMemory
	}
	l.Memory = min(max(l.Memory, pageSize), maxPages*pageSize)
	return l, nil
}

// read returns the module, whose digest must be the one that was promised.
func (r *Runtime) read(a plugin.Artifact) ([]byte, error) {
	f, err := os.Open(a.Path)
	if err != nil {
		return nil, fmt.Errorf("read plugin %s: %w", a.Name, err)
	}
	defer f.Close()
	code, err := io.ReadAll(io.LimitReader(f, r.maxModule+1))
	if err != nil {
		return nil, fmt.Errorf("read plugin %s: %w", a.Name, err)
	}
	if int64(len(code)) > r.maxModule {
		return nil, flaw(a, fmt.Sprintf("it has more than %d bytes", r.maxModule), "strip it (go build -ldflags='-s -w')")
	}
	if got := sha256.Sum256(code); got != a.Digest {
		return nil, flaw(a, fmt.Sprintf("its digest is %x, and %x was promised", got, a.Digest), "install it again")
	}
	return code, nil
}

// flaw is an error in the plugin's file: what is wrong, and how to mend it.
func flaw(a plugin.Artifact, what, mend string) error {
	return fmt.Errorf("%w: plugin %s %s, file %s: %s: %s", pluginapi.ErrInvalid, a.Name, a.Version, a.Path, what, mend)
}

// build gets the compiled code of a module, for one user more of the entry, and
// holds it against the ABI and its contract. The entry has to be dropped, with an
// error too.
func (r *Runtime) build(ctx context.Context, a plugin.Artifact) (*entry, Info, error) {
	e := r.entryOf(a.Digest)
	cached, err := e.load(ctx, r, a)
	if err != nil {
		return e, Info{}, err
	}
	info, err := inspect(e.module, a)
	info.Cached = cached
	return e, info, err
}

// meter reads the module and rewrites it.
func (r *Runtime) meter(a plugin.Artifact) ([]byte, error) {
	code, err := r.read(a)
	if err != nil {
		return nil, err
	}
	metered, err := r.rewrite(code)
	if err != nil {
		return nil, flaw(a, err.Error(), "see docs/plugin-abi.md")
	}
	if err := checkImports(code); err != nil {
		return nil, flaw(a, err.Error(), "a plugin imports nothing but functions, see docs/plugin-abi.md")
	}
	return metered, nil
}

// newEngine makes a wazero runtime with all that a module may import. The limit of
// memory is that of each guest, not wazero's, which refuses modules that say that
// they may use more.
func (r *Runtime) newEngine(ctx context.Context, cache wazero.CompilationCache) (wazero.Runtime, error) {
	config := wazero.NewRuntimeConfigCompiler()
	if r.mode == ModeInterpreted {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	engine := wazero.NewRuntimeWithConfig(ctx, config.WithCompilationCache(cache))
	for module, funcs := range offered() {
		if err := provide(ctx, engine, module, funcs); err != nil {
			return nil, errors.Join(err, engine.Close(ctx))
		}
	}
	return engine, nil
}

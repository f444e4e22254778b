package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// errEnded is what waits for a watchman when there will be none any more.
var errEnded = errors.New("the guard is not running any more")

// Config says how to run a watchman.
type Config struct {
	// Command is the program to run and its arguments, such as
	// {"/proc/self/exe", "guard"}: a gchost binary of the host's own release.
	Command []string
	// Init tells the watchman whom it watches and how to reach the store.
	Init Init
	// Logger takes what the host's side has to say. Default: nothing is logged.
	Logger *slog.Logger
	// LogFile takes what the watchman itself prints; it is made, with mode 0600,
	// and appended to. Default: thrown away.
	LogFile string
}

// Guard is the host's side of a watchman. All methods may be called from any
// goroutine, before, during and after [Guard.Run].
type Guard struct {
	cfg   Config
	log   *slog.Logger
	hello []byte
	ready chan struct{}
	fired chan Fired
	kick  chan struct{} // there is something to send
	ended chan struct{}

	mu      sync.Mutex
	started bool
	readied bool
	news    news
	waiters map[uint64]chan error
}

// news is what the watchman has to know: the last of each, and what of it was
// not sent yet.
type news struct {
	lease    *Lease
	released bool // the lease was given back
	fences   []pluginapi.Fence
	id       uint64 // of the fences; 0 is none yet

	newLease, newReleased, newFences bool
}

// New checks the configuration. It starts nothing.
//
// # Errors
//
// One that wraps [pluginapi.ErrInvalid] for a mistake in the configuration, or
// [errors.ErrUnsupported] on a system without a watchman.
func New(cfg Config) (*Guard, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	if len(cfg.Command) == 0 {
		return nil, fmt.Errorf("%w: guard without a command: give the path of a gchost binary and its argument guard", pluginapi.ErrInvalid)
	}
	path, err := exec.LookPath(cfg.Command[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: guard command %q: %w", pluginapi.ErrInvalid, cfg.Command[0], err)
	}
	cfg.Command = append([]string{path}, cfg.Command[1:]...)
	if cfg.Init.HostPID == 0 {
		cfg.Init.HostPID = os.Getpid()
	}
	if err := cfg.Init.check(); err != nil {
		return nil, fmt.Errorf("check guard: %w", err)
	}
	hello, err := encode(message{Kind: kindHello, Version: version, Init: &cfg.Init})
	if err != nil {
		return nil, err
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Guard{
		cfg: cfg, log: log, hello: hello,
		ready: make(chan struct{}), fired: make(chan Fired, 1),
		kick: make(chan struct{}, 1), ended: make(chan struct{}),
		waiters: map[uint64]chan error{},
	}, nil
}

// Ready is closed when the first watchman watches. Start nothing before.
func (g *Guard) Ready() <-chan struct{} { return g.ready }

// Fired tells that a watchman has acted while the host lives: its incarnation is
// over and what it had started is killed. The host must join again, as a newer
// incarnation. Only the last one is kept for a host that does not read.
func (g *Guard) Fired() <-chan Fired { return g.fired }

// Renewed tells the watchman the lease, after each acknowledged renewal, and
// once before the first one, without a deadline (see [Lease]). It never waits;
// of several the last one counts. A lease of an incarnation that the watchman
// has ended changes nothing; a newer one makes it watch again.
//
// A lease that makes no sense (see [Lease]) is logged and not sent: the watchman
// then acts on the deadline before it.
func (g *Guard) Renewed(l Lease) {
	if err := l.check(g.cfg.Init.Node); err != nil {
		g.log.Error("guard got a wrong lease", "err", err)
		return
	}
	g.mu.Lock()
	if g.news.lease == nil || l.Inc > g.news.lease.Inc {
		g.news.released = false
	}
	g.news.lease, g.news.newLease = &l, true
	g.mu.Unlock()
	g.poke()
}

// Released tells the watchman that the host has given its session back itself,
// after all its work had stopped: it will not do that again, and not wait for a
// deadline any more. What it still finds alive at the host's end it kills. A
// newer incarnation takes it back. It never waits; [Guard.Run] sees to it that
// the watchman knows before Run ends.
func (g *Guard) Released() {
	g.mu.Lock()
	g.news.released, g.news.newReleased = true, true
	g.mu.Unlock()
	g.poke()
}

// Fences tells the watchman the whole set of what to kill and returns when the
// watchman has it and does not act. Call it before each start of a backend, also
// when the set is the same: a backend whose fence is not known outlives its host.
//
// # Errors
//
// [pluginapi.ErrInvalid] for a name that must not be killed, see [Kill]; the set
// before stays. [ErrFired] when the watchman has ended the present incarnation:
// join again first. Else the context's error, or that Run has ended. The context
// may end while the watchman already knows the set, which does no harm.
func (g *Guard) Fences(ctx context.Context, set []pluginapi.Fence) error {
	for _, f := range set {
		if err := checkOwn(f, g.cfg.Init); err != nil {
			return err
		}
	}
	if _, err := encode(message{Kind: kindFences, ID: ^uint64(0), Fences: set}); err != nil {
		return err
	}
	answer := make(chan error, 1)
	g.mu.Lock()
	g.news.id++
	id := g.news.id
	g.news.fences, g.news.newFences = slices.Clone(set), true
	g.waiters[id] = answer
	g.mu.Unlock()
	g.poke()
	select {
	case err := <-answer:
		return err
	case <-g.ended:
		return fmt.Errorf("tell guard fences: %w", errEnded)
	case <-ctx.Done():
		g.mu.Lock()
		delete(g.waiters, id)
		g.mu.Unlock()
		return fmt.Errorf("tell guard fences: %w", ctx.Err())
	}
}

func (g *Guard) poke() {
	select {
	case g.kick <- struct{}{}:
	default:
	}
}

package host

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/lifecycle"
	"github.com/ozanturksever/go-cluster/host/core/membership"
	"github.com/ozanturksever/go-cluster/host/guard"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// errTwice is what a second Run of the same node returns.
var errTwice = fmt.Errorf("%w: the node was run before: make a new one", pluginapi.ErrInvalid)

// Run starts the node and returns when it has left and all that it started has
// ended. It returns nil when the context ended it.
func (n *Node) Run(ctx context.Context) (err error) {
	if !n.begun.CompareAndSwap(false, true) {
		return errTwice
	}
	defer n.endEvents()
	defer n.closeLeaders()
	defer n.failAll()
	defer close(n.ended)
	home, closeData, err := n.open()
	if err != nil {
		return err
	}
	defer closeData()
	defer n.unlockName()
	if err := n.bind(); err != nil {
		return err
	}
	// What an earlier life of this node left behind is killed before anybody is
	// told that it is over.
	if err := n.sweep(ctx); err != nil {
		return err
	}
	parts := newParts()
	defer func() { err = errors.Join(err, parts.stop()) }()
	if err := n.start(ctx, parts); err != nil {
		return n.unlessAsked(ctx, errors.Join(err, parts.fault()))
	}
	if n.core, err = n.newCore(home); err != nil {
		return err
	}
	return n.live(ctx, parts)
}

// unlessAsked drops an error that only says that the context has ended.
func (n *Node) unlessAsked(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// open takes the data directory; home is what cannot be alive twice.
func (n *Node) open() (home string, done func(), err error) {
	if n.cfg.DataDir == "" {
		return "process-" + rand.Text(), func() {}, nil
	}
	if n.data, err = openData(n.cfg.DataDir, n.cfg.Platform, n.cfg.Node); err != nil {
		return "", nil, err
	}
	return n.data.id.Home, n.data.close, nil
}

// bind tells each backend whose it is and learns how it can be killed.
func (n *Node) bind() error {
	for _, app := range n.cfg.Apps {
		a := &instance{App: app, mail: newMailbox()}
		if k, ok := app.Backend.(pluginapi.Killable); ok {
			inst := pluginapi.Instance{Platform: n.cfg.Platform, Node: n.cfg.Node, App: app.Name, Dir: n.cfg.DataDir}
			fences, err := k.Bind(inst)
			if err != nil {
				return fmt.Errorf("bind backend of %s: %w", app.Name, err)
			}
			a.fences = fences
		}
		n.apps[app.Name] = a
	}
	return nil
}

// fenced are the fences that change while the node runs.
type fenced struct {
	mu      sync.Mutex
	apps    map[string][]pluginapi.Fence // of backends that plugins do
	plugins []pluginapi.Fence
}

func (n *Node) fences() []pluginapi.Fence {
	var out []pluginapi.Fence
	for _, a := range n.apps {
		out = append(out, a.fences...)
	}
	n.fenced.mu.Lock()
	defer n.fenced.mu.Unlock()
	for _, f := range n.fenced.apps {
		out = append(out, f...)
	}
	return append(out, n.fenced.plugins...)
}

func (n *Node) sweep(ctx context.Context) error {
	f := n.fences()
	if len(f) == 0 {
		return nil
	}
	// Only one process of a machine may be this node: what carries its name must
	// not be killed while another one that has started it lives.
	var err error
	if n.name, err = lockName(n.cfg.Platform, n.cfg.Node); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.ShutdownTimeout)
	defer cancel()
	if err := guard.Kill(ctx, f); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("kill what an earlier life left behind: %w", err)
	}
	return nil
}

// newCore makes the core from the config and the epochs on this node's disk.
func (n *Node) newCore(home string) (*core.Core, error) {
	cfg := core.Config{
		Platform: n.cfg.Platform, Node: n.cfg.Node, Home: home,
		Self: membership.NodeRecord{Address: n.cfg.Address, Version: n.cfg.Version, Labels: n.cfg.Labels},
		TTL:  n.cfg.TTL, Every: n.cfg.Heartbeat, Budget: n.cfg.budget(), Margin: n.cfg.margin(),
		Retry: 15 * time.Millisecond, Rank: 8 * time.Millisecond, Digest: 2 * time.Second,
	}
	if n.data != nil {
		if err := n.data.loadSeen(n.seen); err != nil {
			return nil, err
		}
	}
	seen := n.seen.all()
	for _, a := range n.cfg.Apps {
		app := core.App{Name: a.Name, Spec: n.spec(a)}
		if n.data != nil && a.Singleton {
			floor, err := n.data.epoch(a.Name)
			if err != nil {
				return nil, err
			}
			app.Floor = max(floor, seen[a.Name])
		}
		cfg.Apps = append(cfg.Apps, app)
	}
	return core.New(cfg), nil
}

// Bounds of a backend's start and stop; the backend has its own within them.
const (
	startBound = 10 * time.Minute
	stopBound  = 10 * time.Minute
)

func (n *Node) spec(a App) lifecycle.Spec {
	calls := len(a.Calls.Handlers) > 0
	return lifecycle.Spec{
		Singleton: a.Singleton, Durable: n.data != nil, Data: a.Database != nil, Backend: a.Backend != nil,
		Hooks: map[lifecycle.Step]bool{
			lifecycle.CallActive: calls || len(a.Hooks.Active) > 0, lifecycle.CallPassive: calls || len(a.Hooks.Passive) > 0,
			lifecycle.CallStart: calls || len(a.Hooks.Start) > 0, lifecycle.CallStop: calls || len(a.Hooks.Stop) > 0,
		},
		HookTimeout: a.HookTimeout, DataTimeout: dataBound, StartTimeout: startBound, StopTimeout: stopBound,
	}
}

// live runs the loop and what feeds it.
func (n *Node) live(ctx context.Context, parts *parts) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	n.life, n.cancel = life, end
	n.feed(life)
	stopServices, err := n.serve(life)
	if err != nil {
		stopServices()
		end()
		n.watching.Wait()
		return err
	}
	err = n.loop(ctx.Done(), parts.failed)
	close(n.over)
	hung := stopWithin("services", stopServices)
	if n.guard != nil && err == nil {
		n.guard.Released()
	}
	hung = errors.Join(hung, stopWithin("requests to the platform's records, and steps of apps", n.tasks.Wait))
	end()
	hung = errors.Join(hung, stopWithin("hooks of apps", n.watching.Wait))
	return errors.Join(err, hung, parts.fault())
}

// service answers others while the node lives. Starting it must not wait for the
// node to have joined. stop ends it and waits for what it is doing.
type service func(life context.Context) (stop func(), err error)

// services are what a node does beside deciding, in the order in which they
// start.
func (n *Node) services() []service {
	return []service{n.serveAudit, n.serveControl, n.watchHealth, n.serveDatabases, n.serveSnapshots, n.serveCalls, n.serveLocks, n.serveEvents, n.servePlugins, n.serveRanks}
}

// serve starts the services; stop ends those that were started, the last one
// first.
func (n *Node) serve(life context.Context) (stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, s := range slices.Backward(stops) {
			s()
		}
	}
	for _, s := range n.services() {
		end, err := s(life)
		if err != nil {
			return stop, err
		}
		stops = append(stops, end)
	}
	return stop, nil
}

// feed starts what tells the loop what happens.
func (n *Node) feed(life context.Context) {
	n.watching.Go(func() {
		if err := n.watchRecords(life); err != nil {
			n.log.Error("watch records", "err", err)
		}
	})
	for _, a := range n.apps {
		n.watching.Go(func() { n.tell(life, a) })
		if a.Backend != nil {
			n.watching.Go(func() { n.watchBackend(life, a) })
		}
	}
	n.watching.Go(func() { n.followHints(life) })
	n.watching.Go(func() { n.placeStreams(life) })
	if n.guard != nil {
		n.watching.Go(func() { n.followGuard(life) })
	}
	if n.data != nil {
		n.watching.Go(func() { n.keepEpochs(life) })
	}
}

func (n *Node) followGuard(ctx context.Context) {
	for {
		select {
		case f := <-n.guard.Fired():
			n.cfg.Figures.GuardFired()
			n.log.Warn("the guard has acted", "reason", f.Reason, "incarnation", f.Inc)
			n.in.put(core.GuardFired{Inc: f.Inc})
		case <-ctx.Done():
			return
		}
	}
}

// followHints passes on what other nodes say between themselves.
func (n *Node) followHints(ctx context.Context) {
	subjects := map[string]func(bus.Message){
		n.names.Hint("gone"): func(m bus.Message) { n.in.put(core.Gone{Node: string(m.Data)}) },
		n.names.Digest():     func(m bus.Message) { n.in.put(core.DigestSeen{Value: m.Data}) },
	}
	var cancels []func()
	for subject, fn := range subjects {
		cancel, err := n.Bus().Subscribe(subject, "", fn)
		if err != nil {
			n.log.Error("subscribe", "subject", subject, "err", err)
			continue
		}
		cancels = append(cancels, cancel)
	}
	<-ctx.Done()
	for _, c := range cancels {
		c()
	}
}

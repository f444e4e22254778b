package host

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ozanturksever/go-cluster/host/audit"
	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/bus/embedded"
	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/guard"
	"github.com/ozanturksever/go-cluster/host/lock"
	"github.com/ozanturksever/go-cluster/host/monitor"
	"github.com/ozanturksever/go-cluster/host/observe"
	"github.com/ozanturksever/go-cluster/host/plugin/catalog"
	"github.com/ozanturksever/go-cluster/host/plugin/grant"
	"github.com/ozanturksever/go-cluster/host/plugin/grant/command"
	"github.com/ozanturksever/go-cluster/host/replica"
	"github.com/ozanturksever/go-cluster/host/rpc"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Node is one node of a platform.
type Node struct {
	cfg       Config
	log       *slog.Logger
	names     bus.Names
	in        *queue
	audit     *audit.Log
	lockAudit *lockAudit
	view      atomic.Pointer[core.View]
	conn      atomic.Pointer[bus.Conn]
	ready     chan struct{}
	over      chan struct{} // closed when the loop has ended: nobody answers a wish any more
	ended     chan struct{}
	begun     atomic.Bool
	locks     *lock.Keeper
	catalog   *catalog.Catalog // nil: the node has no plugins
	blobs     blobStore
	runtimes  runtimes
	commands  *command.Table // nil: none
	uses      []useful
	webOnce   sync.Once
	web       grant.Web
	fenced    fenced
	born      time.Time     // for the names of events
	told      atomic.Uint64 // events to plugins

	// Set by Run before the loop starts, not changed afterwards.
	core      *core.Core
	data      *dataDir
	name      io.Closer // the node's name on this machine, while it is held
	server    *embedded.Server
	guard     *guard.Guard
	seen      *seenEpochs
	sessions  *bus.Records
	records   *bus.Records
	apps      map[string]*instance
	callees   map[string]*rpc.Server // of the apps that have methods
	client    *rpc.Client
	buckets   buckets
	databases map[string]*replica.Keeper // by app
	snapshots map[string]*replica.Snapshots

	addrs boundAddrs

	tasks    sync.WaitGroup // effects that are being done
	slots    chan struct{}  // of the records that are being written
	cancel   context.CancelFunc
	life     context.Context // ends when the loop has ended
	observe  context.CancelFunc
	watching sync.WaitGroup

	mu       sync.Mutex
	watchers map[chan struct{}]struct{}
	leaders  []*subscriber
	replies  map[uint64]chan core.Reply
	wishes   map[uint64]func(core.Reply) // of which nobody waits for the answer
	serial   uint64
}

// New checks the config and returns a node that has started nothing.
func New(cfg Config) (*Node, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	names, err := bus.NewNames(cfg.Platform)
	if err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if cfg.Checks == nil {
		cfg.Checks = monitor.New()
	}
	if cfg.Figures == nil {
		cfg.Figures = observe.NewFigures(cfg.Platform, cfg.Node)
	}
	n := &Node{
		cfg: cfg, log: cfg.Logger, names: names, in: newQueue(),
		ready: make(chan struct{}), over: make(chan struct{}), ended: make(chan struct{}),
		apps: map[string]*instance{}, callees: map[string]*rpc.Server{}, seen: newSeenEpochs(), slots: make(chan struct{}, maxWrites),
		watchers: map[chan struct{}]struct{}{}, replies: map[uint64]chan core.Reply{},
		wishes: map[uint64]func(core.Reply){},
	}
	if err := n.makePlugins(); err != nil {
		return nil, err
	}
	n.makeServers()
	n.makeDatabases()
	n.view.Store(&core.View{Node: cfg.Node, Session: "reading"})
	n.locks, n.catalog = n.newLocks(), n.newCatalog()
	n.audit, n.lockAudit = n.newAudit(), newLockAudit()
	return n, n.makeServer("checked when the data directory is open")
}

// Ready is closed when the node has joined the platform for the first time.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Ended is closed when Run has returned.
func (n *Node) Ended() <-chan struct{} { return n.ended }

// View returns what the node knows now. Nobody may change it.
func (n *Node) View() *core.View { return n.view.Load() }

// Bus returns the connection, nil before the node is connected.
func (n *Node) Bus() *bus.Conn { return n.conn.Load() }

// Conn returns the connection of a running node.
//
// # Errors
//
// ErrShuttingDown when Run has returned, ErrInvalid before it has connected.
func (n *Node) Conn() (*bus.Conn, error) {
	select {
	case <-n.ended:
		return nil, pluginapi.ErrShuttingDown
	default:
	}
	if c := n.Bus(); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("%w: the node is not connected yet: wait until it is ready (WaitReady)", pluginapi.ErrInvalid)
}

// Lease returns the leadership of an app at the moment of use.
func (n *Node) Lease(app string) (pluginapi.Lease, bool) {
	epoch, ok := n.View().Leading(n.cfg.now(), app)
	return n.lease(app, epoch), ok
}

func (n *Node) lease(app string, epoch pluginapi.Epoch) pluginapi.Lease {
	return pluginapi.Lease{
		Epoch: epoch,
		Valid: func() bool {
			e, ok := n.View().Leading(n.cfg.now(), app)
			return ok && e == epoch
		},
		Until: func() time.Duration { return n.View().Until.Sub(n.cfg.now()) },
	}
}

// Changes returns a channel that gets a value after each change of the view;
// changes that come faster than they are read become one. cancel ends it.
func (n *Node) Changes() (changed <-chan struct{}, cancel func()) {
	ch := make(chan struct{}, 1)
	n.mu.Lock()
	n.watchers[ch] = struct{}{}
	n.mu.Unlock()
	return ch, func() {
		n.mu.Lock()
		delete(n.watchers, ch)
		n.mu.Unlock()
	}
}

// Do tells the core a wish and waits for the answer. make gets the number under
// which the answer comes.
func (n *Node) Do(ctx context.Context, wish func(id uint64) core.Input) (core.Reply, error) {
	ch := make(chan core.Reply, 1)
	n.mu.Lock()
	n.serial++
	id := n.serial
	n.replies[id] = ch
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.replies, id)
		n.mu.Unlock()
	}()
	n.in.put(wish(id))
	select {
	case r := <-ch:
		return r, r.Err
	case <-n.over:
		select { // the last thing that the loop did may have been to answer
		case r := <-ch:
			return r, r.Err
		default:
			return core.Reply{}, pluginapi.ErrShuttingDown
		}
	case <-n.ended: // it came to no loop
		return core.Reply{}, pluginapi.ErrShuttingDown
	case <-ctx.Done():
		n.in.put(core.Forget{ID: id})
		return core.Reply{}, fmt.Errorf("wait for the answer: %w", endOf(ctx))
	}
}

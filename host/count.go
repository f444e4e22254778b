package host

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/ozanturksever/go-cluster/host/lock"
	"github.com/ozanturksever/go-cluster/host/observe"
	"github.com/ozanturksever/go-cluster/host/rpc"
)

// callFigures counts calls.
func (n *Node) callFigures() rpc.Observer {
	f := n.cfg.Figures
	return rpc.Observer{
		Handled: func(app, method string, s rpc.Status, took time.Duration) { f.RPCHandled(app, method, string(s), took) },
		Called: func(_, app, method string, s rpc.Status, took time.Duration) {
			f.CrossCall(app, method, string(s), took)
		},
		Stale:   func(app, _ string) { f.Fenced("rpc", app) },
		Circuit: func(app, node string, s rpc.Circuit) { f.Breaker(app, node, observe.BreakerState(s)) },
	}
}

// A program may take thousands of locks a second, and each audit entry is a
// synced write: beyond this rate only their number is written.
const (
	lockEntries = 10 // a second
	lockBurst   = 100
)

// lockAudit decides which of the events of locks are written.
type lockAudit struct {
	limit *rate.Limiter

	mu     sync.Mutex
	hidden int // not written since the last one that was
}

func newLockAudit() *lockAudit { return &lockAudit{limit: rate.NewLimiter(lockEntries, lockBurst)} }

// take reports whether an event is written, and how many were not before it.
// The loss of a lock always is.
func (a *lockAudit) take(kind string) (hidden int, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.limit.Allow() && kind != lock.Lost {
		a.hidden++
		return 0, false
	}
	hidden, a.hidden = a.hidden, 0
	return hidden, true
}

// lockEvent counts and writes what happens to the locks of this node.
func (n *Node) lockEvent(e lock.Event) {
	if e.Kind != lock.Acquired {
		n.cfg.Figures.LockReleased(e.Name.App, e.Name.Lock, e.Took)
	}
	hidden, ok := n.lockAudit.take(e.Kind)
	if !ok {
		return
	}
	category, data := "platform_lock", map[string]any{"lock": e.Name.Lock, "epoch": e.Epoch}
	if e.Name.App != "" {
		category, data["app"] = "lock", e.Name.App
	}
	if hidden > 0 {
		data["not_written"] = hidden
	}
	n.put(category, e.Kind, data, "")
}

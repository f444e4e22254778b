package host

import (
	"context"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/membership"
	"github.com/ozanturksever/go-cluster/host/monitor"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// How a node says which of its health checks fail: at most once in reportPause,
// so that a check which flaps costs one write a second, and each time with this
// much patience.
const (
	reportPause   = time.Second
	reportTimeout = 10 * time.Second
)

// healthChanged is told to the apps that want it.
type healthChanged struct{ status pluginapi.HealthStatus }

// watchHealth runs the node's health checks and passes on what they find: to the
// hooks of its apps, and to the other nodes.
func (n *Node) watchHealth(life context.Context) (stop func(), err error) {
	ctx, cancel := context.WithCancel(life)
	r := &healthReport{changed: make(chan struct{}, 1)}
	var wg sync.WaitGroup
	wg.Go(func() {
		n.cfg.Checks.Run(ctx, n.log, monitor.Listener{Changed: n.healthChanged, Failing: r.set})
	})
	wg.Go(func() { n.reportHealth(ctx, r) })
	return func() {
		cancel()
		wg.Wait()
	}, nil
}

func (n *Node) healthChanged(s pluginapi.HealthStatus) {
	n.log.Info("health changed", "status", s.Status)
	for _, a := range n.apps {
		if len(a.Hooks.HealthChange) > 0 {
			a.mail.putHealth(healthChanged{s})
		}
	}
}

// healthReport is which checks fail, as the other nodes should know it.
type healthReport struct {
	changed chan struct{}
	mu      sync.Mutex
	failing []string
}

func (r *healthReport) set(failing []string) {
	r.mu.Lock()
	r.failing = failing
	r.mu.Unlock()
	r.signal()
}

func (r *healthReport) signal() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *healthReport) get() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failing
}

// reportHealth keeps the failing checks in the node's record, one write after
// the other, so that the newest is the last. It begins with what an earlier life
// of the node may have left there.
func (n *Node) reportHealth(ctx context.Context, r *healthReport) {
	select {
	case <-n.ready:
	case <-ctx.Done():
		return
	}
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		if !n.writeFailing(ctx, r.get()) {
			r.signal() // again after the pause
		}
		pause.Reset(reportPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		select {
		case <-r.changed:
		case <-ctx.Done():
			return
		}
	}
}

// writeFailing reports whether the record now holds what it should.
func (n *Node) writeFailing(ctx context.Context, failing []string) bool {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	if _, err := n.Edit(ctx, n.cfg.Node, membership.Edit{Failing: &failing}); err != nil {
		n.log.Debug("report failing health checks", "err", err)
		return false
	}
	return true
}

package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/lifecycle"
	"github.com/ozanturksever/go-cluster/host/extend"
	"github.com/ozanturksever/go-cluster/host/guard"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// instance is one app on this node: what its steps run.
type instance struct {
	App
	fences []pluginapi.Fence
	mail   *mailbox // joins, leaves, leaders: told in order
	mu     sync.Mutex
	step   uint64 // the running one
	cancel context.CancelFunc
}

func (a *instance) begin(id uint64, cancel context.CancelFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.step, a.cancel = id, cancel
}

func (a *instance) cancelStep(id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.step == id && a.cancel != nil {
		a.cancel()
	}
}

// run starts a step of an app. The answer comes when its code has come back,
// not when its time is over.
func (n *Node) run(e core.Run) {
	a := n.apps[e.App]
	ctx, cancel := context.WithTimeout(context.Background(), e.Timeout)
	if a.Singleton {
		ctx = pluginapi.WithLease(ctx, n.lease(e.App, e.Epoch))
	}
	a.begin(e.ID, cancel)
	n.task(func() {
		defer cancel()
		n.auditStep(a.Name, e)
		err := n.runStep(ctx, a, e)
		n.auditStepped(a.Name, e, err)
		if err != nil {
			n.log.Warn("step of app", "app", e.App, "step", e.Step.String(), "epoch", uint64(e.Epoch), "err", err)
		}
		n.in.put(core.StepDone{App: e.App, ID: e.ID, Err: text(err)})
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (n *Node) runStep(ctx context.Context, a *instance, e core.Run) error {
	switch e.Step {
	case lifecycle.SaveEpoch:
		return n.data.saveEpoch(a.Name, e.Epoch)
	case lifecycle.Promote:
		return n.databases[a.Name].Promote(ctx, e.Epoch)
	case lifecycle.Demote:
		return n.databases[a.Name].Demote(ctx)
	case lifecycle.StartBackend:
		// Nothing that cannot be undone begins without the lease at this moment.
		if l, ok := pluginapi.LeaseFrom(ctx); ok && !l.Valid() {
			return fmt.Errorf("start backend: %w", pluginapi.ErrNotLeader)
		}
		if err := n.readyBackend(ctx, a); err != nil {
			return err
		}
		if err := n.tellGuard(ctx); err != nil {
			return err
		}
		return n.startBackend(ctx, a)
	case lifecycle.StopBackend:
		return guarded(func() error { return a.Backend.Stop(ctx) })
	case lifecycle.KillBackend:
		return n.killBackend(ctx, a)
	case lifecycle.CallActive, lifecycle.CallStart:
		return n.becomeActive(ctx, a)
	case lifecycle.CallPassive:
		return n.becomePassive(ctx, a)
	case lifecycle.CallStop:
		return n.endApp(ctx, a)
	}
	panic(fmt.Sprintf("host: unknown step %v", e.Step))
}

// readyBackend learns what must be killed of a backend that a plugin does.
func (n *Node) readyBackend(ctx context.Context, a *instance) error {
	b, ok := a.Backend.(*extend.Backend)
	if !ok {
		return nil
	}
	fences, err := b.Ready(ctx)
	if err != nil {
		return err
	}
	n.fenced.mu.Lock()
	defer n.fenced.mu.Unlock()
	n.fenced.apps[a.Name] = fences
	return nil
}

func (n *Node) startBackend(ctx context.Context, a *instance) error {
	n.cfg.Figures.BackendStarted(a.Name)
	err := guarded(func() error { return a.Backend.Start(n.withAccess(ctx, a.Name)) })
	if err != nil {
		n.cfg.Figures.BackendFailed(a.Name)
	}
	return err
}

// tellGuard makes sure that the guard watches this incarnation and knows what
// to kill: a backend whose fence is not known outlives its host.
func (n *Node) tellGuard(ctx context.Context) error {
	if n.guard == nil {
		return nil
	}
	return n.guard.Fences(ctx, n.fences())
}

// killBackend ends by force what Stop could not end.
func (n *Node) killBackend(ctx context.Context, a *instance) error {
	if len(a.fences) > 0 {
		return guard.Kill(ctx, a.fences)
	}
	return guarded(func() error { return a.Backend.Stop(ctx) })
}

// call runs the functions of one hook, in order.
func call(ctx context.Context, hooks []func(context.Context) error) error {
	for _, h := range hooks {
		if err := hooked(ctx, func() error { return h(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

// hooked runs a function of the user: a panic becomes an error, and an error
// after the time was over says so.
func hooked(ctx context.Context, fn func() error) error {
	begun := time.Now()
	err := guarded(fn)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w after %v", pluginapi.ErrHookTimeout, time.Since(begun).Round(time.Millisecond))
	}
	return err
}

func guarded(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return fn()
}

// watchBackend tells the core when a backend gives up.
func (n *Node) watchBackend(ctx context.Context, a *instance) {
	s, ok := a.Backend.(pluginapi.Supervised)
	if !ok {
		return
	}
	for {
		select {
		case err, open := <-s.Failed():
			if !open {
				return
			}
			n.cfg.Figures.BackendFailed(a.Name)
			n.put("backend", "failure_detected", map[string]any{"app": a.Name, "reason": text(err)}, "")
			n.in.put(core.BackendFailed{App: a.Name, Reason: text(err)})
		case <-ctx.Done():
			return
		}
	}
}

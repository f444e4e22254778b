package extend

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// PluginUse says how an app uses a plugin as its backend, or as its policy.
type PluginUse struct {
	Plugin string
	Config []byte // JSON; nil: the plugin's default
}

// Backend is a backend that a plugin does. It is a [pluginapi.Backend] and
// [pluginapi.Supervised]. What a guard must kill is known when the plugin is
// there: Ready tells it, before each start.
type Backend struct {
	l      *late
	me     pluginapi.Instance
	failed chan error

	mu    sync.Mutex
	b     *adapt.Backend
	ended chan struct{}
	watch sync.WaitGroup
}

// NewBackend returns the backend of an app's instance.
func NewBackend(use PluginUse, me pluginapi.Instance, open Open) (*Backend, error) {
	if err := pluginapi.CheckName("plugin", use.Plugin); err != nil {
		return nil, err
	}
	return &Backend{l: &late{name: use.Plugin, open: open}, me: me, failed: make(chan error, 1), ended: make(chan struct{})}, nil
}

// Ready opens the plugin if need be, tells it whose it is, and returns what must
// be gone for the service to be dead. A plugin that was replaced since the last
// start does not know it any more.
func (b *Backend) Ready(ctx context.Context) ([]pluginapi.Fence, error) {
	a, err := b.adapter(ctx)
	if err != nil {
		return nil, err
	}
	fences, err := a.Bind(b.me)
	if err != nil {
		return nil, fmt.Errorf("bind backend %s: %w", b.l.name, err)
	}
	return fences, nil
}

// adapterTry is between two looks for a plugin that is not there yet.
const adapterTry = 250 * time.Millisecond

// adapter waits until the plugin is there: on a node that has just started it
// may still be fetched or compiled.
func (b *Backend) adapter(ctx context.Context) (*adapt.Backend, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.b != nil {
		return b.b, nil
	}
	for {
		inst, err := b.l.instance()
		if err != nil {
			return nil, err
		}
		if b.b, err = adapt.NewBackend(ctx, inst); err == nil {
			break
		}
		if !passes(err) {
			return nil, err
		}
		select {
		case <-time.After(adapterTry):
		case <-ctx.Done():
			return nil, fmt.Errorf("backend %s: %w", b.l.name, err)
		}
	}
	b.watch.Go(func() { b.pass(b.b.Failed()) })
	return b.b, nil
}

// pass hands on that the service is given up.
func (b *Backend) pass(from <-chan error) {
	for {
		select {
		case err := <-from:
			select {
			case b.failed <- err:
			case <-b.ended:
				return
			}
		case <-b.ended:
			return
		}
	}
}

// Start implements [pluginapi.Backend].
func (b *Backend) Start(ctx context.Context) error {
	a, err := b.adapter(ctx)
	if err != nil {
		return err
	}
	return a.Start(ctx)
}

// Stop implements [pluginapi.Backend]. A plugin that was never there has nothing
// to stop.
func (b *Backend) Stop(ctx context.Context) error {
	b.mu.Lock()
	a := b.b
	b.mu.Unlock()
	if a == nil {
		return nil
	}
	return a.Stop(ctx)
}

// Health implements [pluginapi.Backend].
func (b *Backend) Health(ctx context.Context) (pluginapi.BackendHealth, error) {
	b.mu.Lock()
	a := b.b
	b.mu.Unlock()
	if a == nil {
		return pluginapi.BackendHealth{Status: pluginapi.StatusStopped}, nil
	}
	return a.Health(ctx)
}

// Failed implements [pluginapi.Supervised].
func (b *Backend) Failed() <-chan error { return b.failed }

// Close ends the use, not the service.
func (b *Backend) Close(ctx context.Context) error {
	close(b.ended)
	b.watch.Wait()
	b.mu.Lock()
	a := b.b
	b.mu.Unlock()
	if a != nil {
		if err := a.Close(ctx); err != nil {
			return err
		}
	}
	return b.l.close(ctx)
}

package reference

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Epochs with which the reference backend does something else.
const (
	EpochFenced  = 13 // the start fails with ErrFenced
	EpochWornOut = 14 // the start succeeds, and then the service is given up: "worn out"
)

// Backend is "toy": a service that is nothing but a state. Its fences are the
// mark of its instance. Make one by [NewBackend].
type Backend struct {
	failed chan error

	mu      sync.Mutex
	running bool
	worn    bool
	since   time.Time
}

// NewBackend makes one that is stopped.
func NewBackend() *Backend { return &Backend{failed: make(chan error, 1)} }

// AboutBackend is what the backend says of itself.
func AboutBackend() wire.Description {
	return wire.Description{Contract: wire.ContractBackend, Name: "toy", Version: "1.0.0"}
}

// Bind names the mark that a service of the instance would have.
func (b *Backend) Bind(in pluginapi.Instance) ([]pluginapi.Fence, error) {
	err := errors.Join(pluginapi.CheckName("platform", in.Platform), pluginapi.CheckName("node", in.Node), pluginapi.CheckName("app", in.App))
	if err != nil {
		return nil, fmt.Errorf("bind toy: %w", err)
	}
	return []pluginapi.Fence{{Kind: pluginapi.FenceEnv, Name: "GCHOST_INSTANCE=" + in.Platform + "." + in.Node + "." + in.App}}, nil
}

// Start makes the state running.
func (b *Backend) Start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	lease, ok := pluginapi.LeaseFrom(ctx)
	if ok && !lease.Valid() {
		return fmt.Errorf("start toy: %w", pluginapi.ErrNotLeader)
	}
	if lease.Epoch == EpochFenced {
		return fmt.Errorf("start toy: %w", pluginapi.ErrFenced)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.running {
		b.running, b.since = true, time.Now()
	}
	if lease.Epoch == EpochWornOut {
		b.worn = true
		select {
		case b.failed <- errors.New("worn out"):
		default:
		}
	}
	return nil
}

// Stop makes the state stopped, whatever its context says: this is its force.
func (b *Backend) Stop(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running, b.worn = false, false
	select {
	case <-b.failed:
	default:
	}
	return nil
}

// Health says the state.
func (b *Backend) Health(ctx context.Context) (pluginapi.BackendHealth, error) {
	if err := ctx.Err(); err != nil {
		return pluginapi.BackendHealth{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.worn:
		return pluginapi.BackendHealth{Status: pluginapi.StatusUnhealthy, Message: "worn out", Uptime: time.Since(b.since)}, nil
	case b.running:
		return pluginapi.BackendHealth{Status: pluginapi.StatusRunning, Uptime: time.Since(b.since)}, nil
	}
	return pluginapi.BackendHealth{Status: pluginapi.StatusStopped}, nil
}

// Failed returns the channel on which "worn out" arrives.
func (b *Backend) Failed() <-chan error { return b.failed }

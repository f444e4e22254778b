package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// parts are what a node has started, to be stopped in reverse. The first that
// ends by itself makes the node stop.
type parts struct {
	stops  []func() error
	once   sync.Once
	failed chan struct{}
	mu     sync.Mutex
	err    error
}

// start runs a part until it is stopped.
func (p *parts) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := run(ctx)
		if ctx.Err() == nil {
			p.fail(name, err)
			err = nil
		}
		done <- err
	}()
	p.onStop(name, func() error {
		cancel()
		return <-done
	})
}

// onStop adds something to be done when the parts are stopped.
func (p *parts) onStop(name string, fn func() error) {
	p.stops = append(p.stops, func() error {
		said := make(chan error, 1)
		if err := stopWithin(name, func() { said <- fn() }); err != nil {
			return err
		}
		return <-said
	})
}

// partBound is how long each part of a node may take to end, once the apps have.
// All of them take less, unless something hangs that nothing can end.
const partBound = 20 * time.Second

// stopWithin calls what ends a part, but does not wait for it for ever: whoever
// runs the node shall learn what hangs, and end the process.
func stopWithin(name string, end func()) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		end()
	}()
	late := time.NewTimer(partBound)
	defer late.Stop()
	select {
	case <-ended:
		return nil
	case <-late.C:
		return fmt.Errorf("stop %s: %w: not ended after %v; it ends with the process", name, pluginapi.ErrTimeout, partBound)
	}
}

func (p *parts) fail(name string, err error) {
	if err == nil {
		err = errors.New("it ended by itself")
	}
	p.mu.Lock()
	p.err = errors.Join(p.err, fmt.Errorf("run %s: %w", name, err))
	p.mu.Unlock()
	p.once.Do(func() { close(p.failed) })
}

func newParts() *parts { return &parts{failed: make(chan struct{})} }

// fault returns what made a part end by itself.
func (p *parts) fault() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// stop ends all parts, the last one first.
func (p *parts) stop() error {
	var errs []error
	for _, stop := range slices.Backward(p.stops) {
		errs = append(errs, stop())
	}
	p.stops = nil
	return errors.Join(errs...)
}

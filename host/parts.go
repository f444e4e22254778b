package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
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
	p.stops = append(p.stops, func() error {
		cancel()
		return <-done
	})
}

// onStop adds something to be done when the parts are stopped.
func (p *parts) onStop(fn func() error) { p.stops = append(p.stops, fn) }

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

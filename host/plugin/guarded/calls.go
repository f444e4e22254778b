package guarded

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/failure"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// places is how many calls of one plugin may be under way, those left behind
// among them.
const places = 64

// slow is the time after which a call that has not ended speaks against the
// plugin, even if it was its caller whose time was over.
const slow = time.Second

// calls makes the calls of one plugin.
type calls struct {
	name    string
	circuit *Circuit
	limit   time.Duration // of one call
	place   chan struct{}
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

func newCalls(name string, circuit *Circuit, limit time.Duration) *calls {
	if circuit == nil {
		circuit = new(Circuit)
	}
	return &calls{name: name, circuit: circuit, limit: limit, place: make(chan struct{}, places)}
}

// repeat makes calls until one is well or the rule has had enough. It returns how
// many were made and what the last error does.
func (c *calls) repeat(ctx context.Context, rule failure.Rule, fn func(ctx context.Context, n int) error) (n int, then failure.Outcome, err error) {
	for n = 1; ; n++ {
		if err = c.once(ctx, func(ctx context.Context) error { return fn(ctx, n) }); err == nil {
			return n, "", nil
		}
		d := rule.After(n, err)
		if !d.Again {
			return n, d.Then, err
		}
		if end, ok := ctx.Deadline(); ok && time.Until(end) <= d.Wait {
			return n, rule.Then, err // there is no time to try again
		}
		pause := time.NewTimer(d.Wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return n, rule.Then, err
		}
	}
}

// once makes one call, if the circuit allows it, and judges it.
func (c *calls) once(ctx context.Context, fn func(ctx context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	permit, ok := c.circuit.ask()
	if !ok {
		return fmt.Errorf("%w: plugin %s has crashed or gone over its limits several times", pluginapi.ErrCircuitOpen, c.name)
	}
	begun := time.Now()
	err := c.bounded(ctx, fn)
	c.circuit.done(permit, judge(ctx, err, time.Since(begun)), err)
	return err
}

// judge says what a call says about the plugin. When it was the caller whose
// time was over, that is nothing, unless the plugin had slow's time.
func judge(ctx context.Context, err error, took time.Duration) failure.Verdict {
	broken := errors.Is(err, pluginapi.ErrPluginCrashed) || errors.Is(err, pluginapi.ErrPluginProtocol)
	over := ctx.Err() != nil && !failure.IsFault(context.Cause(ctx))
	switch {
	case err == nil:
		return failure.Well
	case broken, over && errors.Is(ctx.Err(), context.DeadlineExceeded) && took >= slow:
		return failure.Fault
	case over:
		return failure.Unknown
	case failure.IsFault(err):
		return failure.Fault
	}
	return failure.Well
}

// bounded returns when fn does, or when its time is over.
func (c *calls) bounded(callers context.Context, fn func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(callers, c.limit)
	defer cancel()
	late := func() error {
		if callers.Err() != nil {
			return context.Cause(callers)
		}
		return fmt.Errorf("%w: plugin %s gave no answer within %v", pluginapi.ErrPluginLimit, c.name, c.limit)
	}
	select {
	case c.place <- struct{}{}:
	case <-ctx.Done():
		return late()
	}
	result := make(chan error, 1)
	begun := c.begin(func() {
		defer func() { <-c.place }()
		result <- recovered(ctx, fn)
	})
	if !begun {
		<-c.place
		return pluginapi.ErrShuttingDown
	}
	select {
	case err := <-result:
		if err != nil && ctx.Err() != nil && !failure.IsFault(err) {
			return late()
		}
		return err
	case <-ctx.Done():
		return late()
	}
}

// begin runs fn in a goroutine that close waits for. After close it does not.
func (c *calls) begin(fn func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.running.Go(fn)
	}
	return !c.closed
}

func recovered(ctx context.Context, fn func(ctx context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: panic: %v\n%s", pluginapi.ErrPluginCrashed, p, debug.Stack())
		}
	}()
	return fn(ctx)
}

// close waits for the calls that were left behind, and lets none begin.
func (c *calls) close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.running.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for calls of plugin %s: %w", c.name, context.Cause(ctx))
	}
}

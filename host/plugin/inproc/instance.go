package inproc

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Handler does one operation of a guest: the message of its input in, that of
// its answer out. One guest does one at a time.
type Handler func(ctx context.Context, op string, in []byte) ([]byte, error)

// Instance is a compiled-in plugin.
//
// Its limits are those of bytes and of time; a handler that does not heed its
// context cannot be ended and keeps its guest.
type Instance struct {
	fresh  func() Handler
	limits plugin.Limits
	config wire.Configure
	slots  chan *guest // one for each guest that may live; nil: not made yet
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	stats plugin.Stats
}

type guest struct {
	handler Handler
	held    any
}

// New makes an instance whose guests are made by fresh when they are needed.
func New(fresh func() Handler, contract wire.Contract, o plugin.Options) *Instance {
	i := &Instance{fresh: fresh, limits: o.Limits.WithDefaults(contract), config: o.Configure, closed: make(chan struct{})}
	i.stats.Mode = "built in"
	i.slots = make(chan *guest, i.limits.Guests)
	for range i.limits.Guests {
		i.slots <- nil
	}
	return i
}

// Call makes one call.
func (i *Instance) Call(ctx context.Context, op string, in []byte) (out []byte, err error) {
	err = i.Do(ctx, func(g *plugin.Guest) (err error) {
		out, err = g.Call(ctx, op, in)
		return err
	})
	return out, err
}

// Do gives fn one guest. After a crash, or what breaks the protocol, the guest
// is not used again.
func (i *Instance) Do(ctx context.Context, fn func(*plugin.Guest) error) error {
	g, err := i.take(ctx)
	if err != nil {
		return err
	}
	broken := false
	defer func() {
		if broken {
			g = i.discard()
		}
		i.slots <- g
	}()
	if g == nil {
		g = &guest{handler: i.fresh()}
		i.count(func(s *plugin.Stats) { s.Guests++ })
		if err := i.configure(ctx, g); err != nil {
			broken = true
			return fmt.Errorf("configure plugin: %w", err)
		}
	}
	face := &plugin.Guest{Held: g.held}
	face.Call = func(ctx context.Context, op string, in []byte) ([]byte, error) {
		if broken {
			return nil, fmt.Errorf("%w: in an earlier call", pluginapi.ErrPluginCrashed)
		}
		out, bad, err := i.run(ctx, g.handler, op, in)
		broken = broken || bad
		return out, err
	}
	err = fn(face)
	g.held = face.Held
	return err
}

func (i *Instance) take(ctx context.Context) (*guest, error) {
	select {
	case <-i.closed:
		return nil, pluginapi.ErrShuttingDown
	default:
	}
	select {
	case g := <-i.slots:
		return g, nil
	case <-i.closed:
		return nil, pluginapi.ErrShuttingDown
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a guest of the plugin: %w", context.Cause(ctx))
	}
}

func (i *Instance) discard() *guest {
	i.count(func(s *plugin.Stats) { s.Guests--; s.Restarts++ })
	return nil
}

func (i *Instance) configure(ctx context.Context, g *guest) error {
	_, _, err := i.run(ctx, g.handler, wire.OpConfigure, i.config.Append(nil))
	if errors.Is(err, pluginapi.ErrNoMethod) {
		return nil
	}
	return err
}

// run makes one call of a handler, within the limits. bad says that the guest is
// not to be used again.
func (i *Instance) run(ctx context.Context, h Handler, op string, in []byte) (out []byte, bad bool, err error) {
	if int64(len(in)) > i.limits.Input {
		return nil, false, fmt.Errorf("%w: the question has %d bytes, allowed are %d", pluginapi.ErrTooLarge, len(in), i.limits.Input)
	}
	if err := ctx.Err(); err != nil {
		return nil, false, context.Cause(ctx)
	}
	callers := ctx
	ctx, cancel := context.WithTimeout(ctx, i.limits.Call)
	defer cancel()
	out, crash, err := guarded(ctx, h, op, in)
	late := ctx.Err() != nil && callers.Err() == nil
	switch {
	case crash:
		i.count(func(s *plugin.Stats) { s.Calls++; s.Errors++; s.Crashes++ })
		return nil, true, err
	case late:
		err = fmt.Errorf("%w: call of %s: no answer within %v", pluginapi.ErrPluginLimit, op, i.limits.Call)
	case err == nil && int64(len(out)) > i.limits.Output:
		err = fmt.Errorf("%w: answer to %s: %d bytes, allowed are %d", pluginapi.ErrPluginLimit, op, len(out), i.limits.Output)
	case err != nil && callers.Err() != nil:
		i.count(func(s *plugin.Stats) { s.Calls++; s.Errors++ })
		return nil, false, fmt.Errorf("call of %s: %w", op, context.Cause(callers))
	case err != nil:
		i.count(func(s *plugin.Stats) { s.Calls++; s.Errors++ })
		failure := wire.FailureOf(err)
		return nil, false, wire.ReadFailure(failure.Append(nil))
	default:
		i.count(func(s *plugin.Stats) { s.Calls++ })
		return out, false, nil
	}
	i.count(func(s *plugin.Stats) { s.Calls++; s.Errors++; s.Limits++ })
	return nil, true, err
}

// guarded makes a crash of a panic.
func guarded(ctx context.Context, h Handler, op string, in []byte) (out []byte, crash bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, crash = nil, true
			err = fmt.Errorf("%w: panic: %v\n%s", pluginapi.ErrPluginCrashed, p, debug.Stack())
		}
	}()
	out, err = h(ctx, op, in)
	return out, false, err
}

func (i *Instance) count(fn func(*plugin.Stats)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	fn(&i.stats)
}

// Stats is what has happened so far.
func (i *Instance) Stats() plugin.Stats {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.stats
}

// Close waits for the calls that run.
func (i *Instance) Close(ctx context.Context) error {
	i.once.Do(func() { close(i.closed) })
	for n := range i.limits.Guests {
		select {
		case <-i.slots:
		case <-ctx.Done():
			for range n {
				i.slots <- nil
			}
			return fmt.Errorf("close plugin: %w", context.Cause(ctx))
		}
	}
	for range i.limits.Guests {
		i.slots <- nil
	}
	i.count(func(s *plugin.Stats) { s.Guests = 0 })
	return nil
}

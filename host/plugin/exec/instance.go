package exec

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// everybody is the weight of one who wants an instance for himself.
const everybody = 1 << 30

// Instance is a plugin binary that runs. One process is its one guest; it does
// all calls at a time, but for those in [Instance.Do].
type Instance struct {
	runtime  *Runtime
	artifact plugin.Artifact
	options  plugin.Options
	key      string // its name, which no other instance of any host has
	dir      string
	mark     string
	group    string // folder of its control group; "" without one
	log      *sink

	turns   *semaphore.Weighted // a call has 1, who has the guest alone has everybody
	closing chan struct{}       // closed when the process shall end
	ended   chan struct{}       // closed when all that it started has ended
	cut     context.CancelFunc  // ends a start that is under way

	calls, errs, crashes, limits, restarts atomic.Uint64

	mu      sync.Mutex
	closed  bool
	current *process      // nil while there is none to call
	changed chan struct{} // closed, and replaced, when current changes
	trouble error         // why there is none
	note    string        // which limits do not hold, and why
}

var _ plugin.Instance = (*Instance)(nil)

func (i *Instance) init() *Instance {
	i.log = newSink(i.options.Logger.With("plugin", i.artifact.Name), i.options.Limits.Log)
	i.turns = semaphore.NewWeighted(everybody)
	i.closing, i.ended, i.changed = make(chan struct{}), make(chan struct{}), make(chan struct{})
	return i
}

// Fences returns what must be killed for everything of the plugin to be dead.
// It is the same for the life of the instance, whichever process serves it.
func (i *Instance) Fences() []pluginapi.Fence { return fencesOf(i.group, i.mark) }

// Isolation says what bounds the plugin: "" when all its limits hold, else
// which do not, and why.
func (i *Instance) Isolation() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.note
}

// Call makes one call. While the plugin is restarted it waits for the new
// process, as long as its context and Limits.Call allow.
//
// # Errors
//
// What the plugin answered, a *[wire.Error]. Before anything was sent:
// ErrTooLarge for a question over Limits.Input, ErrUnreachable and the reason
// when no process came in time, ErrPluginDisabled after Close. Afterwards each
// error is ErrUnknownOutcome too: ErrPluginCrashed when the process ended,
// ErrPluginLimit when it went over its time, memory or output, ErrPluginProtocol
// for nonsense, and ErrTimeout or the context's error when the context ended
// first; then the plugin is told that nobody waits, and is only replaced when it
// hangs, or the call is still not over after Limits.Call.
func (i *Instance) Call(ctx context.Context, op string, in []byte) ([]byte, error) {
	out, err := i.callAny(ctx, op, in)
	return out, i.count(err, op)
}

func (i *Instance) count(err error, op string) error {
	i.calls.Add(1)
	if err == nil {
		return nil
	}
	i.errs.Add(1)
	return fmt.Errorf("call %s of plugin %s: %w", op, i.artifact.Name, err)
}

func (i *Instance) callAny(ctx context.Context, op string, in []byte) ([]byte, error) {
	wait, cancel := context.WithTimeoutCause(ctx, i.options.Limits.Call, fmt.Errorf("%w after %v", pluginapi.ErrTimeout, i.options.Limits.Call))
	defer cancel()
	if err := i.turns.Acquire(wait, 1); err != nil {
		return nil, unreached(wait, errors.New("another has the plugin for itself"))
	}
	defer i.turns.Release(1)
	for {
		p, err := i.await(wait)
		if err != nil {
			return nil, err
		}
		out, err := p.call(ctx, op, in)
		if !errors.Is(err, errNotSent) {
			return out, err
		}
		p.condemn(err) // nothing was sent: the next process may have it
	}
}

// await returns a process that can be called.
func (i *Instance) await(ctx context.Context) (*process, error) {
	for {
		i.mu.Lock()
		p, changed, trouble, closed := i.current, i.changed, i.trouble, i.closed
		i.mu.Unlock()
		switch {
		case closed:
			return nil, fmt.Errorf("%w: it is closed", pluginapi.ErrPluginDisabled)
		case p != nil && !p.condemned():
			return p, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, unreached(ctx, trouble)
		}
	}
}

func unreached(ctx context.Context, trouble error) error {
	return errors.Join(fmt.Errorf("%w: no process of it can be called: %w", pluginapi.ErrUnreachable, context.Cause(ctx)), trouble)
}

// publish makes next the process to be called, if old is the one now.
func (i *Instance) publish(old, next *process, trouble error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.current != old {
		return
	}
	i.current = next
	if trouble != nil || next != nil {
		i.trouble = trouble
	}
	close(i.changed)
	i.changed = make(chan struct{})
}

// Do gives fn the guest alone. A call in fn that ends with the context ends the
// guest too: what it went on to do would be unknown to the next.
//
// # Errors
//
// Those of fn; before it is called those of [Instance.Call] before anything
// was sent.
func (i *Instance) Do(ctx context.Context, fn func(*plugin.Guest) error) error {
	wait, cancel := context.WithTimeoutCause(ctx, i.options.Limits.Call, fmt.Errorf("%w after %v", pluginapi.ErrTimeout, i.options.Limits.Call))
	defer cancel()
	if err := i.turns.Acquire(wait, everybody); err != nil {
		return fmt.Errorf("use plugin %s: %w", i.artifact.Name, unreached(wait, errors.New("others are using it")))
	}
	defer i.turns.Release(everybody)
	p, err := i.await(wait)
	if err != nil {
		return fmt.Errorf("use plugin %s: %w", i.artifact.Name, err)
	}
	g := &plugin.Guest{Held: p.held}
	g.Call = func(ctx context.Context, op string, in []byte) ([]byte, error) {
		out, err := p.call(ctx, op, in)
		var told *wire.Error
		if err != nil && ctx.Err() != nil && !errors.As(err, &told) {
			p.condemn(err)
		}
		return out, i.count(err, op)
	}
	err = fn(g)
	p.held = g.Held
	return err
}

// Stats is what has happened so far.
func (i *Instance) Stats() plugin.Stats {
	s := plugin.Stats{
		Calls: i.calls.Load(), Errors: i.errs.Load(), Crashes: i.crashes.Load(),
		Limits: i.limits.Load(), Restarts: i.restarts.Load(), Mode: "process",
	}
	i.mu.Lock()
	p := i.current
	i.mu.Unlock()
	if p != nil && !p.condemned() {
		s.Guests, s.Memory = 1, p.run.memory()
	}
	return s
}

// Close refuses new calls, waits for those that run as long as the context
// allows, asks the process to end and kills it when it does not within 2 s or
// the context. When it returns nothing of the plugin runs. It may be called
// again, and at any time.
//
// # Errors
//
// What could not be killed or removed.
func (i *Instance) Close(ctx context.Context) error {
	i.mu.Lock()
	first := !i.closed
	if first { // who waits for a process waits no longer
		i.closed = true
		close(i.changed)
		i.changed = make(chan struct{})
	}
	i.mu.Unlock()
	if !first {
		<-i.ended
		return nil
	}
	if i.turns.Acquire(ctx, everybody) == nil {
		i.turns.Release(everybody)
	}
	stop := context.AfterFunc(ctx, i.cut)
	defer stop()
	close(i.closing)
	<-i.ended
	i.cut()
	later, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	err := guardKill(later, i.Fences())
	if err != nil { // the guard still has to know, and the next host
		return fmt.Errorf("close plugin %s: %w", i.artifact.Name, err)
	}
	if err := errors.Join(i.runtime.enlist(later, i, false), i.uninstall()); err != nil {
		return fmt.Errorf("close plugin %s: %w", i.artifact.Name, err)
	}
	return nil
}

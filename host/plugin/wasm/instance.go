package wasm

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// closeGrace is how long Close waits for calls that it has ended: they come back
// with their next slice of fuel, or when the host has answered them.
const closeGrace = 5 * time.Second

// instance is a loaded plugin: compiled code, and the guests that run it.
type instance struct {
	runtime   *Runtime
	artifact  plugin.Artifact
	limits    plugin.Limits
	host      plugin.Host
	configure []byte // wire.Configure
	seed      uint64
	fixed     bool // clocks stand still and random numbers are the same everywhere
	slice     int64
	out       *output

	entry *entry
	ops   []string

	killed context.Context // ends when the calls that run must end
	kill   context.CancelFunc

	mu       sync.Mutex
	idle     []*guest // the one used last is the first to be used again
	live     int      // guests that are idle, lent, or being made
	waiting  []chan *guest
	memory   uint64
	stats    plugin.Stats
	closed   bool
	freed    bool
	emptied  chan struct{} // closed when the instance is closed, and freed after its last guest
	closeErr error         // of freeing it; read after emptied
}

// Call makes one call on a guest that is free.
func (i *instance) Call(ctx context.Context, op string, in []byte) ([]byte, error) {
	g, err := i.acquire(ctx, op)
	if err != nil {
		return nil, err
	}
	out, err := g.do(ctx, op, in)
	i.release(g)
	return out, err
}

// Do lends a guest to fn.
func (i *instance) Do(ctx context.Context, fn func(*plugin.Guest) error) error {
	g, err := i.acquire(ctx, "do")
	if err != nil {
		return err
	}
	defer i.release(g)
	g.lent.Store(true)
	defer g.lent.Store(false)
	return fn(&g.handle)
}

// Stats is what has happened so far, without the calls that run.
func (i *instance) Stats() plugin.Stats {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := i.stats
	s.Guests, s.Memory, s.Mode = i.live, int64(i.memory), i.runtime.mode
	return s
}

// acquire takes a guest: the one used last, a new one, or the next to be free.
func (i *instance) acquire(ctx context.Context, op string) (*guest, error) {
	if ctx.Value(insideKey{}) == i {
		return nil, i.fail(op, pluginapi.ErrBusy, "the plugin calls itself through its host")
	}
	i.mu.Lock()
	switch n := len(i.idle); {
	case i.closed:
		i.mu.Unlock()
		return nil, i.fail(op, pluginapi.ErrPluginDisabled, "it is unloaded")
	case n > 0:
		g := i.idle[n-1]
		i.idle = i.idle[:n-1]
		i.mu.Unlock()
		return g, nil
	case i.live < i.limits.Guests:
		i.live++
		i.mu.Unlock()
		return i.makeGuest(ctx)
	}
	turn := make(chan *guest, 1)
	i.waiting = append(i.waiting, turn)
	i.mu.Unlock()
	return i.wait(ctx, op, turn)
}

// wait waits for a turn: a guest, or nil for the right to make one.
func (i *instance) wait(ctx context.Context, op string, turn chan *guest) (*guest, error) {
	select {
	case g, ok := <-turn:
		return i.take(ctx, op, g, ok)
	case <-ctx.Done():
	}
	i.mu.Lock()
	at := slices.Index(i.waiting, turn)
	if at >= 0 {
		i.waiting = slices.Delete(i.waiting, at, at+1)
	}
	i.mu.Unlock()
	if at < 0 { // the turn came at the same time: pass it on
		switch g, ok := <-turn; {
		case g != nil:
			i.release(g)
		case ok:
			i.lost(nil)
		}
	}
	return nil, i.failed(op, fmt.Errorf("wait for one of %d guests: %w", i.limits.Guests, context.Cause(ctx)))
}

func (i *instance) take(ctx context.Context, op string, g *guest, ok bool) (*guest, error) {
	switch {
	case !ok:
		return nil, i.fail(op, pluginapi.ErrPluginDisabled, "it is unloaded")
	case g == nil:
		return i.makeGuest(ctx)
	}
	return g, nil
}

// makeGuest makes a guest in a place that is counted already.
func (i *instance) makeGuest(ctx context.Context) (*guest, error) {
	g, err := i.newGuest(ctx)
	if err != nil {
		i.lost(g)
		return nil, err
	}
	i.mu.Lock()
	i.settle(g)
	i.mu.Unlock()
	return g, nil
}

// release takes a guest back, or throws it away.
func (i *instance) release(g *guest) {
	if g.dead != nil || g.tired() {
		i.lost(g)
		return
	}
	i.mu.Lock()
	if i.closed {
		i.mu.Unlock()
		i.lost(g)
		return
	}
	i.settle(g)
	if len(i.waiting) > 0 {
		i.next() <- g
	} else {
		i.idle = append(i.idle, g)
	}
	i.mu.Unlock()
}

// lost throws a guest away, and gives its place to who waits longest. A nil
// guest is a place in which none was made.
func (i *instance) lost(g *guest) {
	if g != nil {
		g.discard()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if g != nil {
		g.size = 0
		i.settle(g)
		if !i.closed {
			i.stats.Restarts++
		}
	}
	if len(i.waiting) > 0 {
		i.next() <- nil
		return
	}
	i.live--
	i.closeWhenEmpty()
}

// settle adds to the figures what a guest has done since the last time.
func (i *instance) settle(g *guest) {
	t := &g.tally
	i.stats.Calls += t.calls
	i.stats.Errors += t.errors
	i.stats.Crashes += t.crashes
	i.stats.Limits += t.limits
	i.memory += g.size - g.counted
	g.tally, g.counted = tally{}, g.size
}

// next is the turn of who waits longest.
func (i *instance) next() chan<- *guest {
	turn := i.waiting[0]
	i.waiting = slices.Delete(i.waiting, 0, 1)
	return turn
}

// Close waits for the calls that run, ends them when its context is over, and
// frees what the instance has. Later calls get ErrPluginDisabled.
func (i *instance) Close(ctx context.Context) error {
	i.mu.Lock()
	i.closed = true
	idle := i.idle
	i.idle = nil
	for _, turn := range i.waiting {
		close(turn)
	}
	i.waiting = nil
	i.closeWhenEmpty()
	i.mu.Unlock()
	for _, g := range idle {
		i.lost(g)
	}
	select {
	case <-i.emptied:
		return i.closeErr
	case <-ctx.Done():
	}
	i.kill()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
	defer cancel()
	select {
	case <-i.emptied:
		return i.closeErr
	case <-grace.Done():
		return i.failed("unload", fmt.Errorf("calls still run: %w", grace.Err()))
	}
}

// closeWhenEmpty frees the code when the instance is closed and its last guest
// is gone. The caller holds the lock.
func (i *instance) closeWhenEmpty() {
	if !i.closed || i.live > 0 || i.freed {
		return
	}
	i.freed = true
	i.kill()
	i.out.finish()
	i.closeErr = i.free(context.WithoutCancel(i.killed))
	close(i.emptied)
}

// free gives back the compiled code.
func (i *instance) free(ctx context.Context) error {
	i.runtime.mu.Lock()
	delete(i.runtime.instances, i)
	i.runtime.mu.Unlock()
	return i.runtime.drop(ctx, i.entry)
}

// startLimit is how long a guest may take to start.
func (i *instance) startLimit() time.Duration { return max(i.runtime.maxStart, i.limits.Call) }

// fail is an error of an operation of this plugin.
func (i *instance) fail(op string, kind error, text string) error {
	return i.failed(op, &trap{kind, text})
}

func (i *instance) failed(op string, err error) error {
	return fmt.Errorf("plugin %s %s: %s: %w", i.artifact.Name, i.artifact.Version, clip(op, maxOpName), err)
}

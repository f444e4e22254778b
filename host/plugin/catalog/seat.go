package catalog

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Handle is a plugin for one who uses it: an app, or the platform. Its calls go
// to the version that is active at this moment. A call that runs while the
// version changes ends on the old one, and no call is refused because of the
// change. It is a [plugin.Instance].
type Handle struct {
	name  string
	use   Use
	now   atomic.Pointer[loaded]
	gone  atomic.Pointer[error] // why there is no version; read when now is nil
	close func(context.Context) error

	mu    sync.Mutex
	past  plugin.Stats         // of the versions that have ended
	loads map[*loaded]struct{} // the present one, those that wait, those that end
}

func newHandle(name string, u Use, close func(context.Context) error) *Handle {
	h := &Handle{name: name, use: u, close: close, loads: map[*loaded]struct{}{}}
	h.empty(fmt.Errorf("%w: %s: it is not active on this node yet", pluginapi.ErrPluginNotFound, name))
	return h
}

// empty says what calls get while there is no version.
func (h *Handle) empty(why error) { h.gone.Store(&why) }

// enter returns the present version with one more call on it; leave it.
func (h *Handle) enter() (*loaded, error) {
	for {
		l := h.now.Load()
		if l == nil {
			return nil, *h.gone.Load()
		}
		if l.enter() {
			return l, nil
		}
		// It was swapped between the two lines: there is another one by now.
	}
}

// Call makes one call of the present version.
//
// # Errors
//
// ErrPluginNotFound and ErrPluginDisabled when there is none on this node,
// otherwise as of [plugin.Instance].
func (h *Handle) Call(ctx context.Context, op string, in []byte) ([]byte, error) {
	l, err := h.enter()
	if err != nil {
		return nil, err
	}
	defer l.leave()
	begun := l.meter.begin()
	out, err := l.inst.Call(ctx, op, in)
	l.meter.end(ctx, begun, err)
	return out, err
}

// Do gives fn one guest of the present version, which stays the same one until
// fn returns.
func (h *Handle) Do(ctx context.Context, fn func(*plugin.Guest) error) error {
	l, err := h.enter()
	if err != nil {
		return err
	}
	defer l.leave()
	return l.inst.Do(ctx, func(g *plugin.Guest) error {
		call := g.Call
		defer func() { g.Call = call }()
		g.Call = func(ctx context.Context, op string, in []byte) ([]byte, error) {
			begun := l.meter.begin()
			out, err := call(ctx, op, in)
			l.meter.end(ctx, begun, err)
			return out, err
		}
		return fn(g)
	})
}

// Stats is what has happened so far, to all versions together. What lives now is
// of the present one.
func (h *Handle) Stats() plugin.Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	sum := h.past
	now := h.now.Load()
	for l := range h.loads {
		s := l.inst.Stats()
		sum = added(sum, s)
		if l == now {
			sum.Guests, sum.Memory, sum.Mode = s.Guests, s.Memory, s.Mode
		}
	}
	return sum
}

// added adds what s has counted; what lives stays that of sum.
func added(sum, s plugin.Stats) plugin.Stats {
	sum.Calls += s.Calls
	sum.Errors += s.Errors
	sum.Crashes += s.Crashes
	sum.Limits += s.Limits
	sum.Restarts += s.Restarts
	return sum
}

// Close ends this use of the plugin, not the plugin.
func (h *Handle) Close(ctx context.Context) error { return h.close(ctx) }

// add makes a version known that was loaded for this handle.
func (h *Handle) add(inst plugin.Instance, m *meter) *loaded {
	l := newLoaded(inst, m)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.loads[l] = struct{}{}
	return l
}

// swap puts a version in the place of the present one, nil for none, and returns
// that: calls may still run on it.
func (h *Handle) swap(l *loaded) (old *loaded) { return h.now.Swap(l) }

// ended keeps what a version has counted that has ended.
func (h *Handle) ended(l *loaded) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.past = added(h.past, l.inst.Stats())
	delete(h.loads, l)
}

// loaded is one version of a plugin, loaded for one use.
type loaded struct {
	inst  plugin.Instance
	meter *meter

	refs atomic.Int64  // calls that run; draining is a bit far above
	idle chan struct{} // closed when it drains and no call runs any more
}

const draining = 1 << 40

func newLoaded(inst plugin.Instance, m *meter) *loaded {
	return &loaded{inst: inst, meter: m, idle: make(chan struct{})}
}

// enter says whether one more call may begin.
func (l *loaded) enter() bool {
	if l.refs.Add(1) < draining {
		return true
	}
	l.leave()
	return false
}

func (l *loaded) leave() {
	// Another one may come, in vain, between the two: then it is the last.
	if l.refs.Add(-1) == draining && l.refs.CompareAndSwap(draining, 2*draining) {
		close(l.idle)
	}
}

// end lets no call in any more, waits for those that run as long as ctx allows,
// and closes the instance. Nothing may point to it any more.
func (l *loaded) end(ctx context.Context) error {
	l.refs.Add(1)
	l.refs.Add(draining)
	l.leave()
	select {
	case <-l.idle:
	case <-ctx.Done():
	}
	return l.inst.Close(ctx)
}

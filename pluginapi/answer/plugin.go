package answer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Plugin answers the operations of one guest. The contract that is set is the
// one that it has; About says which to the host. Do may be called by several
// goroutines at a time, as far as Configure and the contract can.
type Plugin struct {
	About     wire.Description
	Configure func(ctx context.Context, c wire.Configure) error // nil: there is nothing to configure
	Policy    pluginapi.Policy
	Hook      pluginapi.Hook
	Backend   pluginapi.Backend // Killable and Supervised are looked for

	mu     sync.Mutex
	table  *pluginapi.Table // the one that was given last; nil: none
	failed string           // what Supervised has said since the last start
	held   *atomic.Bool     // the lease of the last start
}

// Do does one operation. The answer, and what Configure is given, share no
// memory with in.
//
// # Errors
//
// Those of the contract; ErrNoMethod for an operation that the plugin does not
// have; ErrStale for a table that it does not hold; one that wraps
// ErrPluginProtocol for bytes that are no message.
func (p *Plugin) Do(ctx context.Context, op string, in []byte) ([]byte, error) {
	switch op {
	case wire.OpDescribe:
		return p.About.Append(nil), nil
	case wire.OpConfigure:
		return nil, p.configure(ctx, in)
	}
	switch {
	case p.Policy != nil && op == wire.OpCandidates:
		return nil, p.candidates(in)
	case p.Policy != nil && op == wire.OpRank:
		return p.rank(ctx, in)
	case p.Hook != nil && op == wire.OpEvent:
		var m wire.Event
		if err := m.Decode(slices.Clone(in)); err != nil {
			return nil, err
		}
		return nil, p.Hook.Handle(ctx, m.HookEvent)
	case p.Backend != nil:
		return p.backend(ctx, op, in)
	}
	return nil, noMethod(op)
}

func noMethod(op string) error { return fmt.Errorf("%w: %.40q", pluginapi.ErrNoMethod, op) }

func (p *Plugin) configure(ctx context.Context, in []byte) error {
	var m wire.Configure
	if err := m.Decode(slices.Clone(in)); err != nil || p.Configure == nil {
		return err
	}
	return p.Configure(ctx, m)
}

func (p *Plugin) backend(ctx context.Context, op string, in []byte) ([]byte, error) {
	switch op {
	case wire.OpBind:
		return p.bind(in)
	case wire.OpStart:
		var m wire.Start
		if err := m.Decode(in); err != nil {
			return nil, err
		}
		p.drainFailed()
		return nil, p.Backend.Start(p.withEpoch(ctx, m.Epoch))
	case wire.OpStop:
		var m wire.Stop
		if err := m.Decode(in); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, milliseconds(m.GraceMS))
		defer cancel()
		p.endLease()
		err := p.Backend.Stop(ctx)
		p.drainFailed()
		return nil, err
	case wire.OpStatus:
		return p.status(ctx)
	}
	return nil, noMethod(op)
}

func milliseconds(ms int64) time.Duration {
	return time.Duration(min(max(ms, 0), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

// withEpoch gives a start its lease. Its true length is not known here: it holds
// until the host says stop, and a host that loses it says so, or its guard kills
// what Bind named.
func (p *Plugin) withEpoch(ctx context.Context, epoch uint64) context.Context {
	p.endLease()
	if epoch == 0 {
		return ctx
	}
	held := new(atomic.Bool)
	held.Store(true)
	p.mu.Lock()
	p.held = held
	p.mu.Unlock()
	return pluginapi.WithLease(ctx, pluginapi.Lease{
		Epoch: pluginapi.Epoch(epoch),
		Valid: held.Load,
		Until: func() time.Duration { return 0 },
	})
}

// endLease ends the lease of the last start.
func (p *Plugin) endLease() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != nil {
		p.held.Store(false)
	}
}

func (p *Plugin) bind(in []byte) ([]byte, error) {
	var m wire.Bind
	if err := m.Decode(slices.Clone(in)); err != nil {
		return nil, err
	}
	k, ok := p.Backend.(pluginapi.Killable)
	if !ok {
		return nil, noMethod(wire.OpBind)
	}
	fences, err := k.Bind(pluginapi.Instance{Platform: m.Platform, Node: m.Node, App: m.App, Dir: m.Dir})
	if err != nil {
		return nil, err
	}
	return (&wire.Fences{Fences: fences}).Append(nil), nil
}

func (p *Plugin) status(ctx context.Context) ([]byte, error) {
	h, err := p.Backend.Health(ctx)
	if err != nil {
		return nil, err
	}
	m := wire.Status{Status: h.Status, Message: h.Message, UptimeMS: h.Uptime.Milliseconds(), Failed: p.readFailed()}
	return m.Append(nil), nil
}

// readFailed keeps what Supervised says once, for every status until the next
// start or stop.
func (p *Plugin) readFailed() string {
	s, ok := p.Backend.(pluginapi.Supervised)
	if !ok {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case err, open := <-s.Failed():
		if open && err != nil {
			p.failed = err.Error()
		}
	default:
	}
	return p.failed
}

func (p *Plugin) drainFailed() {
	p.readFailed()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = ""
}

// Fault is an error with a word of the plugin's own for its code, and whether
// trying again may help.
func Fault(code, text string, retry bool) error {
	return &wire.Error{Code: code, Text: text, Retry: retry}
}

// IsRetry says whether an error of the other side says that trying again may
// help.
func IsRetry(err error) bool {
	var m *wire.Error
	return errors.As(err, &m) && m.Retry
}

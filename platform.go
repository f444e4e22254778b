package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/host"
	"github.com/ozanturksever/go-cluster/host/bus/embedded"
	"github.com/ozanturksever/go-cluster/host/core/membership"
	"github.com/ozanturksever/go-cluster/host/events"
	"github.com/ozanturksever/go-cluster/host/monitor"
	"github.com/ozanturksever/go-cluster/host/observe"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Platform is one node of a platform: a set of nodes that share apps.
type Platform struct {
	cfg  host.Config
	urls string

	mu     sync.Mutex
	apps   []*App
	faults []error
	labels []LabelWatcherFunc
	node   *host.Node

	begun chan struct{} // closed when Run has been called and has checked what it was given
	once  sync.Once
}

// NewPlatform checks its arguments and returns a platform that has started
// nothing.
//
// name is the platform's name and nodeID this node's, unique in the platform:
// 1 to 63 of A-Z a-z 0-9 - _. natsURL is one or more URLs of an existing NATS,
// separated by commas; "" starts an embedded server, or joins those of other
// nodes, see [WithJoin].
//
//	platform, err := cluster.NewPlatform("prod", "node-1", "nats://localhost:4222",
//		cluster.Labels(map[string]string{"zone": "us-east-1"}),
//	)
//
// # Errors
//
// Every mistake in the arguments and options at once; each wraps ErrInvalid.
// That NATS cannot be reached is found by [Platform.Run].
func NewPlatform(name, nodeID, natsURL string, opts ...PlatformOption) (*Platform, error) {
	p := &Platform{cfg: host.Config{Platform: name, Node: nodeID, Events: events.New()}, urls: natsURL, begun: make(chan struct{})}
	for i, o := range opts {
		if o == nil {
			p.faults = append(p.faults, fmt.Errorf("%w: platform option %d is nil", ErrInvalid, i+1))
			continue
		}
		o(&p.cfg)
	}
	if natsURL != "" {
		if p.cfg.Embedded != nil {
			p.faults = append(p.faults, fmt.Errorf("%w: both a NATS URL and an embedded server are given: leave one out", ErrInvalid))
		}
		p.cfg.Embedded = nil
		p.cfg.NATS.URLs = strings.Split(natsURL, ",")
	} else if p.cfg.Embedded == nil && p.cfg.Join == nil {
		p.cfg.Embedded = &embedded.Config{}
	}
	p.cfg.OnLabels = p.tellLabels
	if err := errors.Join(append(p.faults, p.cfg.Check())...); err != nil {
		return nil, err
	}
	p.cfg.Checks, p.cfg.Figures = monitor.New(), observe.NewFigures(name, nodeID)
	return p, nil
}

// Register adds an app. It must be called before [Platform.Run]; a mistake (no
// app, a name twice, too late) is reported by Run.
func (p *Platform) Register(app *App) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case app == nil:
		p.faults = append(p.faults, fmt.Errorf("%w: register: the app is nil", ErrInvalid))
	case p.node != nil:
		p.faults = append(p.faults, fmt.Errorf("%w: app %s was registered after Run: register it before", ErrInvalid, app.name))
	case app.platform != nil:
		p.faults = append(p.faults, fmt.Errorf("%w: app %s is registered twice", ErrInvalid, app.name))
	default:
		app.platform = p
		p.apps = append(p.apps, app)
	}
}

// fault notes a mistake that Run reports when it returns.
func (p *Platform) fault(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...))
}

// Run joins the platform, runs the registered apps and returns when the context
// has ended and everything that was started has stopped: leaderships are handed
// over to standbys, sessions are given back.
//
// # Errors
//
// Every mistake in apps and options at once, before anything starts;
// ErrNodeAlreadyPresent when another living node has this id; what keeps the
// node from reaching NATS or its data directory. nil when the context ended it.
func (p *Platform) Run(ctx context.Context) error {
	node, err := p.build()
	p.once.Do(func() { close(p.begun) })
	if err != nil {
		return err
	}
	err = node.Run(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(append(p.faults, err)...)
}

func (p *Platform) build() (*host.Node, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.node != nil {
		return nil, fmt.Errorf("%w: the platform was run before: make a new one", ErrInvalid)
	}
	cfg := p.cfg
	faults := slices.Clone(p.faults)
	for _, a := range p.apps {
		faults = append(faults, a.check())
		cfg.Apps = append(cfg.Apps, a.spec())
	}
	if err := errors.Join(append(faults, cfg.Check())...); err != nil {
		return nil, err
	}
	node, err := host.New(cfg)
	if err != nil {
		return nil, err
	}
	p.node = node
	return node, nil
}

// host returns the node, nil before Run.
func (p *Platform) host() *host.Node {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.node
}

// running returns the node, or an error before Run.
func (p *Platform) running() (*host.Node, error) {
	n := p.host()
	if n == nil {
		return nil, fmt.Errorf("%w: the platform does not run: call Run first", ErrInvalid)
	}
	return n, nil
}

// await returns the node as soon as Run has been called.
func (p *Platform) await(ctx context.Context) (*host.Node, error) {
	select {
	case <-p.begun:
		if n := p.host(); n != nil {
			return n, nil
		}
		return nil, fmt.Errorf("%w: Run has refused the platform: see what it returned", ErrInvalid)
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, fmt.Errorf("wait for Run, which was not called: %w", ErrTimeout)
	}
	return nil, fmt.Errorf("wait for Run, which was not called: %w", ctx.Err())
}

// Name returns the platform's name.
func (p *Platform) Name() string { return p.cfg.Platform }

// NodeID returns this node's id.
func (p *Platform) NodeID() string { return p.cfg.Node }

// NATS returns the node's connection, nil before Run has connected. See Ready.
func (p *Platform) NATS() *nats.Conn {
	if n := p.host(); n != nil && n.Bus() != nil {
		return n.Bus().NATS()
	}
	return nil
}

// JetStream returns the JetStream context of the node's connection, nil before
// Run has connected.
func (p *Platform) JetStream() jetstream.JetStream {
	if n := p.host(); n != nil && n.Bus() != nil {
		return n.Bus().JetStream()
	}
	return nil
}

// WaitReady returns when this node has joined the platform. It may be called
// before Run, from another goroutine than the one that is going to call it.
//
// # Errors
//
// ErrTimeout or the context's error; ErrShuttingDown when Run has returned;
// ErrInvalid when Run has refused what it was given.
func (p *Platform) WaitReady(ctx context.Context) error {
	n, err := p.await(ctx)
	if err != nil {
		return err
	}
	return n.WaitReady(ctx)
}

// Membership returns the membership of the platform.
func (p *Platform) Membership() *Membership { return &Membership{p} }

// UpdateNodeLabels sets labels on any node that the platform has ever seen, and
// leaves its other labels as they are. An empty value is a value; RemoveLabel
// takes a label away.
//
// # Errors
//
// ErrNodeNotFound; ErrInvalid for a label that is not allowed; ErrTimeout or
// the context's error.
func (p *Platform) UpdateNodeLabels(ctx context.Context, nodeID string, labels map[string]string) error {
	return p.edit(ctx, nodeID, membership.Edit{Set: maps.Clone(labels)})
}

// SetLabels sets labels on this node and leaves its other labels as they are.
func (p *Platform) SetLabels(ctx context.Context, labels map[string]string) error {
	return p.UpdateNodeLabels(ctx, p.NodeID(), labels)
}

// RemoveLabel takes labels away from any node.
func (p *Platform) RemoveLabel(ctx context.Context, nodeID string, keys ...string) error {
	return p.edit(ctx, nodeID, membership.Edit{Remove: keys})
}

func (p *Platform) edit(ctx context.Context, nodeID string, e membership.Edit) error {
	if err := pluginapi.CheckName("node", nodeID); err != nil {
		return err
	}
	n, err := p.running()
	if err != nil {
		return err
	}
	_, err = n.Edit(ctx, nodeID, e)
	return err
}

// WatchLabels calls fn after each change of the labels of any node; the labels
// that a node has when it is first seen are no change. fn must return soon.
func (p *Platform) WatchLabels(fn LabelWatcherFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fn == nil {
		p.faults = append(p.faults, fmt.Errorf("%w: WatchLabels: the function is nil", ErrInvalid))
		return
	}
	p.labels = append(p.labels, fn)
}

func (p *Platform) tellLabels(node string, labels map[string]string) {
	p.mu.Lock()
	fns := slices.Clone(p.labels)
	p.mu.Unlock()
	for _, fn := range fns {
		fn(node, maps.Clone(labels))
	}
}

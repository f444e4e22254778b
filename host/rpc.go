package host

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/rpc"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Calls are the methods of an app that others may call.
type Calls struct {
	Handlers map[string]rpc.Handler // with their middleware around them
	Named    []error                // errors that keep their name on the wire
	Pool     int                    // calls that run at the same time; 0: the default
}

// makeServers makes what answers the calls to the apps that have methods.
func (n *Node) makeServers() {
	for _, a := range n.cfg.Apps {
		if len(a.Calls.Handlers) == 0 {
			continue
		}
		cfg := rpc.ServerConfig{
			Platform: n.cfg.Platform, App: a.Name, Node: n.cfg.Node,
			Handlers: a.Calls.Handlers, Named: a.Calls.Named, Pool: a.Calls.Pool,
			Bus: callBus{n}, Observer: n.callFigures(), Logger: n.log,
		}
		if a.Singleton {
			cfg.Lease = func() (pluginapi.Lease, bool) { return n.Lease(a.Name) }
		}
		n.callees[a.Name] = rpc.NewServer(cfg)
	}
	n.client = rpc.NewClient(rpc.ClientConfig{Node: n.cfg.Node, Bus: callBus{n}, Directory: newDirectory(n), Observer: n.callFigures()})
}

// serveCalls answers calls to the singletons from now on; a spread app answers
// while it is active. stop ends all calls, to this node and from it.
func (n *Node) serveCalls(life context.Context) (stop func(), err error) {
	life, end := context.WithCancel(life)
	var watching sync.WaitGroup
	watching.Go(func() { n.reviewCalls(life) })
	stop = func() {
		ctx, cancel := context.WithTimeout(context.Background(), n.cfg.ShutdownTimeout/3)
		defer cancel()
		var all sync.WaitGroup
		for _, s := range n.callees {
			all.Go(func() { s.Close(ctx) })
		}
		all.Wait()
		n.client.Close()
		end()
		watching.Wait()
	}
	for _, a := range n.cfg.Apps {
		if s := n.callees[a.Name]; s != nil && a.Singleton {
			if err := s.Open(); err != nil {
				return stop, err
			}
		}
	}
	return stop, nil
}

// reviewCalls ends the calls to nodes that are no members any more.
func (n *Node) reviewCalls(ctx context.Context) {
	changed, cancel := n.Changes()
	defer cancel()
	for {
		select {
		case <-changed:
			n.client.Review()
		case <-ctx.Done():
			return
		}
	}
}

// becomeActive calls the hooks of an app that becomes active, and lets calls in
// when they have done what calls stand on.
func (n *Node) becomeActive(ctx context.Context, a *instance) error {
	hooks := a.Hooks.Start
	if a.Singleton {
		hooks = a.Hooks.Active
	}
	if err := call(ctx, hooks); err != nil {
		return err
	}
	s := n.callees[a.Name]
	if s == nil {
		return nil
	}
	if l, ok := pluginapi.LeaseFrom(ctx); ok {
		s.Lead(l.Epoch)
		return nil
	}
	return s.Open()
}

// becomePassive waits until no call runs for the leader any more, and then calls
// the hooks.
func (n *Node) becomePassive(ctx context.Context, a *instance) error {
	if s := n.callees[a.Name]; s != nil {
		s.Yield(ctx)
	}
	return call(ctx, a.Hooks.Passive)
}

// endApp ends the calls of an app, within half of the time that there is, and
// then calls the hooks.
func (n *Node) endApp(ctx context.Context, a *instance) error {
	if s := n.callees[a.Name]; s != nil {
		bounded, cancel := context.WithTimeout(ctx, a.HookTimeout/2)
		s.Close(bounded)
		cancel()
	}
	return call(ctx, a.Hooks.Stop)
}

// Call makes a call.
//
// # Errors
//
// As of [rpc.Client.Do]; ErrInvalid before the node is connected.
func (n *Node) Call(ctx context.Context, c rpc.Call) ([]byte, error) {
	if _, err := n.Conn(); err != nil {
		return nil, fmt.Errorf("call %.140s of app %.70s: %w", c.Method, c.App, err)
	}
	return n.client.Do(ctx, c)
}

// Broadcast calls all nodes that have an app.
//
// # Errors
//
// As of [rpc.Client.Broadcast]; ErrInvalid before the node is connected.
func (n *Node) Broadcast(ctx context.Context, c rpc.Call) ([]rpc.Reply, error) {
	if _, err := n.Conn(); err != nil {
		return nil, fmt.Errorf("broadcast %.140s of app %.70s: %w", c.Method, c.App, err)
	}
	return n.client.Broadcast(ctx, c)
}

// callBus carries calls over the node's connection.
type callBus struct{ n *Node }

func (b callBus) subject(to rpc.Address) (string, error) {
	names, err := b.n.names.App(to.App)
	if err != nil || to.Node == "" {
		return names.RPCAny(), err
	}
	return names.RPCNode(to.Node), nil
}

func (b callBus) open(to rpc.Address) (*bus.Conn, string, error) {
	c, err := b.n.Conn()
	if err != nil {
		return nil, "", err
	}
	subject, err := b.subject(to)
	return c, subject, err
}

// caller hands on what comes over the connection.
type caller struct{ rpc.Asker }

// Answered implements bus.Asker.
func (c caller) Answered(m bus.Message, err error) {
	c.Asker.Answered(rpc.Header(m.Header), m.Data, closing(err))
}

// Ask implements rpc.Bus.
func (b callBus) Ask(to rpc.Address, h rpc.Header, note string, data []byte, a rpc.Asker) (ticket uint64, err error) {
	c, subject, err := b.open(to)
	if err != nil {
		return 0, err
	}
	ticket, err = c.Ask(bus.Message{Subject: subject, Header: h, Note: note, Data: data}, rpc.HeadTaken, caller{a})
	return ticket, closing(err)
}

// Forget implements rpc.Bus.
func (b callBus) Forget(ticket uint64) bool { return b.n.Bus().Forget(ticket) }

// Send implements rpc.Bus.
func (b callBus) Send(ctx context.Context, to rpc.Address, h rpc.Header) error {
	c, subject, err := b.open(to)
	if err != nil {
		return err
	}
	return closing(c.PublishMsg(ctx, bus.Message{Subject: subject, Header: h}))
}

// closing gives the end of the connection the name that users know.
func closing(err error) error {
	if errors.Is(err, bus.ErrClosed) {
		return fmt.Errorf("%w: %w", pluginapi.ErrShuttingDown, err)
	}
	return err
}

// callQueue is the queue group of those who answer a call to any instance.
const callQueue = "rpc"

// Listen implements rpc.Bus.
func (b callBus) Listen(at rpc.Address, fn func(rpc.Message)) (stop func(context.Context) error, err error) {
	c, subject, err := b.open(at)
	if err != nil {
		return nil, err
	}
	queue := ""
	if at.Node == "" {
		queue = callQueue
	}
	l, err := c.Listen(subject, queue, func(m bus.Message) {
		in := rpc.Message{Header: rpc.Header(m.Header), Note: m.Note, Data: m.Data}
		if m.Asks() {
			in.Respond = func(h rpc.Header, data []byte) error { return m.RespondMsg(bus.Header(h), data) }
		}
		fn(in)
	})
	if err != nil {
		return nil, err
	}
	return l.Drain, nil
}

// MaxPayload implements rpc.Bus.
func (b callBus) MaxPayload() int {
	if c := b.n.Bus(); c != nil {
		return int(c.NATS().MaxPayload())
	}
	return 1 << 20
}

package host

import (
	"context"

	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// subscriber is one reader of an app's leadership. Its channel has room for one
// state: the newest that was not read.
type subscriber struct {
	app  string
	ch   chan bool
	last bool
}

// LeaderChan returns a channel that holds, at any time, the newest state of the
// app's leadership on this node that was not read yet, beginning with the
// present one. It is closed when the node has ended. Each caller has its own.
func (n *Node) LeaderChan(app string) <-chan bool {
	s := &subscriber{app: app, ch: make(chan bool, 1)}
	n.mu.Lock()
	defer n.mu.Unlock()
	_, s.last = n.View().Leading(n.cfg.now(), app)
	s.ch <- s.last
	select {
	case <-n.ended:
		close(s.ch)
	default:
		n.leaders = append(n.leaders, s)
	}
	return s.ch
}

// tellLeaders passes changes on. n.mu is held, so nobody else sends.
func (n *Node) tellLeaders(v *core.View) {
	for _, s := range n.leaders {
		_, leads := v.Leading(n.cfg.now(), s.app)
		if leads == s.last {
			continue
		}
		s.last = leads
		select {
		case <-s.ch:
		default:
		}
		s.ch <- leads
	}
}

// closeLeaders ends every channel after a last "no".
func (n *Node) closeLeaders() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tellLeaders(&core.View{})
	for _, s := range n.leaders {
		close(s.ch)
	}
	n.leaders = nil
}

// Wait returns when until says yes to the view, the context ends, or the node
// does.
func (n *Node) Wait(ctx context.Context, until func(*core.View) bool) error {
	changed, cancel := n.Changes()
	defer cancel()
	for !until(n.View()) {
		select {
		case <-changed:
		case <-n.ended:
			return pluginapi.ErrShuttingDown
		case <-ctx.Done():
			return endOf(ctx)
		}
	}
	return nil
}

// WaitForLeadership returns when this node leads the app.
func (n *Node) WaitForLeadership(ctx context.Context, app string) error {
	return n.Wait(ctx, func(v *core.View) bool {
		_, leads := v.Leading(n.cfg.now(), app)
		return leads
	})
}

// WaitReady returns when this node has joined the platform.
func (n *Node) WaitReady(ctx context.Context) error {
	return n.Wait(ctx, func(v *core.View) bool { return v.Session == election.Live.String() })
}

package host

import (
	"context"
	"fmt"
	"slices"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/lock"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Locks returns the keeper of the platform's locks.
//
// # Errors
//
// ErrInvalid before the node has joined, ErrShuttingDown when it leaves.
func (n *Node) Locks() (*lock.Keeper, error) {
	if _, err := n.Conn(); err != nil {
		return nil, err
	}
	select {
	case <-n.ready:
	default:
		return nil, fmt.Errorf("%w: the node has not joined yet: wait until it is ready (WaitReady)", pluginapi.ErrInvalid)
	}
	if n.View().Shutdown {
		return nil, pluginapi.ErrShuttingDown
	}
	return n.locks, nil
}

func (n *Node) newLocks() *lock.Keeper {
	return lock.New(lock.Config{
		Open: func(ctx context.Context) (*bus.Records, error) {
			return bus.OpenRecords(ctx, n.Bus(), n.replicated(n.names.Locks()))
		},
		Sessions: func() *bus.Records { return n.sessions },
		Session:  n.lockSession,
		Confirms: n.confirms,
		Changes:  n.Changes,
		OnGone: func(fn func(string)) (func(), error) {
			return n.Bus().Subscribe(n.names.Hint("gone"), "", func(m bus.Message) {
				if node := string(m.Data); pluginapi.CheckName("node", node) == nil {
					fn(node)
				}
			})
		},
		Now: n.cfg.now, Timeout: n.writeTimeout(), Logger: n.log, OnEvent: n.lockEvent,
	})
}

// lockSession is this node's session at this very moment. What is done under a
// lock must stop when the work of apps must.
func (n *Node) lockSession() lock.Session {
	v := n.View()
	s := lock.Session{Stop: v.Until.Add(-n.cfg.budget() - n.cfg.margin()), Until: v.Until, Leaving: v.Shutdown}
	if v.Session == election.Live.String() && n.cfg.now().Before(v.Until) {
		s.Self = election.Holder{Node: v.Node, Inc: v.Inc}
	}
	return s
}

// confirms reports whether a node is a member in this incarnation, as far as is
// known.
func (n *Node) confirms(h election.Holder) bool {
	return slices.ContainsFunc(n.View().Members, func(m core.MemberView) bool { return m.NodeID == h.Node && m.Inc == h.Inc })
}

// serveLocks follows the session for the locks until it is stopped.
func (n *Node) serveLocks(context.Context) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.locks.Run(ctx); err != nil {
			n.log.Error("keep locks", "err", err)
		}
	}()
	return func() { cancel(); <-done }, nil
}

package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// A joined node has no server of its own: it is a client of the voters.

// voterPing finds a voter that has gone silent early enough for another one to
// take the next renewals: the third unanswered ping ends the connection.
func voterPing(ttl time.Duration) time.Duration { return max(100*time.Millisecond, ttl/10) }

// dialVoters connects to one of the voters. While none answers it tries again,
// for as long as it takes: they may be starting too.
func (n *Node) dialVoters(ctx context.Context, cfg bus.Config, failed <-chan struct{}) (*bus.Conn, error) {
	cfg.URLs, cfg.Auth = n.cfg.Join.URLs(), n.cfg.Join.Auth(bus.RoleNode, n.cfg.Node)
	cfg.ConnectTimeout, cfg.PingInterval = waitNote, voterPing(n.cfg.TTL)
	for {
		conn, err := bus.Dial(ctx, cfg)
		switch {
		case err == nil:
			return conn, nil
		case errors.Is(err, bus.ErrRefused):
			return nil, fmt.Errorf("join the voters: give the cluster secret and the CA that they have: %w", err)
		case errors.Is(err, pluginapi.ErrInvalid) || ctx.Err() != nil:
			return nil, fmt.Errorf("join the voters: %w", err)
		}
		select {
		case <-failed:
			return nil, fmt.Errorf("join the voters: %w", err)
		default:
			n.log.Warn("waiting for a voter to answer", "err", err)
		}
	}
}

// checkVoters refuses voters of another platform. A single server does not say
// whose it is; this node then waits for its platform's records.
func (n *Node) checkVoters(conn *bus.Conn) error {
	if theirs := conn.NATS().ConnectedClusterName(); theirs != "" && theirs != n.cfg.Platform {
		return fmt.Errorf("%w: join the voters: those at %v are of platform %s, this node is of %s: correct the addresses or the platform",
			pluginapi.ErrInvalid, n.cfg.Join.Servers, theirs, n.cfg.Platform)
	}
	return nil
}

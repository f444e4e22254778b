package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/bus/embedded"
	"github.com/ozanturksever/go-cluster/host/guard"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

const (
	externalWait = 15 * time.Second // for an existing NATS to answer
	waitNote     = 10 * time.Second // between two lines that say what is waited for
	guardWait    = 10 * time.Second
	stepDownWait = 5 * time.Second
	closeWait    = 5 * time.Second
)

// start starts what the loop stands on, in order.
func (n *Node) start(ctx context.Context, p *parts) error {
	if err := n.startServer(ctx, p); err != nil {
		return err
	}
	if err := n.startObserve(p); err != nil {
		return err
	}
	if err := n.startGuard(ctx, p); err != nil {
		return err
	}
	return n.connect(ctx, p)
}

// startServer starts the embedded server and waits until it accepts
// connections.
func (n *Node) startServer(ctx context.Context, p *parts) error {
	if n.cfg.Embedded == nil {
		return n.writeLogin()
	}
	secret := ""
	if n.cfg.Embedded.Secret == "" {
		var err error
		if secret, err = n.data.secret(); err != nil {
			return err
		}
	}
	if err := n.makeServer(secret); err != nil {
		return err
	}
	server := n.server
	p.start("embedded server", func(ctx context.Context) error { return server.RunAndHandOver(ctx, stepDownWait) })
	if err := wait(ctx, p, n.server.Ready()); err != nil {
		return err
	}
	return n.writeLogin()
}

func wait(ctx context.Context, p *parts, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case <-p.failed:
		return errors.New("a part of the node ended while it was starting")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// startGuard starts the watchman, if there is one, and tells it what to kill.
func (n *Node) startGuard(ctx context.Context, p *parts) error {
	if len(n.cfg.Guard) == 0 {
		return nil
	}
	store, err := json.Marshal(n.watchmanStore())
	if err != nil {
		return fmt.Errorf("start guard: %w", err)
	}
	g, err := guard.New(guard.Config{
		Command: n.cfg.Guard, Logger: n.log, LogFile: n.guardLog(),
		Init: guard.Init{Platform: n.cfg.Platform, Node: n.cfg.Node, Store: store},
	})
	if err != nil {
		return fmt.Errorf("start guard: %w", err)
	}
	n.guard = g
	p.start("guard", g.Run)
	ctx, cancel := context.WithTimeout(ctx, guardWait)
	defer cancel()
	if err := wait(ctx, p, g.Ready()); err != nil {
		return fmt.Errorf("start guard %v: %w", n.cfg.Guard, err)
	}
	return g.Fences(ctx, n.fences())
}

// connect makes the one connection and opens the two streams.
func (n *Node) connect(ctx context.Context, p *parts) error {
	conn, err := n.dial(ctx, p.failed)
	if err != nil {
		return err
	}
	n.conn.Store(conn)
	p.onStop("connection", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), closeWait)
		defer cancel()
		if err := conn.Close(ctx); err != nil {
			n.log.Debug("close connection", "err", err)
		}
		return nil
	})
	if n.cfg.Join != nil {
		if err := n.checkVoters(conn); err != nil {
			return err
		}
	}
	if !n.cfg.external() {
		return n.openRecords(ctx, p, conn)
	}
	ctx, cancel := context.WithTimeout(ctx, externalWait)
	defer cancel()
	support, err := conn.Check(ctx, 0)
	if err != nil {
		return err
	}
	for _, w := range support.Weaker {
		n.log.Warn("the NATS cluster offers less than the embedded server", "what", w)
	}
	return n.openRecords(ctx, p, conn)
}

// dial makes the connection: to the server of this process, to those of other
// nodes, or to an existing NATS.
func (n *Node) dial(ctx context.Context, failed <-chan struct{}) (*bus.Conn, error) {
	cfg := n.cfg.NATS
	cfg.Name, cfg.Logger = "gchost "+n.cfg.Platform+"/"+n.cfg.Node, n.log
	if n.cfg.Join != nil {
		return n.dialVoters(ctx, cfg, failed)
	}
	if n.server != nil {
		cfg.InProcess = n.server
		cfg.Auth = bus.Auth{}
		cfg.Auth.User, cfg.Auth.Password = n.server.Login(bus.RoleNode, n.cfg.Node)
	}
	return bus.Dial(ctx, cfg)
}

// openRecords opens both streams. In a new cluster it waits, for as long as it
// takes, until a majority of the servers has found together.
func (n *Node) openRecords(ctx context.Context, p *parts, conn *bus.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer cancel()
	waiting.Go(func() { n.noteWaiting(ctx, p.failed, cancel) })
	var err error
	if n.sessions, err = bus.OpenRecords(ctx, conn, n.first(n.names.Sessions())); err != nil {
		return err
	}
	n.records, err = bus.OpenRecords(ctx, conn, n.first(n.names.Records()))
	return err
}

// replicas is how many copies of a record there are. Five voters survive the
// loss of any two of them only with five: of three copies two may be lost at
// once. An even number would need one more to agree, and survive no more.
func replicas(voters int) int {
	if voters == 4 {
		return 3
	}
	return min(voters, 5)
}

// replicated asks for all replicas that the embedded cluster can have from the
// first moment: a stream that is made while not all servers have found together
// would have fewer, and a fault before it has grown would stop it. A joined node
// asks for as many as the sessions have.
func (n *Node) replicated(cfg bus.RecordsConfig) bus.RecordsConfig {
	cfg.Replicas = n.replicas()
	return cfg
}

// replicas is 0 where the number is left to the servers of an existing NATS.
func (n *Node) replicas() int {
	switch {
	case n.server != nil:
		return replicas(n.server.State().Voters)
	case n.cfg.Join != nil && n.sessions != nil:
		return n.sessions.Replicas()
	}
	return 0
}

// first is replicated for the two streams that a platform begins with. A joined
// node does not know how many servers there are, so it leaves the making to
// those that do.
func (n *Node) first(cfg bus.RecordsConfig) bus.RecordsConfig {
	cfg = n.replicated(cfg)
	cfg.Existing = n.cfg.Join != nil
	return cfg
}

// noteWaiting says once in a while what is waited for, and ends the wait when a
// part of the node has ended.
func (n *Node) noteWaiting(ctx context.Context, failed <-chan struct{}, cancel context.CancelFunc) {
	tick := time.NewTicker(waitNote)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if n.cfg.Join != nil {
				n.log.Warn("waiting for the voters of the platform: for a majority of them, and for its first start")
				continue
			}
			st := n.serverState()
			n.log.Warn("waiting for a majority of the servers", "voters", st.Voters, "up", st.PeersUp, "meta_leader", st.MetaLeader)
		case <-failed:
			cancel()
			return
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) serverState() embedded.State {
	if n.server == nil {
		return embedded.State{}
	}
	return n.server.State()
}

// ClientURL is where clients reach this node's server or the existing NATS.
func (n *Node) ClientURL() string {
	if n.server != nil {
		return reachable(n.server.ClientURL(), n.cfg.Address)
	}
	if c := n.Bus(); c != nil {
		return c.NATS().ConnectedUrlRedacted()
	}
	return ""
}

// reachable puts the node's address, or that of this machine, into the URL of a
// server that listens on all addresses: no certificate names those.
func reachable(server, address string) string {
	u, err := url.Parse(server)
	if err != nil {
		return server
	}
	listens, err := netip.ParseAddr(u.Hostname())
	if err != nil || !listens.IsUnspecified() {
		return server
	}
	host := address
	if h, _, err := net.SplitHostPort(address); err == nil {
		host = h
	}
	if host = strings.Trim(host, "[]"); host == "" {
		host = "127.0.0.1"
	}
	u.Host = net.JoinHostPort(host, u.Port())
	return u.String()
}

// Login derives a login for the embedded servers; empty with an existing NATS.
func (n *Node) Login(role bus.Role, id string) (user, password string, err error) {
	if n.cfg.external() {
		return "", "", fmt.Errorf("%w: the platform uses an existing NATS", pluginapi.ErrInvalid)
	}
	_, auth := n.servers(role, id)
	return auth.User, auth.Password, nil
}

// servers says how another process of this machine reaches the embedded
// servers, this node's first, and logs in there.
func (n *Node) servers(role bus.Role, id string) (urls []string, auth bus.Auth) {
	if n.cfg.Join != nil {
		return n.cfg.Join.URLs(), n.cfg.Join.Auth(role, id)
	}
	auth.User, auth.Password = n.server.Login(role, id)
	auth.TLS = bus.TLS(n.cfg.Embedded.TLS)
	return append([]string{n.ClientURL()}, n.cfg.Peers...), auth
}

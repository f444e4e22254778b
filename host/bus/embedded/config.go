package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Limits of a configuration.
const (
	maxVoters     = 5  // more voters make every write slower; further hosts connect as clients
	minSecret     = 16 // bytes of a secret that is used beyond this machine
	maxMemStore   = 256 << 20
	defaultListen = "127.0.0.1:0"
)

// TLS names the PEM files of a server: the cluster's CA, and the certificate of
// this server with its key. The certificate must be good for both a server and
// a client, and name the host under which the peers reach this server. Clients
// check the server by it, routes and the peer mesh check both sides. All three
// files, or none.
//
// Certificate and key are read again for each connection, so that they can be
// renewed on disk; the CA is read once.
type TLS struct{ CA, Cert, Key string }

func (t TLS) set() bool { return t != TLS{} }

// Raft names a set of Raft timers.
type Raft string

// The sets of Raft timers. One process has one set: the first server in it
// decides.
const (
	// LAN divides the server's timers by ten (election 400 to 900 ms, heartbeat
	// 100 ms) and lets a candidate stand within 5 to 20 ms. The default.
	LAN Raft = "lan"
	// WAN leaves the timers as they are (election 4 to 9 s, heartbeat 1 s; a
	// candidate stands within 100 to 800 ms).
	WAN Raft = "wan"
)

// Config says what a server is.
type Config struct {
	Name     string       // the server's name, the same after each restart: the node's id
	Platform string       // the platform; the NATS cluster is named after it
	Dir      string       // folder of the store; created with mode 0700
	Listen   string       // client host:port, "127.0.0.1:0" by default; port 0: any free one
	Cluster  *Cluster     // nil: a single server
	Secret   string       // the cluster secret, from which all logins are derived; at least 16 bytes beyond loopback
	TLS      TLS          // required when an address is not of loopback
	Raft     Raft         // LAN by default
	MaxStore int64        // bytes that JetStream may use on disk; 0: 75 % of what is free at the start
	Logger   *slog.Logger // receives the server's own lines too (its info at level debug); nil: none

	maxCatchup int64 // bytes on their way to servers that catch up; 0: the server's default. Tests make it small
}

// Cluster says how a server meets the other voters. The whole cluster has at
// most 5; 3 is the number that most platforms want. Two servers of one machine
// need different route ports, also when they listen on different addresses: the
// server takes its own port on any local address for itself.
type Cluster struct {
	Listen string // route host:port; the port must be given
	Mesh   string // peer mesh host:port; the route port + 1 by default
	Peers  []Peer // the other voters, without this one
}

// Peer is another voter.
type Peer struct {
	Name   string // its server name
	Routes string // its route host:port
	Mesh   string // its peer mesh host:port; the route port + 1 by default
}

// withDefaults fills what was left out and copies what is shared with the caller.
func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = defaultListen
	}
	if c.Raft == "" {
		c.Raft = LAN
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Cluster == nil {
		return c
	}
	cl := *c.Cluster
	cl.Peers = append([]Peer(nil), cl.Peers...)
	cl.Mesh = meshOr(cl.Mesh, cl.Listen)
	for i, p := range cl.Peers {
		cl.Peers[i].Mesh = meshOr(p.Mesh, p.Routes)
	}
	c.Cluster = &cl
	return c
}

// voters names all servers of the cluster.
func (c Config) voters() []string {
	all := []string{c.Name}
	if c.Cluster != nil {
		for _, p := range c.Cluster.Peers {
			all = append(all, p.Name)
		}
	}
	return all
}

// meshOr is the mesh address that goes with a route address. It is empty, which
// check reports, when the route address is none.
func meshOr(mesh, routes string) string {
	host, port, err := net.SplitHostPort(routes)
	n, perr := strconv.Atoi(port)
	if mesh != "" || err != nil || perr != nil {
		return mesh
	}
	return net.JoinHostPort(host, strconv.Itoa(n+1))
}

// check reports every fault of a configuration with its defaults in place.
func (c Config) check() error {
	errs := []error{
		pluginapi.CheckName("server", c.Name),
		pluginapi.CheckName("platform", c.Platform),
		checkAddress("Listen", c.Listen, true),
		c.checkCluster(),
		c.checkOpen(),
	}
	if c.Dir == "" {
		errs = append(errs, invalid("Dir is empty: name the folder of the store"))
	}
	if c.Secret == "" {
		errs = append(errs, invalid("Secret is empty: every login is derived from it"))
	}
	if c.Raft != LAN && c.Raft != WAN {
		errs = append(errs, invalid("Raft is %q: use %q or %q", c.Raft, LAN, WAN))
	}
	if c.MaxStore < 0 {
		errs = append(errs, invalid("MaxStore is %d bytes: give a positive number, or 0 for 75 %% of what is free", c.MaxStore))
	}
	if _, err := c.TLS.load(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c Config) checkCluster() error {
	if c.Cluster == nil {
		return nil
	}
	cl := c.Cluster
	errs := []error{
		checkAddress("Cluster.Listen", cl.Listen, false),
		checkAddress("Cluster.Mesh", cl.Mesh, false),
	}
	if n := len(cl.Peers); n == 0 {
		errs = append(errs, invalid("Cluster.Peers is empty: name the other voters, or leave Cluster out for a single server"))
	} else if n >= maxVoters {
		errs = append(errs, invalid("Cluster.Peers names %d others: at most %d voters in all, let the other hosts connect as clients", n, maxVoters))
	}
	where := map[string]string{}
	twice := func(setting, addr string) {
		if other, taken := where[addr]; taken && addr != "" {
			errs = append(errs, invalid("%s is %s, and so is %s: give each its own address", setting, addr, other))
		}
		where[addr] = setting
	}
	twice("Listen", c.Listen)
	twice("Cluster.Listen", cl.Listen)
	twice("Cluster.Mesh", cl.Mesh)
	names := map[string]bool{c.Name: true}
	for _, p := range cl.Peers {
		setting := fmt.Sprintf("Cluster.Peers[%s]", p.Name)
		if names[p.Name] {
			errs = append(errs, invalid("%s: the name is taken, by this server or by another peer: each voter has its own", setting))
		}
		names[p.Name] = true
		errs = append(errs,
			pluginapi.CheckName("peer", p.Name),
			checkAddress(setting+".Routes", p.Routes, false),
			checkAddress(setting+".Mesh", p.Mesh, false))
		twice(setting+".Routes", p.Routes)
		twice(setting+".Mesh", p.Mesh)
	}
	return errors.Join(errs...)
}

// checkOpen refuses to be reachable from, or to speak to, other machines
// without TLS and a real secret.
func (c Config) checkOpen() error {
	var errs []error
	for _, s := range c.addresses() {
		if isLoopback(s.addr) {
			continue
		}
		if !c.TLS.set() {
			errs = append(errs, invalid("%s is %s, beyond loopback, and TLS is not set: give TLS.CA, TLS.Cert and TLS.Key, or use 127.0.0.1", s.setting, s.addr))
		}
		if len(c.Secret) < minSecret {
			errs = append(errs, invalid("%s is %s, beyond loopback, and Secret has %d bytes: it needs at least %d", s.setting, s.addr, len(c.Secret), minSecret))
		}
	}
	return errors.Join(errs...)
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: embedded server: %w", pluginapi.ErrInvalid, fmt.Errorf(format, args...))
}

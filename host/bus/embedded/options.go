package embedded

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ozanturksever/go-cluster/host/bus"
)

// Times of the server's connections. A silent connection is found within 3 of
// its pings.
const (
	clientPing    = time.Second
	routePing     = 500 * time.Millisecond
	pingsOut      = 2
	writeDeadline = 2 * time.Second
	authTimeout   = 2 // seconds
	routePool     = 3
	loopback      = "127.0.0.1"
	reportEvery   = 3600 // attempts to reach a peer between two lines of the log
)

// accounts is parsed instead of built, since only the parser can say that an
// account has JetStream before the server starts. Said later, there is a
// moment after each restart in which the server has no streams of it.
const accounts = "accounts { " + systemAccount + " {}, " + appAccount + " { jetstream: enabled } }\nsystem_account: " + systemAccount

// options are the server's options; g will be asked about each login.
func (c Config) options(g *gate) (*server.Options, error) {
	o := &server.Options{}
	if err := o.ProcessConfigString(accounts); err != nil {
		return nil, fmt.Errorf("set up accounts: %w", err)
	}
	certs, err := c.TLS.load()
	if err != nil {
		return nil, err
	}
	o.ServerName = c.Name
	o.Host, o.Port = natsAddress(c.Listen)
	o.NoSigs = true
	o.JetStream, o.StoreDir, o.SyncAlways = true, c.Dir, true
	o.JetStreamMaxStore, o.JetStreamMaxMemory = c.MaxStore, maxMemStore
	o.JetStreamMaxCatchup = c.maxCatchup
	o.CustomClientAuthentication = g
	o.AuthTimeout = authTimeout
	o.PingInterval, o.MaxPingsOut = clientPing, pingsOut
	o.WriteDeadline = writeDeadline
	o.ConnectErrorReports, o.ReconnectErrorReports = reportEvery, reportEvery
	if certs.clients != nil {
		o.TLS, o.TLSConfig, o.TLSTimeout = true, certs.clients, authTimeout
	}
	if c.Cluster != nil {
		o.Cluster, o.Routes = c.routes(certs)
	}
	return o, nil
}

// routes are the options of the cluster and the URLs of its voters. This one is
// among them: the server takes the number of routes for the number of voters
// when it makes its first Raft group. It never dials its own port on loopback.
func (c Config) routes(certs tlsConfigs) (server.ClusterOpts, []*url.URL) {
	user := "route." + c.Platform
	password := bus.Password(c.Secret, user)
	host, port := natsAddress(c.Cluster.Listen)
	opts := server.ClusterOpts{
		Name: c.Platform, Host: host, Port: port,
		Username: user, Password: password,
		AuthTimeout: authTimeout, WriteDeadline: writeDeadline,
		NoAdvertise: true, PoolSize: routePool,
		PingInterval: routePing, MaxPingsOut: pingsOut,
	}
	if certs.peers != nil {
		opts.TLSConfig, opts.TLSTimeout = certs.peers, authTimeout
	}
	urls := []*url.URL{routeURL(net.JoinHostPort(loopback, strconv.Itoa(port)), user, password)}
	for _, p := range c.Cluster.Peers {
		urls = append(urls, routeURL(p.Routes, user, password))
	}
	return opts, urls
}

func routeURL(addr, user, password string) *url.URL {
	return &url.URL{Scheme: "nats", User: url.UserPassword(user, password), Host: addr}
}

// natsAddress splits an address the way the server wants it: there 0 means its
// own default port, and -1 any free one.
func natsAddress(addr string) (host string, port int) {
	host, port = hostPort(addr)
	if port == 0 {
		port = server.RANDOM_PORT
	}
	if host == "" {
		host = net.IPv4zero.String()
	}
	return host, port
}

package cluster

import (
	"log/slog"
	"maps"
	"time"

	"github.com/ozanturksever/go-cluster/host"
	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/bus/embedded"
)

// PlatformOption changes a platform before it runs. Options never fail: what is
// wrong with them is reported by [NewPlatform], all at once.
type PlatformOption func(*host.Config)

// Labels puts labels on this node, beside those that it was given while it ran.
func Labels(labels map[string]string) PlatformOption {
	return func(c *host.Config) { c.Labels = maps.Clone(labels) }
}

// NATSCreds authenticates to an existing NATS by a credentials file.
func NATSCreds(path string) PlatformOption {
	return func(c *host.Config) { c.NATS.Auth.CredsFile = path }
}

// NATSNKey authenticates to an existing NATS by a file with an nkey seed.
func NATSNKey(path string) PlatformOption {
	return func(c *host.Config) { c.NATS.Auth.NKeyFile = path }
}

// NATSUserInfo authenticates to an existing NATS by user and password.
func NATSUserInfo(user, password string) PlatformOption {
	return func(c *host.Config) { c.NATS.Auth.User, c.NATS.Auth.Password = user, password }
}

// NATSToken authenticates to an existing NATS by a token.
func NATSToken(token string) PlatformOption {
	return func(c *host.Config) { c.NATS.Auth.Token = token }
}

// NATSTLS names the files of the certificate authority that an existing NATS is
// checked by, and of this client's certificate and key ("" for none).
func NATSTLS(ca, cert, key string) PlatformOption {
	return func(c *host.Config) { c.NATS.Auth.TLS = bus.TLS{CA: ca, Cert: cert, Key: key} }
}

// HealthAddr serves /health, /ready, /status and /health/checks on an address.
// "" serves nothing, which is the default; port 0 takes a free one, see
// [Health.Addr].
func HealthAddr(addr string) PlatformOption { return func(c *host.Config) { c.HealthAddr = addr } }

// MetricsAddr serves /metrics for Prometheus on an address. "" serves nothing,
// which is the default; port 0 takes a free one, see [Metrics.Addr].
func MetricsAddr(addr string) PlatformOption { return func(c *host.Config) { c.MetricsAddr = addr } }

// WithLeaseTTL sets for how long one renewal keeps what this node owns: a
// machine that is lost is replaced within this time plus 300 ms. Default 3 s
// with embedded servers, 12 s with an existing NATS. At least 500 ms.
func WithLeaseTTL(d time.Duration) PlatformOption { return func(c *host.Config) { c.TTL = d } }

// WithHeartbeat sets the time between two renewals of the lease. Default a
// quarter of the lease TTL; at most a third.
func WithHeartbeat(d time.Duration) PlatformOption { return func(c *host.Config) { c.Heartbeat = d } }

// WithHookTimeout sets how long each hook may take. Default 30 s.
func WithHookTimeout(d time.Duration) PlatformOption {
	return func(c *host.Config) { c.HookTimeout = d }
}

// WithShutdownTimeout sets after what time a shutdown forces what still stops.
// Default 30 s. When the work has stopped, each part of the node has 20 s to
// end: Run does not wait longer, and its error names the part.
func WithShutdownTimeout(d time.Duration) PlatformOption {
	return func(c *host.Config) { c.ShutdownTimeout = d }
}

// WithDataDir names the folder that belongs to this node alone. It is required
// with the embedded server; without one, epochs are not kept on this node, and
// a restart after a crash waits until the lease of the dead process has ended.
func WithDataDir(path string) PlatformOption { return func(c *host.Config) { c.DataDir = path } }

// WithAddress sets the address under which other nodes reach the services of
// this one.
func WithAddress(address string) PlatformOption {
	return func(c *host.Config) { c.Address = address }
}

// WithVersion sets the version of the software, shown beside the node.
func WithVersion(version string) PlatformOption {
	return func(c *host.Config) { c.Version = version }
}

// WithLogger sets where the platform logs. Default: nowhere.
func WithLogger(l *slog.Logger) PlatformOption { return func(c *host.Config) { c.Logger = l } }

// WithGuard starts a guard: a small process that cleans up when this one dies
// or is frozen. command is a gchost binary followed by "guard"; a program that
// calls [GuardMain] first thing may name itself. Linux only.
func WithGuard(command ...string) PlatformOption {
	return func(c *host.Config) { c.Guard = command }
}

// EmbeddedConfig configures the embedded server, see [embedded.Config].
type EmbeddedConfig = embedded.Config

// EmbeddedCluster says how embedded servers meet, see [embedded.Cluster].
type EmbeddedCluster = embedded.Cluster

// EmbeddedPeer is another embedded server, see [embedded.Peer].
type EmbeddedPeer = embedded.Peer

// EmbeddedTLS names the files of a server, see [embedded.TLS].
type EmbeddedTLS = embedded.TLS

// Raft names a set of Raft timers, see [embedded.Raft]: "lan" or "wan".
type Raft = embedded.Raft

// WithEmbedded configures the embedded server, which is used when the NATS URL
// is empty. Name, platform and logger are those of the platform; Dir is a
// folder below the data directory and Secret is made there, unless set.
func WithEmbedded(cfg EmbeddedConfig) PlatformOption {
	return func(c *host.Config) { c.Embedded = &cfg }
}

// JoinConfig says where the voters are, see [embedded.Join].
type JoinConfig = embedded.Join

// WithJoin makes this node a client of the voters of a platform with embedded
// servers, in place of a server of its own: a cluster has 3 or 5 of those, the
// further nodes join. The NATS URL is empty then.
func WithJoin(cfg JoinConfig) PlatformOption {
	return func(c *host.Config) { c.Join = &cfg }
}

// WithPeers names the client URLs of the other hosts' servers. The guard gives
// the session back through them when this host, with its server, is dead.
func WithPeers(urls ...string) PlatformOption { return func(c *host.Config) { c.Peers = urls } }

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"

	cluster "github.com/ozanturksever/go-cluster"
)

// runHost runs the node that the configuration describes.
func runHost(ctx context.Context, cfg Config, log *slog.Logger) error {
	p, err := newPlatform(cfg, log)
	if err != nil {
		return err
	}
	return p.Run(ctx)
}

// newPlatform turns a checked configuration into a platform that has started
// nothing: the daemon is a user of the library.
func newPlatform(cfg Config, log *slog.Logger) (*cluster.Platform, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program for the guard: %w", err)
	}
	opts := []cluster.PlatformOption{
		cluster.Labels(cfg.Labels), cluster.WithDataDir(cfg.DataDir), cluster.WithAddress(cfg.Address),
		cluster.WithVersion(version()), cluster.WithLogger(log), cluster.WithLeaseTTL(cfg.LeaseTTL), cluster.WithHeartbeat(cfg.Heartbeat),
		cluster.WithHookTimeout(cfg.HookTimeout), cluster.WithShutdownTimeout(cfg.ShutdownTimeout),
		cluster.HealthAddr(cfg.HealthAddr), cluster.MetricsAddr(cfg.MetricsAddr), cluster.WithPlugins(cfg.Plugins.options()),
	}
	if guardSupported {
		opts = append(opts, cluster.WithGuard(self, "guard"))
	}
	switch {
	case cfg.External():
		opts = append(opts, externalOptions(cfg.NATS)...)
	case cfg.Joins():
		c := cfg.Cluster
		opts = append(opts, cluster.WithJoin(cluster.JoinConfig{Servers: c.Join, Secret: c.Secret.Reveal(), TLS: cluster.EmbeddedTLS(c.TLS)}))
	default:
		opts = append(opts, cluster.WithEmbedded(embeddedConfig(cfg)), cluster.WithPeers(peerURLs(cfg.Cluster)...))
	}
	p, err := cluster.NewPlatform(cfg.Platform, cfg.Node, cfg.NATS.URL, opts...)
	if err != nil {
		return nil, err
	}
	for _, a := range cfg.Apps {
		p.Register(newApp(cfg, a, log))
	}
	return p, nil
}

func externalOptions(n NATSConfig) []cluster.PlatformOption {
	return []cluster.PlatformOption{
		cluster.NATSCreds(n.Creds), cluster.NATSNKey(n.NKey), cluster.NATSUserInfo(n.User, n.Password.Reveal()),
		cluster.NATSToken(n.Token.Reveal()), cluster.NATSTLS(n.TLS.CA, n.TLS.Cert, n.TLS.Key),
	}
}

func embeddedConfig(cfg Config) cluster.EmbeddedConfig {
	c := cfg.Cluster
	out := cluster.EmbeddedConfig{
		Listen: c.Listen, Secret: c.Secret.Reveal(), TLS: cluster.EmbeddedTLS(c.TLS), Raft: cluster.Raft(c.Raft),
	}
	if c.Routes == "" {
		return out
	}
	out.Cluster = &cluster.EmbeddedCluster{Listen: c.Routes, Mesh: c.Mesh}
	for _, p := range c.Peers {
		out.Cluster.Peers = append(out.Cluster.Peers, cluster.EmbeddedPeer{Name: p.Name, Routes: p.Routes, Mesh: p.Mesh})
	}
	return out
}

// peerURLs are where the guard reaches the other hosts' servers.
func peerURLs(c ClusterConfig) []string {
	scheme := "nats://"
	if c.TLS.CA != "" {
		scheme = "tls://"
	}
	var out []string
	for _, p := range c.Peers {
		if _, _, err := net.SplitHostPort(p.Client); err == nil {
			out = append(out, scheme+p.Client)
		}
	}
	return out
}

// newApp makes an app with its backend and its hooks.
func newApp(cfg Config, a AppConfig, log *slog.Logger) *cluster.App {
	opts := []cluster.AppOption{cluster.WithAppHookTimeout(a.HookTimeout)}
	if a.Mode == modeSpread {
		opts = append(opts, cluster.Spread())
	}
	if d := a.SQLite; d != nil {
		opts = append(opts, cluster.WithSQLite(d.Path,
			cluster.SQLiteSnapshotInterval(d.SnapshotInterval), cluster.SQLiteRetention(d.Retention), cluster.SQLiteStorageAlarm(uint64(d.AlarmMiB)<<20)))
	}
	if b := a.Backend.backend(); b != nil {
		opts = append(opts, cluster.WithBackend(b))
	}
	app := cluster.NewApp(a.Name, append(opts, a.pluginOptions()...)...)
	addHooks(app, cfg, a.Hooks, log.With("app", a.Name))
	return app
}

package cluster_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
	"github.com/ozanturksever/go-cluster/host/control"
)

const joinSecret = "the secret of voters and those who join"

// voters starts three nodes with servers of their own, and returns the
// addresses of their clients.
func voters(t *testing.T, platform string) (nodes []*node, clients []string) {
	t.Helper()
	base, routes, ports := t.TempDir(), freePorts(t, 3), freePorts(t, 3)
	ids := []string{"v1", "v2", "v3"}
	for i, id := range ids {
		c := &cluster.EmbeddedCluster{Listen: fmt.Sprintf("127.0.0.1:%d", routes[i])}
		for k, peer := range ids {
			if k != i {
				c.Peers = append(c.Peers, cluster.EmbeddedPeer{Name: peer, Routes: fmt.Sprintf("127.0.0.1:%d", routes[k])})
			}
		}
		clients = append(clients, fmt.Sprintf("127.0.0.1:%d", ports[i]))
		n := newNode(t, platform, id, "", cluster.WithDataDir(filepath.Join(base, id)), cluster.WithLeaseTTL(6*time.Second),
			cluster.WithEmbedded(cluster.EmbeddedConfig{Cluster: c, Secret: joinSecret, Listen: clients[i]}))
		nodes = append(nodes, n.begin())
	}
	for _, n := range nodes {
		n.knows(ids...)
	}
	return nodes, clients
}

// TestJoin: nodes without a server of their own lead apps through the voters' servers, go on when the
// one that they are connected to stops, and say what they are.
func TestJoin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v, clients := voters(t, "join")
	var joined []*node
	for _, id := range []string{"j1", "j2"} {
		n := newNode(t, "join", id, "", cluster.WithDataDir(filepath.Join(dir, id)), cluster.WithLeaseTTL(6*time.Second),
			cluster.WithJoin(cluster.JoinConfig{Servers: clients, Secret: joinSecret}))
		n.app(cluster.NewApp("web"))
		joined = append(joined, n.start())
	}
	for _, n := range append(slices.Clone(v), joined...) {
		n.knows("j1", "j2", "v1", "v2", "v3")
	}
	if leader := leaderOf(t, "web", joined...); leader != joined[0] {
		t.Errorf("%s leads", leader.NodeID())
	}
	if _, err := os.Stat(filepath.Join(dir, "j1", "cli.json")); err != nil {
		t.Errorf("the login of the command line: %v", err)
	}
	at := func(s control.NATS) int { return slices.Index(clients, strings.TrimPrefix(s.URL, "nats://")) }
	s := says(t, joined[0], "a client of three voters", func(s control.NATS) bool {
		return s.Mode == control.ModeClient && s.Voters == 3 && s.VotersUp == 3 && at(s) >= 0
	})
	stream, err := joined[0].JetStream().Stream(within(t, patience), "gc_sessions_join")
	must(t, err)
	if r := stream.CachedInfo().Config.Replicas; r != 3 {
		t.Errorf("%d replicas", r)
	}

	epoch := joined[0].election("web").Epoch()
	home := at(s)
	must(t, v[home].stop())
	says(t, joined[0], "two of three are up, connected to another", func(s control.NATS) bool {
		return s.Voters == 3 && s.VotersUp == 2 && at(s) >= 0 && at(s) != home
	})
	if leader := leaderOf(t, "web", joined...); leader != joined[0] || leader.election("web").Epoch() != epoch {
		t.Errorf("%s leads in epoch %d, want %s in %d still", leader.NodeID(), leader.election("web").Epoch(), joined[0].NodeID(), epoch)
	}
	must(t, joined[0].election("web").StepDown(within(t, patience)))
	joined[1].leads("web")
}

// itself asks one node, and no other.
type itself struct{ *node }

// Request implements control.Requester.
func (n itself) Request(ctx context.Context, _, verb string, data []byte) ([]byte, error) {
	return n.node.Request(ctx, n.NodeID(), verb, data)
}

// says waits until a node says of the servers what is wanted. An answer may be
// lost with the connection that it was asked over.
func says(t *testing.T, n *node, what string, want func(control.NATS) bool) (s control.NATS) {
	t.Helper()
	eventually(t, n.NodeID()+" says: "+what, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		all, err := control.NewClient(itself{n}).Status(ctx)
		s = all.NATS
		return err == nil && want(s)
	})
	return s
}

// TestJoinTellsMistakes: what a node cannot join is said, and nothing is left.
func TestJoinTellsMistakes(t *testing.T) {
	t.Parallel()
	join := func(change func(*cluster.JoinConfig)) cluster.PlatformOption {
		cfg := cluster.JoinConfig{Servers: []string{"127.0.0.1:4222"}, Secret: joinSecret}
		change(&cfg)
		return cluster.WithJoin(cfg)
	}
	good := join(func(*cluster.JoinConfig) {})
	none := filepath.Join(t.TempDir(), "none.pem")
	for name, c := range map[string]struct {
		url  string
		opts []cluster.PlatformOption
		want []any
	}{
		"a NATS URL":         {"nats://127.0.0.1:1", []cluster.PlatformOption{good}, []any{"both a NATS URL and servers to join"}},
		"an embedded server": {"", []cluster.PlatformOption{good, cluster.WithEmbedded(cluster.EmbeddedConfig{}), cluster.WithDataDir("d")}, []any{"both an embedded server and servers to join"}},
		"peers":              {"", []cluster.PlatformOption{good, cluster.WithPeers("nats://127.0.0.1:1")}, []any{"leave the peers out"}},
		"nothing":            {"", []cluster.PlatformOption{cluster.WithJoin(cluster.JoinConfig{})}, []any{"Servers is empty", "Secret is empty"}},
		"beyond loopback": {"", []cluster.PlatformOption{join(func(c *cluster.JoinConfig) { c.Servers, c.Secret = []string{"10.0.0.1:4222"}, "short" })},
			[]any{"Servers[0] is 10.0.0.1:4222, beyond loopback, and TLS is not set: give TLS.CA", "Secret has 5 bytes"}},
		"addresses": {"", []cluster.PlatformOption{join(func(c *cluster.JoinConfig) {
			c.Servers = []string{"127.0.0.1", ":4222", "127.0.0.1:0", "127.0.0.1:1", "127.0.0.1:1"}
		})}, []any{`Servers[0] is "127.0.0.1"`, "Servers[1]", "has no host", "Servers[2]", "the port must be given", "Servers[4] is 127.0.0.1:1, and so is Servers[3]"}},
		"no CA file": {"", []cluster.PlatformOption{join(func(c *cluster.JoinConfig) { c.TLS.CA = none })}, []any{"TLS.CA", none}},
		"half of it": {"", []cluster.PlatformOption{join(func(c *cluster.JoinConfig) { c.TLS.Cert = none })}, []any{"TLS.CA is empty", "both or none"}},
		"no pair":    {"", []cluster.PlatformOption{join(func(c *cluster.JoinConfig) { c.TLS = cluster.EmbeddedTLS{CA: none, Cert: none, Key: none} })}, []any{"TLS.Cert, TLS.Key"}},
	} {
		_, err := cluster.NewPlatform("p", "n1", c.url, c.opts...)
		t.Run(name, func(t *testing.T) { wantErr(t, err, append(c.want, cluster.ErrInvalid)...) })
	}
}

// TestJoinRefused: a node that does not know the secret, or is of another
// platform, ends with the reason; one that nobody answers goes on trying, and
// ends at once when it is told to.
func TestJoinRefused(t *testing.T) {
	t.Parallel()
	_, clients := voters(t, "refuses")
	join := func(platform, secret string, servers ...string) *node {
		return newNode(t, platform, "j1", "", cluster.WithJoin(cluster.JoinConfig{Servers: servers, Secret: secret}))
	}
	err := join("refuses", "another secret, as long as it must be", clients...).Run(within(t, patience))
	wantErr(t, err, "join the voters", "the cluster secret", `user "node.j1"`, clients[0])
	err = join("other", joinSecret, clients...).Run(within(t, patience))
	wantErr(t, err, cluster.ErrInvalid, "platform refuses", "this node is of other", "correct the addresses or the platform")

	ctx, cancel := context.WithCancel(t.Context())
	early := join("refuses", joinSecret, fmt.Sprintf("127.0.0.1:%d", freePorts(t, 1)[0]))
	ended := make(chan error, 1)
	go func() { ended <- early.Run(ctx) }()
	select {
	case err := <-ended:
		t.Errorf("it does not wait: %v", err)
	case <-time.After(200 * time.Millisecond): // no condition tells that something goes on waiting
	}
	cancel()
	must(t, <-ended)
}

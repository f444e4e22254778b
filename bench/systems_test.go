package bench

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"

	cluster "github.com/ozanturksever/go-cluster"
)

// mutex is a lock of either system, in the hands of one client.
type mutex interface {
	Lock(ctx context.Context) error
	Unlock(ctx context.Context) error
}

// system makes a lock for the client with a number, from one of three nodes or
// connections.
type system func(client int, name string) mutex

const patience = time.Minute

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// freePorts returns the first of pairs of ports that nobody listens on at this
// moment.
func freePorts(b *testing.B, n int) (ports []int) {
	b.Helper()
	for len(ports) < n {
		a, err := net.Listen("tcp", "127.0.0.1:0")
		must(b, err)
		defer a.Close()
		port := a.Addr().(*net.TCPAddr).Port
		next, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		if err != nil {
			continue
		}
		defer next.Close()
		ports = append(ports, port)
	}
	return ports
}

// run runs the platforms until the benchmark ends and returns when all have
// joined.
func run(b *testing.B, nodes []*cluster.Platform) system {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, len(nodes))
	b.Cleanup(func() {
		cancel()
		for range nodes {
			if err := <-ended; err != nil {
				b.Error(err)
			}
		}
	})
	for _, p := range nodes {
		go func() { ended <- p.Run(ctx) }()
	}
	late := time.After(patience)
	for _, p := range nodes {
		for len(p.Membership().Members()) < len(nodes) {
			select {
			case <-late:
				b.Fatal("the nodes do not join")
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	return func(client int, name string) mutex { return nodes[client%len(nodes)].Lock(name) }
}

// platform1 is three nodes with one NATS server that syncs each write, over TCP.
func platform1(b *testing.B) system {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: b.TempDir(), NoLog: true, NoSigs: true, SyncAlways: true,
	})
	must(b, err)
	s.Start()
	b.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		b.Fatal("the server does not start")
	}
	var nodes []*cluster.Platform
	for i := range 3 {
		p, err := cluster.NewPlatform("bench", fmt.Sprintf("n%d", i+1), s.ClientURL())
		must(b, err)
		nodes = append(nodes, p)
	}
	return run(b, nodes)
}

// platform3 is three nodes with embedded servers: three replicas, each write
// synced.
func platform3(b *testing.B) system {
	ports := freePorts(b, 3)
	routes := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	var nodes []*cluster.Platform
	for i := range 3 {
		c := &cluster.EmbeddedCluster{Listen: routes(i)}
		for k := range 3 {
			if k != i {
				c.Peers = append(c.Peers, cluster.EmbeddedPeer{Name: fmt.Sprintf("n%d", k+1), Routes: routes(k)})
			}
		}
		p, err := cluster.NewPlatform("bench", fmt.Sprintf("n%d", i+1), "", cluster.WithDataDir(b.TempDir()),
			cluster.WithEmbedded(cluster.EmbeddedConfig{Secret: "a secret of the benchmark", Cluster: c}))
		must(b, err)
		nodes = append(nodes, p)
	}
	return run(b, nodes)
}

// etcd is a cluster of embedded etcd servers, each write synced as is its default.
// One server is reached over TCP, of three each client has its own in its process.
func etcd(b *testing.B, size int) system {
	ports := freePorts(b, 2*size)
	address := func(i int) url.URL { return url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", ports[i])} }
	var initial []string
	for i := range size {
		peer := address(2 * i)
		initial = append(initial, fmt.Sprintf("e%d=%s", i, peer.String()))
	}
	var servers []*embed.Etcd
	for i := range size {
		c := embed.NewConfig()
		c.Name, c.Dir, c.LogLevel = fmt.Sprintf("e%d", i), b.TempDir(), "panic"
		c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{address(2 * i)}, []url.URL{address(2 * i)}
		c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{address(2*i + 1)}, []url.URL{address(2*i + 1)}
		c.InitialCluster = strings.Join(initial, ",")
		s, err := embed.StartEtcd(c)
		must(b, err)
		b.Cleanup(s.Close)
		servers = append(servers, s)
	}
	for _, s := range servers {
		select {
		case <-s.Server.ReadyNotify():
		case <-time.After(patience):
			b.Fatal("etcd does not start")
		}
	}
	var clients []*clientv3.Client
	for i := range 3 {
		var client *clientv3.Client
		if size == 1 {
			var err error
			where := address(1)
			client, err = clientv3.New(clientv3.Config{Endpoints: []string{where.String()}})
			must(b, err)
		} else {
			client = v3client.New(servers[i].Server)
		}
		b.Cleanup(func() { _ = client.Close() })
		clients = append(clients, client)
	}
	return etcdMutexes(b, clients)
}

// etcdMutexes gives each client a session of its own, once: clients of one session
// do not exclude each other.
func etcdMutexes(b *testing.B, clients []*clientv3.Client) system {
	var mu sync.Mutex
	sessions := map[int]*concurrency.Session{}
	return func(client int, name string) mutex {
		mu.Lock()
		defer mu.Unlock()
		if sessions[client] == nil {
			s, err := concurrency.NewSession(clients[client%len(clients)])
			must(b, err)
			b.Cleanup(func() { _ = s.Close() })
			sessions[client] = s
		}
		return concurrency.NewMutex(sessions[client], "/"+name)
	}
}

// quantile returns a quantile of what was measured, in milliseconds.
func quantile(all []time.Duration, q float64) float64 {
	slices.Sort(all)
	return float64(all[min(len(all)-1, int(q*float64(len(all))))].Microseconds()) / 1000
}

package events

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
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/host/bus"
)

// startCluster runs three servers that form a cluster, until the test ends.
func startCluster(t *testing.T) (servers []*server.Server) {
	t.Helper()
	var ports []int
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	for i := range ports {
		opts := &server.Options{
			ServerName: fmt.Sprintf("s%d", i), Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[i]},
		}
		for _, p := range ports {
			opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", p)})
		}
		s, err := server.NewServer(opts)
		must(t, err)
		servers = append(servers, s)
	}
	return servers
}

// A group goes on when the server dies that leads its consumer, and nothing that
// was acknowledged to a publisher is lost.
func TestConsumerOutlivesItsServer(t *testing.T) {
	t.Parallel()
	servers := startCluster(t)
	var urls []string
	for _, s := range servers {
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	}
	for _, s := range servers {
		if !s.ReadyForConnections(patience) {
			t.Fatal("the server does not start")
		}
		urls = append(urls, s.ClientURL())
	}
	b := New()
	c, err := bus.Dial(within(t), bus.Config{URLs: urls})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close(within(t))) })
	must(t, b.Attach(place(t, c, "n1", "web")))
	t.Cleanup(func() { leave(t, b) })
	var mu sync.Mutex
	seen := map[string]bool{}
	s, err := b.Consume(within(t), "*", "x", "g", func(_ context.Context, e Event) error {
		mu.Lock()
		defer mu.Unlock()
		seen[string(e.Data)] = true
		return nil
	}, Durable{First: time.Millisecond})
	must(t, err)
	keep(t, b, "x", "", "before")
	p, err := b.at()
	must(t, err)
	var leader string
	eventually(t, "the consumer has three replicas and a leader", func() bool {
		cons, err := p.Conn.JetStream().Consumer(within(t), p.Space.stream, "g")
		if err != nil || cons.CachedInfo().Cluster == nil || len(cons.CachedInfo().Cluster.Replicas) != 2 {
			return false
		}
		leader = cons.CachedInfo().Cluster.Leader
		return leader != "" && !slices.ContainsFunc(cons.CachedInfo().Cluster.Replicas, func(r *jetstream.PeerInfo) bool { return !r.Current })
	})
	for i, srv := range servers {
		if strings.HasSuffix(leader, srv.Name()) {
			servers[i].Shutdown()
		}
	}
	for i := range 20 {
		keep(t, b, "x", "", fmt.Sprint(i))
	}
	eventually(t, "all are handled", func() bool { mu.Lock(); defer mu.Unlock(); return len(seen) == 21 })
	s.Unsubscribe()
}

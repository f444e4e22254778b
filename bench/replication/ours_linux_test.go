package replication

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/replica"
	"github.com/ozanturksever/go-cluster/replication"
	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// platform is so many servers that sync every write, and the connections of two
// nodes.
type platform struct {
	replicas int
	nodes    [2]*bus.Conn
	apps     int
}

func newPlatform(b *testing.B, replicas int) *platform {
	b.Helper()
	ports := freePorts(b, replicas)
	var servers []*server.Server
	for i := range replicas {
		o := &server.Options{ServerName: fmt.Sprint("s", i), Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: b.TempDir(),
			NoLog: true, NoSigs: true, SyncAlways: true}
		if replicas > 1 {
			o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[i]}
			for _, port := range ports {
				o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
			}
		}
		s, err := server.NewServer(o)
		must(b, err)
		s.Start()
		b.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers = append(servers, s)
	}
	p := &platform{replicas: replicas}
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	for _, s := range servers {
		if !s.ReadyForConnections(patience) {
			b.Fatal("a server does not start")
		}
	}
	for i, s := range []*server.Server{servers[0], servers[replicas-1]} {
		c, err := bus.Dial(ctx, bus.Config{URLs: []string{s.ClientURL()}, Name: fmt.Sprint("n", i)})
		must(b, err)
		b.Cleanup(func() { _ = c.Close(context.Background()) })
		p.nodes[i] = c
	}
	return p
}

// freePorts returns ports that nobody listens on at this moment.
func freePorts(b *testing.B, n int) (ports []int) {
	b.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(b, err)
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// pair is a leader's database and its copy on another node.
type pair struct {
	tools   replica.Tools // of the standby's node
	primary *replication.Primary
	standby *replication.Standby
	copied  string
}

// replicate begins to replicate a database as a new app. stop, which may be called
// more than once, ends it.
func (p *platform) replicate(b *testing.B, path string) (r *pair, stop func()) {
	b.Helper()
	p.apps++
	app := fmt.Sprint("a", p.apps)
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	leads, follows := p.tools(b, ctx, 0, app), p.tools(b, ctx, 1, app)
	primary, err := replication.OpenPrimary(ctx, replication.PrimaryConfig{Path: path, Epoch: 1, Feed: leads.Feed, Chunks: leads.Chunks})
	must(b, err)
	copied := filepath.Join(b.TempDir(), "copy.db")
	standby, err := replication.OpenStandby(ctx, replication.StandbyConfig{Path: copied, Feed: follows.Feed, Chunks: follows.Chunks, Shelf: follows.Shelf})
	must(b, err)
	life, end := context.WithCancel(context.Background())
	var work sync.WaitGroup
	for _, run := range []func(context.Context) error{primary.Run, standby.Run} {
		work.Go(func() {
			if err := run(life); err != nil {
				b.Error(err)
			}
		})
	}
	stop = sync.OnceFunc(func() {
		end()
		work.Wait()
		primary.Close()
		standby.Close()
	})
	b.Cleanup(stop)
	return &pair{tools: follows, primary: primary, standby: standby, copied: copied}, stop
}

func (p *platform) tools(b *testing.B, ctx context.Context, node int, app string) replica.Tools {
	b.Helper()
	names, err := bus.NewNames("p")
	must(b, err)
	of, err := names.App(app)
	must(b, err)
	feed, chunks := of.Feed(), of.Chunks()
	feed.Replicas, chunks.Replicas = p.replicas, p.replicas
	f, err := bus.OpenFeed(ctx, p.nodes[node], feed)
	must(b, err)
	c, err := bus.OpenChunks(ctx, p.nodes[node], chunks)
	must(b, err)
	blobs, err := bus.OpenBlobs(ctx, p.nodes[node], names.Blobs(), p.replicas)
	must(b, err)
	return replica.Tools{Feed: replica.NewFeed(f), Chunks: c, Shelf: replica.NewShelf(blobs, app, slog.New(slog.DiscardHandler))}
}

// follow waits until the copy has what the leader has committed.
func (r *pair) follow(b *testing.B) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	must(b, r.primary.Sync(ctx))
	head, err := r.tools.Feed.Head(ctx)
	must(b, err)
	must(b, r.standby.Reach(ctx, head.LastSeq))
}

// captured runs do with a capture of the database whose changes go nowhere.
func captured(b *testing.B, path string, do func()) sqlite.CaptureStats {
	b.Helper()
	c, err := sqlite.OpenCapture(b.Context(), path, sqlite.CaptureOptions{})
	must(b, err)
	defer c.Close()
	ctx, cancel := context.WithCancel(b.Context())
	var work sync.WaitGroup
	work.Go(func() { _ = c.Run(ctx, nil, func(context.Context, sqlite.Change) error { return nil }) })
	defer work.Wait()
	defer cancel()
	must(b, c.Sync(ctx))
	do()
	must(b, c.Sync(ctx))
	return c.Stats()
}

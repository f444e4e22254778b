package replica_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/replica"
	"github.com/ozanturksever/go-cluster/replication"
	"github.com/ozanturksever/go-cluster/replication/snapshot"
)

const patience = 90 * time.Second

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// startNATS runs so many servers that sync every write.
func startNATS(t testing.TB, n int) (urls []string) {
	t.Helper()
	var ports []int
	var taken []net.Listener
	for range n {
		l := must(net.Listen("tcp", "127.0.0.1:0"))
		taken = append(taken, l)
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	for _, l := range taken {
		l.Close()
	}
	var servers []*server.Server
	for i := range n {
		o := &server.Options{ServerName: fmt.Sprint("s", i), Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true, SyncAlways: true}
		if n > 1 {
			o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[i]}
			for _, p := range ports {
				o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", p)})
			}
		}
		servers = append(servers, must(server.NewServer(o)))
	}
	return start(t, servers)
}

func start(t testing.TB, servers []*server.Server) (urls []string) {
	for _, s := range servers {
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	}
	for _, s := range servers {
		if !s.ReadyForConnections(patience) {
			t.Fatal("server does not start")
		}
		urls = append(urls, s.ClientURL())
	}
	return urls
}

// node is what one node of a test has.
type node struct {
	path   string
	feed   replica.Feed
	chunks *bus.Chunks
	shelf  replica.Shelf
}

func newNode(t testing.TB, url string, replicas int) node {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("replication of SQLite needs Linux")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := must(bus.Dial(ctx, bus.Config{URLs: []string{url}, Name: t.Name()}))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	names := must(bus.NewNames("p"))
	app := must(names.App("a"))
	feed, chunks := app.Feed(), app.Chunks()
	feed.Replicas, chunks.Replicas = replicas, replicas
	return node{
		path:   filepath.Join(t.TempDir(), "a.db"),
		feed:   replica.NewFeed(must(bus.OpenFeed(ctx, c, feed))),
		chunks: must(bus.OpenChunks(ctx, c, chunks)),
		shelf:  replica.NewShelf(must(bus.OpenBlobs(ctx, c, names.Blobs(), replicas)), "a", slog.New(slog.DiscardHandler)),
	}
}

// background runs do until the returned function is called, or the test ends.
func background(t testing.TB, do func(context.Context) error, then func()) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- do(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			then()
		})
	}
	t.Cleanup(stop)
	return stop
}

func (n node) primary(t testing.TB, epoch uint64) *replication.Primary {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p := must(replication.OpenPrimary(ctx, replication.PrimaryConfig{Path: n.path, Epoch: epoch, Feed: n.feed, Chunks: n.chunks}))
	background(t, p.Run, p.Close)
	return p
}

func (n node) standby(t testing.TB) (*replication.Standby, func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := must(replication.OpenStandby(ctx, replication.StandbyConfig{Path: n.path, Feed: n.feed, Chunks: n.chunks, Shelf: n.shelf}))
	return s, background(t, s.Run, func() { s.Close() })
}

func (n node) db(t testing.TB, pragmas string) *sql.DB {
	t.Helper()
	db := must(sql.Open("sqlite", "file:"+n.path+"?_pragma=busy_timeout(30000)&_pragma=journal_mode(wal)"+pragmas))
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// TestThree: over three servers, a copy is what was synced; a snapshot is stored,
// found, verified and restored; what a later standby needs is there.
func TestThree(t *testing.T) {
	urls := startNATS(t, 3)
	leader, follower := newNode(t, urls[0], 3), newNode(t, urls[1], 3)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db := leader.db(t, "")
	must(db.Exec("CREATE TABLE t(n INTEGER PRIMARY KEY, v BLOB)"))
	p := leader.primary(t, 1)
	s, stop := follower.standby(t)
	for n := range 50 {
		must(db.Exec("INSERT INTO t VALUES(?, randomblob(2000))", n))
	}
	if err := p.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	head := must(leader.feed.Head(ctx))
	if err := s.Reach(ctx, head.LastSeq); err != nil {
		t.Fatal(err)
	}
	m := must(s.Snapshot(ctx, snapshot.Manifest{ID: "s1", Platform: "p", App: "a", Node: "n2", Time: time.Now().UTC()}, nil))
	stop()
	all := must(leader.shelf.List(ctx))
	if len(all) != 1 || all[0].ID != "s1" || all[0].Seq != head.LastSeq || !slices.Equal(all[0].Chunks, m.Chunks) {
		t.Fatalf("%+v", all)
	}
	if err := snapshot.Verify(ctx, all[0], leader.chunks); err != nil {
		t.Error(err)
	}
	restored := node{path: filepath.Join(t.TempDir(), "r.db")}
	if err := snapshot.Restore(ctx, all[0], leader.chunks, restored.path); err != nil {
		t.Fatal(err)
	}
	for _, n := range []node{follower, restored} {
		var rows int
		var verdict string
		copied := n.db(t, "")
		if err := copied.QueryRow("SELECT count(*), (SELECT integrity_check FROM pragma_integrity_check) FROM t").Scan(&rows, &verdict); err != nil || rows != 50 || verdict != "ok" {
			t.Errorf("%s: %d rows, %s, %v", n.path, rows, verdict, err)
		}
	}
	if err := leader.shelf.Forget(ctx, "s1"); err != nil || len(must(leader.shelf.List(ctx))) != 0 {
		t.Error(err, "it is still there")
	}
}

// BenchmarkLag is the time from the return of COMMIT to the row on the standby,
// read by another connection, at 50 transactions a second; and the time of a
// barrier.
func BenchmarkLag(b *testing.B) {
	for _, replicas := range []int{1, 3} {
		b.Run(fmt.Sprint("R", replicas), func(b *testing.B) {
			urls := startNATS(b, replicas)
			leader, follower := newNode(b, urls[0], replicas), newNode(b, urls[replicas-1], replicas)
			db := leader.db(b, "&_pragma=synchronous(normal)")
			must(db.Exec("CREATE TABLE t(n INTEGER PRIMARY KEY, v BLOB)"))
			p := leader.primary(b, 1)
			s, _ := follower.standby(b)
			ctx := context.Background()
			if err := p.Sync(ctx); err != nil {
				b.Fatal(err)
			}
			if err := s.Reach(ctx, must(leader.feed.Head(ctx)).LastSeq); err != nil {
				b.Fatal(err)
			}
			reader := follower.db(b, "&mode=ro")
			const rounds = 250
			lags, syncs := make([]time.Duration, 0, rounds), make([]time.Duration, 0, rounds)
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			poll := time.NewTicker(500 * time.Microsecond) // a reader that never rests takes the time of what it waits for
			defer poll.Stop()
			for n := range rounds {
				<-tick.C
				must(db.Exec("INSERT INTO t VALUES(?, randomblob(50))", n))
				committed := time.Now()
				for found := 0; found == 0; <-poll.C {
					if err := reader.QueryRow("SELECT count(*) FROM t WHERE n = ?", n).Scan(&found); err != nil {
						b.Fatal(err)
					}
				}
				lags = append(lags, time.Since(committed))
				must(db.Exec("UPDATE t SET v = randomblob(50) WHERE n = ?", n))
				begun := time.Now()
				if err := p.Sync(ctx); err != nil {
					b.Fatal(err)
				}
				syncs = append(syncs, time.Since(begun))
			}
			report := func(name string, all []time.Duration) {
				slices.Sort(all)
				b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, name+"-p50-ms")
				b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, name+"-p99-ms")
			}
			b.ReportMetric(0, "ns/op")
			report("lag", lags)
			report("sync", syncs)
		})
	}
}

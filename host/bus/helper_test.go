package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// patience bounds every wait of a test; the machine may be busy.
const patience = 30 * time.Second

func serverOptions(t testing.TB) *server.Options {
	return &server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(),
		NoLog: true, NoSigs: true,
	}
}

// startServer runs a server until the test ends.
func startServer(t testing.TB, change ...func(*server.Options)) *server.Server {
	t.Helper()
	opts := serverOptions(t)
	for _, fn := range change {
		fn(opts)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("server does not start")
	}
	return s
}

// freePorts returns ports that nobody listens on at this moment.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var out []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, l.Addr().(*net.TCPAddr).Port)
	}
	return out
}

// startCluster runs n servers that form a cluster; join adds one more. A new
// cluster elects its first leader only when all servers that its routes name
// are there.
func startCluster(t testing.TB, n int) (servers []*server.Server, join func() *server.Server) {
	t.Helper()
	ports := freePorts(t, n+1)
	start := func(i, size int) *server.Server {
		return startServer(t, func(o *server.Options) {
			o.ServerName = fmt.Sprintf("s%d", i)
			o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[i]}
			for _, p := range ports[:size] {
				o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", p)})
			}
		})
	}
	for i := range n {
		servers = append(servers, start(i, n))
	}
	return servers, func() *server.Server { return start(n, n+1) }
}

func dial(t testing.TB, cfg Config) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeConn(t, c) })
	return c
}

func closeConn(t testing.TB, c *Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
}

func dialServer(t testing.TB, s *server.Server) *Conn {
	t.Helper()
	return dial(t, Config{URLs: []string{s.ClientURL()}, Name: t.Name()})
}

func names(t testing.TB, platform string) Names {
	t.Helper()
	n, err := NewNames(platform)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func openRecords(t testing.TB, c *Conn) *Records {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := OpenRecords(ctx, c, names(t, "p").Records())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// within is the context of one call.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// set writes a record whatever its sequence is.
func set(t testing.TB, r *Records, key, value string) uint64 {
	t.Helper()
	var last error
	ok := poll(func() bool {
		rec, err := r.Get(within(t, time.Second), key)
		if err == nil {
			rec.Seq, err = r.CAS(within(t, time.Second), key, rec.Seq, []byte(value))
		}
		last = err
		return err == nil
	})
	if !ok {
		t.Fatalf("set %s: %v", key, last)
	}
	rec, err := r.Get(within(t, patience), key)
	if err != nil {
		t.Fatal(err)
	}
	return rec.Seq
}

// poll waits until cond holds. It is false when that takes too long.
func poll(cond func() bool) bool {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			return cond()
		}
	}
	return true
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if !poll(cond) {
		t.Fatalf("never happened: %s", what)
	}
}

// expect fails the test if err does not hold all of the sentinels or the texts.
func expect(t testing.TB, err error, want ...any) {
	t.Helper()
	for _, w := range want {
		switch w := w.(type) {
		case error:
			if !errors.Is(err, w) {
				t.Errorf("error %v, want %v", err, w)
			}
		case string:
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("error %v, want the text %q", err, w)
			}
		}
	}
}

// logbook is a logger whose text a test can read.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logbook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// seen is what the fn of a Watch has got.
type seen struct {
	mu    sync.Mutex
	calls int
	last  map[string]Record
	bad   []string // what must not happen
}

func (s *seen) add(batch []Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.last == nil {
		s.last = map[string]Record{}
	}
	if !slices.IsSortedFunc(batch, func(a, b Record) int { return int(int64(a.Seq) - int64(b.Seq)) }) {
		s.bad = append(s.bad, fmt.Sprintf("not in order: %v", batch))
	}
	for _, rec := range batch {
		if old := s.last[rec.Key]; rec.Seq <= old.Seq {
			s.bad = append(s.bad, fmt.Sprintf("%s went from %d to %d", rec.Key, old.Seq, rec.Seq))
		}
		s.last[rec.Key] = rec
	}
}

func (s *seen) value(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.last[key].Value)
}

func (s *seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// watch runs a Watch until the test ends, and checks what it was given.
func watch(t testing.TB, r *Records, pattern string) *seen {
	t.Helper()
	s := &seen{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Watch(ctx, pattern, s.add) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("watch %s: %v", pattern, err)
			}
		case <-time.After(patience):
			t.Errorf("watch %s does not end", pattern)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, b := range s.bad {
			t.Error(b)
		}
	})
	return s
}

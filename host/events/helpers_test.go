package events

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ozanturksever/go-cluster/host/bus"
)

// patience bounds every wait of a test; the machine may be busy.
const patience = 40 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func startServer(t testing.TB, change ...func(*server.Options)) *server.Server {
	t.Helper()
	opts := &server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true}
	for _, fn := range change {
		fn(opts)
	}
	s, err := server.NewServer(opts)
	must(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	return s
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			if !cond() {
				t.Fatalf("never happened: %s", what)
			}
		}
	}
}

func connect(t testing.TB, url string) *bus.Conn {
	t.Helper()
	c, err := bus.Dial(within(t), bus.Config{URLs: []string{url}})
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return c
}

// place is where a broker of the test works: app web of platform p, or the
// platform.
func place(t testing.TB, c *bus.Conn, node, app string) Place {
	t.Helper()
	names, err := bus.NewNames("p")
	must(t, err)
	space := PlatformSpace(names)
	if app != "" {
		a, err := names.App(app)
		must(t, err)
		space = AppSpace(a)
	}
	return Place{Space: space, Conn: c, Node: node, Log: slog.New(slog.DiscardHandler)}
}

// join returns a broker that is attached, until the test ends.
func join(t testing.TB, url, node, app string, change ...func(*Place)) *Broker {
	t.Helper()
	b := New()
	p := place(t, connect(t, url), node, app)
	for _, fn := range change {
		fn(&p)
	}
	must(t, b.Attach(p))
	t.Cleanup(func() { leave(t, b) })
	return b
}

func leave(t testing.TB, b *Broker) {
	t.Helper()
	if err := b.Close(within(t)); err != nil {
		t.Error(err)
	}
}

// notes is what handlers have seen, in order.
type notes struct {
	mu  sync.Mutex
	all []string
}

func (n *notes) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, fmt.Sprintf(format, args...))
}

func (n *notes) list() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.all, " ")
}

func (n *notes) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.all)
}

// live returns a handler that notes the data of each event.
func (n *notes) live(e Event) { n.add("%s", e.Data) }

// kept returns a handler that notes the data of each event and is content.
func (n *notes) kept(_ context.Context, e Event) error {
	n.add("%s", e.Data)
	return nil
}

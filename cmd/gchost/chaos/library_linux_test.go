package chaos

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// librarySpec is a node that uses package cluster.
type librarySpec struct {
	Platform, Node, DataDir string
	URL                     string // of an existing NATS; "" is the embedded server
	Embedded                cluster.EmbeddedConfig
	Peers                   []string
	TTL                     time.Duration
	Apps                    []string
	Acts                    bool          // each app has a service inside of the process
	SlowHooks               time.Duration // how long OnActive and OnPassive take
	SlowStop                time.Duration // how long the service goes on when it is stopped
	Rows                    bool          // each app has a service that writes a database, a process of its own
	Database, Ledger        string        // of such a service

	// Of the first app.
	Locks   []string // what clients take and give back all the time
	Clients int      // of each of these locks
	Keeps   string   // a lock that is taken and kept
	Events  string   // a subject of kept events, published and consumed
}

// runLibrary is a program that uses the library, with its own guard.
func runLibrary() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var s librarySpec
	if err := json.Unmarshal([]byte(os.Getenv(envSpec)), &s); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	opts := []cluster.PlatformOption{
		cluster.WithDataDir(s.DataDir), cluster.WithLeaseTTL(s.TTL), cluster.WithGuard(self, "guard"),
		cluster.WithLogger(slog.New(slog.NewJSONHandler(os.Stderr, nil))),
	}
	if s.URL == "" {
		opts = append(opts, cluster.WithEmbedded(s.Embedded), cluster.WithPeers(s.Peers...))
	}
	p, err := cluster.NewPlatform(s.Platform, s.Node, s.URL, opts...)
	if err != nil {
		return err
	}
	work := clients{p: p, spec: s}
	for _, name := range s.Apps {
		var app *cluster.App
		if s.Rows {
			app = rowsApp(ctx, name, self, s)
		} else if app, err = libraryApp(p, name, s); err != nil {
			return err
		}
		p.Register(app)
		if work.app == nil {
			work.app = app
		}
	}
	if work.w, err = newWriter(entry{Node: s.Node, App: work.app.Name(), PID: os.Getpid()}); err != nil {
		return err
	}
	work.begin(ctx)
	err = p.Run(ctx)
	stop()
	work.work.Wait()
	return err
}

func libraryApp(p *cluster.Platform, name string, s librarySpec) (*cluster.App, error) {
	w, err := newWriter(entry{Node: s.Node, App: name, PID: os.Getpid()})
	if err != nil {
		return nil, err
	}
	var opts []cluster.AppOption
	if s.Acts {
		opts = append(opts, cluster.WithBackend(&inside{w: w, slow: s.SlowStop}))
	}
	app := cluster.NewApp(name, opts...)
	hook := func(text string) func(context.Context) error {
		return func(ctx context.Context) error {
			e := w.self
			if l, ok := cluster.LeaseFrom(ctx); ok {
				e.Epoch = uint64(l.Epoch)
			}
			e.T, e.Kind, e.Text = w.now(), kindHook, text
			if err := w.write(e); err != nil || text == "OnStop" {
				return err
			}
			return pause(ctx, s.SlowHooks)
		}
	}
	app.OnActive(hook("OnActive"))
	app.OnPassive(hook("OnPassive"))
	app.OnStop(hook("OnStop"))
	tell := func(text, about string) error {
		e := w.self
		e.T, e.Kind, e.Text, e.About = w.now(), kindTold, text, about
		return w.write(e)
	}
	app.OnLeaderChange(func(_ context.Context, leader string) error { return tell("OnLeaderChange", leader) })
	app.OnMemberJoin(func(_ context.Context, m cluster.Member) error { return tell("OnMemberJoin", m.NodeID) })
	app.OnMemberLeave(func(_ context.Context, m cluster.Member) error { return tell("OnMemberLeave", m.NodeID) })
	return app, nil
}

// pause waits, or returns the context's error if that ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// inside is a service in the process of its host. It asks the lease before each
// act. The time of the act is taken before the question: between the answer and
// the act the process may be frozen, and only a fence at the receiver helps
// against that.
type inside struct {
	w    *writer
	slow time.Duration

	mu   sync.Mutex
	stop chan struct{}
	done chan struct{}
}

// Start implements [cluster.Backend].
func (b *inside) Start(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stop != nil {
		return nil
	}
	lease, _ := cluster.LeaseFrom(ctx)
	b.stop, b.done = make(chan struct{}), make(chan struct{})
	go b.act(lease, b.stop, b.done)
	return nil
}

func (b *inside) act(lease cluster.Lease, stop, done chan struct{}) {
	defer close(done)
	tick := time.NewTicker(actEvery)
	defer tick.Stop()
	var last <-chan time.Time
	for {
		select {
		case <-tick.C:
		case <-stop:
			stop, last = nil, time.After(b.slow)
		case <-last:
			return
		}
		e := b.w.self
		e.T, e.Kind, e.Epoch = b.w.now(), kindAct, uint64(lease.Epoch)
		if lease.Valid() {
			_ = b.w.write(e) // a journal that cannot be written shows as a service that does not act
		}
	}
}

// Stop implements [cluster.Backend].
func (b *inside) Stop(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stop == nil {
		return nil
	}
	close(b.stop)
	<-b.done
	b.stop = nil
	return nil
}

// Health implements [cluster.Backend].
func (b *inside) Health(context.Context) (h pluginapi.BackendHealth, err error) { return h, nil }

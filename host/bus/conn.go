package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Conn is a connection to NATS that is made again when it breaks. Its methods
// may be called at the same time.
type Conn struct {
	nc  *nats.Conn
	js  jetstream.JetStream
	cfg Config
	log *slog.Logger
	net *network

	life   context.Context // ends with Close
	end    context.CancelFunc
	work   sync.WaitGroup // goroutines of watchers
	closed chan struct{}  // nats.go has made its last callback

	mu        sync.Mutex
	connected bool
	noInbox   error               // why answers cannot reach us; nil when they can
	calls     map[uint64]question // that wait for an answer, by ticket
	tickets   uint64
	subs      map[*subscription]struct{}
	listeners map[*Listener]struct{}
	denied    map[string]bool // subjects whose denial was logged

	inboxOnce sync.Once
	inboxErr  error
	inbox     string // what the subject of every answer begins with

	states fanout
}

func newConn(cfg Config) *Conn {
	c := &Conn{
		cfg: cfg, log: cfg.Logger,
		net:       &network{timeout: attemptTimeout(cfg)},
		closed:    make(chan struct{}),
		connected: true, // nobody has it before it is connected, and a loss may be told before Dial returns
		calls:     map[uint64]question{},
		subs:      map[*subscription]struct{}{},
		listeners: map[*Listener]struct{}{},
		denied:    map[string]bool{},
	}
	c.net.ctx, c.net.end = context.WithCancel(context.Background())
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

// options are the settings of every connection, whoever connects.
func (c *Conn) options() []nats.Option {
	opts := []nats.Option{
		nats.Name(c.cfg.Name),
		nats.Timeout(attemptTimeout(c.cfg)),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectWait, reconnectWait),
		nats.ReconnectBufSize(-1), // what was written for an old state of the world must not be sent into a new one
		nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(c.cfg.PingInterval),
		nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(writeTimeout),
		nats.ReconnectOnFlusherError(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { c.down(err) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { c.up(nc) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) { c.trouble(sub, err) }),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }),
	}
	if c.cfg.InboxPrefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(c.cfg.InboxPrefix))
	}
	if c.cfg.InProcess != nil {
		return append(opts, nats.InProcessServer(inProcess{c.cfg.InProcess, c.net.ctx}))
	}
	return append(opts, nats.SkipHostLookup(), nats.SetCustomDialer(c.net))
}

// NATS returns the connection below. Whoever uses it must not close it, nor
// replace its handlers.
func (c *Conn) NATS() *nats.Conn { return c.nc }

// JetStream returns the JetStream client of the connection.
func (c *Conn) JetStream() jetstream.JetStream { return c.js }

// Connected says whether there is a connection at this moment.
func (c *Conn) Connected() bool {
	// Not nc.IsConnected: that waits while nats.go dials.
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connected
}

// OnState calls fn each time the connection is lost (false) or back (true),
// one call at a time and in order. It does not tell the present state. fn must
// not block and must not call cancel. After cancel has returned fn does not run
// and is not called any more.
func (c *Conn) OnState(fn func(connected bool)) (cancel func()) {
	return c.states.add(fn)
}

// down is told that the connection is lost. What was asked on it stays
// unanswered.
func (c *Conn) down(err error) {
	c.mu.Lock()
	c.connected, c.noInbox = false, nil
	clear(c.denied)
	c.failCalls("", errLost)
	c.mu.Unlock()
	if c.life.Err() == nil {
		c.log.Warn("NATS connection lost", "error", err)
	}
	c.states.tell(false)
}

func (c *Conn) up(nc *nats.Conn) {
	c.mu.Lock()
	c.connected = true
	c.mu.Unlock()
	c.log.Info("NATS connection is back", "server", nc.ConnectedServerName())
	c.states.tell(true)
}

// trouble hears of what nats.go can tell nobody else.
func (c *Conn) trouble(sub *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrPermissionViolation):
		c.permission(err)
	case errors.Is(err, nats.ErrSlowConsumer) && sub != nil:
		c.log.Warn("messages dropped: the reader is too slow", "subject", sub.Subject)
	case c.life.Err() == nil:
		c.log.Debug("NATS connection", "error", err)
	}
}

// permission puts a violation into the calls that it belongs to: the server
// does not answer them.
func (c *Conn) permission(err error) {
	subject, publish := deniedSubject(err)
	c.mu.Lock()
	switch {
	case publish:
		c.failCalls(subject, &denied{subject: subject, publish: true})
	case strings.HasPrefix(subject, c.inboxes()):
		c.noInbox = &denied{subject: subject}
		c.failCalls("", c.noInbox)
	}
	known := c.denied[subject]
	if !known && len(c.denied) < 100 {
		c.denied[subject] = true
	}
	c.mu.Unlock()
	if !known {
		c.log.Warn("NATS permission denied", "error", err)
	}
}

// denied is a permission that the server has refused.
type denied struct {
	subject string
	publish bool
}

func (d *denied) Error() string {
	verb := "subscribe to"
	if d.publish {
		verb = "publish to"
	}
	return fmt.Sprintf("permission denied: this user may not %s %q: allow it on the server", verb, d.subject)
}

// deniedSubject takes the subject out of the server's text, as in
// `permissions violation: Permissions Violation for Publish to "a.b"`.
func deniedSubject(err error) (subject string, publish bool) {
	m := regexp.MustCompile(`(?i)(publish|subscription) to "([^"]+)"`).FindStringSubmatch(err.Error())
	if m == nil {
		return "", false
	}
	return m[2], strings.EqualFold(m[1], "publish")
}

// Close sends what is still to be sent, closes the connection, and waits for
// watchers, for subscription callbacks that run, and for state callbacks. ctx
// bounds all of it; without a deadline sending is bounded by 2 s. Close may be
// called again.
//
// # Errors
//
// The end of ctx, when something still ran then. The connection is closed all
// the same.
func (c *Conn) Close(ctx context.Context) error {
	c.mu.Lock()
	c.end()
	c.mu.Unlock()
	if c.Connected() {
		flush, cancel := context.WithTimeout(ctx, 2*time.Second)
		_ = c.nc.FlushWithContext(flush) // a link that is cut just now loses it in any case
		cancel()
	}
	c.nc.Close()
	c.net.end()
	c.mu.Lock()
	subs, listeners := c.subs, c.listeners
	c.subs, c.listeners = map[*subscription]struct{}{}, map[*Listener]struct{}{}
	c.failCalls("", ErrClosed)
	c.mu.Unlock()
	for l := range listeners {
		l.over.Store(true)
		if err := l.end(ctx); err != nil {
			return fmt.Errorf("close NATS connection: a callback of %q still runs: %w", l.subject, err)
		}
	}
	for s := range subs {
		if err := s.stop(ctx); err != nil {
			return fmt.Errorf("close NATS connection: a callback of %q still runs: %w", s.subject, err)
		}
	}
	idle := make(chan struct{})
	go func() { c.work.Wait(); <-c.closed; close(idle) }()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close NATS connection: callbacks still run: %w", ctx.Err())
	}
}

// spawn runs fn on a goroutine that Close waits for. It is false after Close.
func (c *Conn) spawn(fn func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		return false
	}
	c.work.Go(fn)
	return true
}

// fanout tells many what happens to one.
type fanout struct {
	mu  sync.Mutex
	fns []*func(bool)
}

func (f *fanout) add(fn func(bool)) (cancel func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fns = append(f.fns, &fn)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for i := range f.fns {
			if f.fns[i] == &fn {
				f.fns = append(f.fns[:i:i], f.fns[i+1:]...)
				return
			}
		}
	}
}

func (f *fanout) tell(connected bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fn := range f.fns {
		(*fn)(connected)
	}
}

// inboxes is what the subject of every answer to us begins with.
func (c *Conn) inboxes() string {
	if c.cfg.InboxPrefix != "" {
		return c.cfg.InboxPrefix + "."
	}
	return nats.InboxPrefix
}

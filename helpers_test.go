package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	cluster "github.com/ozanturksever/go-cluster"
	"github.com/ozanturksever/go-cluster/host/control"
)

// patience bounds every wait for what takes milliseconds on a machine that is
// not busy.
const patience = 40 * time.Second

// TestMain runs the test binary as a node when a test asks for a real process.
func TestMain(m *testing.M) {
	if arg := os.Getenv(childEnv); arg != "" {
		os.Exit(childMain(arg))
	}
	if os.Getenv(serviceEnv) != "" {
		os.Exit(serviceMain())
	}
	os.Exit(m.Run())
}

// poll waits until cond holds. It is false when that takes too long.
func poll(within time.Duration, cond func() bool) bool {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(within)
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
	if !poll(patience, cond) {
		t.Fatalf("never happened: %s", what)
	}
}

// within is the context of one call.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErr fails the test if err does not hold all of the errors and the texts.
func wantErr(t testing.TB, err error, want ...any) {
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

// startNATS runs an existing NATS, as far as the platforms can tell, until the
// test ends.
func startNATS(t testing.TB, change ...func(*server.Options)) *server.Server {
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

// freePorts returns the first of pairs of ports that nobody listens on at this
// moment: a server's peer mesh takes the port after that of its routes.
func freePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	var open []io.Closer
	defer func() {
		for _, l := range open {
			l.Close()
		}
	}()
	for len(ports) < n {
		a, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		port := a.Addr().(*net.TCPAddr).Port
		open = append(open, a)
		b, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		if err != nil {
			continue
		}
		open = append(open, b)
		ports = append(ports, port)
	}
	return ports
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

func (b *logbook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// node is a platform that runs in this process.
type node struct {
	*cluster.Platform
	t      testing.TB
	apps   map[string]*cluster.App
	cancel context.CancelFunc
	done   chan struct{}
	err    error // of Run, when done is closed
	log    *logbook
}

// newNode makes a platform that has not been started. Its log is shown when the
// test fails.
func newNode(t testing.TB, platform, id, url string, opts ...cluster.PlatformOption) *node {
	t.Helper()
	n := &node{t: t, apps: map[string]*cluster.App{}, done: make(chan struct{}), log: &logbook{}}
	p, err := cluster.NewPlatform(platform, id, url, append([]cluster.PlatformOption{cluster.WithLogger(n.log.logger())}, opts...)...)
	must(t, err)
	n.Platform = p
	return n
}

// app adds an app.
func (n *node) app(a *cluster.App) *cluster.App {
	n.Register(a)
	n.apps[a.Name()] = a
	return a
}

// begin runs the node until the test ends, and wants a clean end.
func (n *node) begin() *node {
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	go func() {
		defer close(n.done)
		n.err = n.Run(ctx)
	}()
	n.t.Cleanup(func() {
		if err := n.stop(); err != nil {
			n.t.Errorf("node %s: %v", n.NodeID(), err)
		}
		if n.t.Failed() {
			n.t.Logf("log of %s:\n%s", n.NodeID(), n.log)
		}
	})
	return n
}

// start is begin, and waits until the node has joined.
func (n *node) start() *node {
	n.t.Helper()
	n.begin()
	eventually(n.t, n.NodeID()+" has joined", func() bool {
		select {
		case <-n.done:
			n.t.Fatalf("node %s ended: %v", n.NodeID(), n.err)
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		return n.WaitReady(ctx) == nil
	})
	return n
}

// stop ends the node and returns what Run returned.
func (n *node) stop() error {
	n.cancel()
	return n.wait()
}

func (n *node) wait() error {
	n.t.Helper()
	select {
	case <-n.done:
		return n.err
	case <-time.After(2 * patience):
		buf := make([]byte, 1<<20)
		n.t.Fatalf("Run of %s does not return\n%s\n%s", n.NodeID(), n.log, buf[:runtime.Stack(buf, true)])
		return nil
	}
}

func (n *node) election(app string) *cluster.Election { return n.apps[app].Election() }

// leads waits until the node leads the app.
func (n *node) leads(app string) {
	n.t.Helper()
	if err := n.election(app).WaitForLeadership(within(n.t, patience)); err != nil {
		n.t.Fatalf("%s does not lead %s: %v", n.NodeID(), app, err)
	}
}

// knows waits until the node knows the members.
func (n *node) knows(members ...string) {
	n.t.Helper()
	eventually(n.t, fmt.Sprintf("%s knows %v", n.NodeID(), members), func() bool { return slices.Equal(n.members(), members) })
}

func (n *node) members() (ids []string) {
	for _, m := range n.Membership().Members() {
		ids = append(ids, m.NodeID)
	}
	return ids
}

// Request implements control.Requester: it asks as the command line does.
func (n *node) Request(ctx context.Context, id, verb string, data []byte) ([]byte, error) {
	subject := "gc." + n.Name() + ".ctl.any." + verb
	if id != "" {
		subject = "gc." + n.Name() + ".ctl.node." + id + "." + verb
	}
	m, err := n.NATS().RequestWithContext(ctx, subject, data)
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

// status is what the command line would show of an app on a node.
func (n *node) status(app string) control.Instance {
	n.t.Helper()
	apps, err := control.NewClient(n).Apps(within(n.t, patience))
	must(n.t, err)
	for _, a := range apps {
		for _, i := range a.Instances {
			if a.Name == app && i.Node == n.NodeID() {
				return i
			}
		}
	}
	n.t.Fatalf("no instance of %s on %s in %+v", app, n.NodeID(), apps)
	return control.Instance{}
}

// leaderOf waits until exactly one of the nodes leads the app, and all of them
// know it.
func leaderOf(t testing.TB, app string, nodes ...*node) (leader *node) {
	t.Helper()
	eventually(t, "one leader of "+app+", known to all", func() bool {
		leader = nil
		for _, n := range nodes {
			if n.election(app).IsLeader() {
				leader = n
			}
		}
		return leader != nil && !slices.ContainsFunc(nodes, func(n *node) bool { return n.election(app).Leader() != leader.NodeID() })
	})
	return leader
}

func other(nodes []*node, than *node) *node {
	return nodes[slices.IndexFunc(nodes, func(n *node) bool { return n != than })]
}

// deed is something that a hook or a worker did.
type deed struct {
	node, what string
	epoch      cluster.Epoch
}

func (d deed) String() string { return fmt.Sprintf("%s %s %d", d.node, d.what, d.epoch) }

// journal is the one order of what all nodes of a test did.
type journal struct {
	mu    sync.Mutex
	deeds []deed
}

func (j *journal) add(node, what string, epoch cluster.Epoch) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.deeds = append(j.deeds, deed{node, what, epoch})
}

func (j *journal) all() []deed {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.deeds)
}

// of returns the deeds of one kind; node "" means all.
func (j *journal) of(node, what string) (out []deed) {
	for _, d := range j.all() {
		if (node == "" || d.node == node) && d.what == what {
			out = append(out, d)
		}
	}
	return out
}

// hook returns a hook that notes that it was called, and in which epoch.
func (j *journal) hook(node, what string) func(context.Context) error {
	return func(ctx context.Context) error {
		l, _ := cluster.LeaseFrom(ctx)
		j.add(node, what, l.Epoch)
		return nil
	}
}

// check holds the journal to what hooks promise: one active node at a time, a
// passive for each active, epochs that rise. A node whose work begins notes
// "active", and "passive" when nothing of it runs any more.
func (j *journal) check(t testing.TB, ended bool) {
	t.Helper()
	var active deed
	var last cluster.Epoch
	for i, d := range j.all() {
		switch d.what {
		case "active":
			if active != (deed{}) {
				t.Errorf("deed %d: %v while %v", i, d, active)
			}
			if d.epoch <= last {
				t.Errorf("deed %d: %v after epoch %d", i, d, last)
			}
			active, last = d, d.epoch
		case "passive":
			if active.node != d.node || active.epoch != d.epoch {
				t.Errorf("deed %d: %v while %v", i, d, active)
			}
			active = deed{}
		}
	}
	if ended && active != (deed{}) {
		t.Errorf("never passive: %v", active)
	}
	if t.Failed() {
		t.Logf("journal: %v", j.all())
	}
}

// witnessed returns an app whose hooks write the journal.
func (j *journal) app(id, name string, opts ...cluster.AppOption) *cluster.App {
	a := cluster.NewApp(name, opts...)
	a.OnActive(j.hook(id, "active"))
	a.OnPassive(j.hook(id, "passive"))
	a.OnStop(j.hook(id, "stop"))
	a.OnLeaderChange(func(_ context.Context, leader string) error {
		j.add(id, "leader "+leader, 0)
		return nil
	})
	return a
}

// proxy is a TCP proxy whose link can be held or cut. A held link loses
// nothing and moves nothing, as a network that drops every packet; what was
// under way arrives when it is released.
type proxy struct {
	l      net.Listener
	target string
	wg     sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	down   bool // refuse, and close what comes
	closed bool
	gate   chan struct{} // nil: open; else closed when the link is released
	delay  time.Duration // of everything, both ways
}

func startProxy(t testing.TB, s *server.Server) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{l: l, target: strings.TrimPrefix(s.ClientURL(), "nats://"), conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		l.Close()
		p.cut()
		p.release()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) url() string { return "nats://" + p.l.Addr().String() }

func (p *proxy) accept() {
	for {
		in, err := p.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target)
		p.mu.Lock()
		if err != nil || p.down || p.closed {
			in.Close()
			if out != nil {
				out.Close()
			}
			p.mu.Unlock()
			continue
		}
		p.conns[in], p.conns[out] = true, true
		p.mu.Unlock()
		p.wg.Go(func() { p.pipe(out, in) })
		p.wg.Go(func() { p.pipe(in, out) })
	}
}

func (p *proxy) pipe(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		gate, delay := p.gate, p.delay
		p.mu.Unlock()
		if gate != nil {
			<-gate
		}
		if delay > 0 {
			<-time.After(delay)
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// slow delays everything from now on.
func (p *proxy) slow(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = delay
}

// hold lets nothing through, without a word to anybody.
func (p *proxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = make(chan struct{})
}

// release ends hold.
func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gate != nil {
		close(p.gate)
	}
	p.gate = nil
}

// keep lets new traffic through after hold; what was held stays under way until
// arrive is called, also if its connection ends meanwhile.
func (p *proxy) keep() (arrive func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gate := p.gate
	p.gate = nil
	return func() { close(gate) }
}

// cut closes all connections and refuses new ones; heal lets them in again.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
}

func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

const childEnv = "GC_TEST_NODE"

// childConfig says what a node in a process of its own is.
type childConfig struct {
	Platform, Node, URL, DataDir, App string
	TTL                               time.Duration
	Deaf                              bool // OnPassive does not come back
	Lock                              string
}

// child is a node in a process of its own.
type child struct {
	cmd   *exec.Cmd
	lines chan string
}

// startChild runs a node in a process of its own, until the test ends.
func startChild(t testing.TB, cfg childConfig) *child {
	t.Helper()
	b, err := json.Marshal(cfg)
	must(t, err)
	c := &child{cmd: exec.Command(os.Args[0]), lines: make(chan string, 100)}
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(b))
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe() // its end is the child's end
	must(t, err)
	out, err := c.cmd.StdoutPipe()
	must(t, err)
	must(t, c.cmd.Start())
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(c.lines)
		var line string
		for {
			if _, err := fmt.Fscanln(out, &line); err != nil {
				return
			}
			c.lines <- line
		}
	}()
	t.Cleanup(func() {
		in.Close()
		_ = c.cmd.Process.Kill()
		<-read
		_ = c.cmd.Wait()
	})
	return c
}

// says waits for a line of the child.
func (c *child) says(t testing.TB, want string) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case line, open := <-c.lines:
			if !open {
				t.Fatalf("the child ended without %q", want)
			}
			if line == want {
				return
			}
		case <-late:
			t.Fatalf("the child never says %q", want)
		}
	}
}

// gone waits for the end of the child, and returns what it said until then.
func (c *child) gone(t testing.TB) (said []string) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case line, open := <-c.lines:
			if !open {
				return said
			}
			said = append(said, line)
		case <-late:
			t.Fatal("the child does not end")
		}
	}
}

func (c *child) kill(t testing.TB) {
	t.Helper()
	must(t, c.cmd.Process.Kill())
	c.gone(t)
}

// childMain is a node in a process of its own: it says what its hooks are told,
// and ends with its standard input.
func childMain(arg string) int {
	var cfg childConfig
	if err := json.Unmarshal([]byte(arg), &cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	p, err := cluster.NewPlatform(cfg.Platform, cfg.Node, cfg.URL, cluster.WithDataDir(cfg.DataDir), cluster.WithLeaseTTL(cfg.TTL))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	app := cluster.NewApp(cfg.App)
	app.OnActive(func(context.Context) error {
		fmt.Println("active")
		return nil
	})
	app.OnPassive(func(context.Context) error {
		fmt.Println("passive")
		if cfg.Deaf {
			select {}
		}
		return nil
	})
	p.Register(app)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	go func() {
		if p.WaitReady(ctx) != nil {
			return
		}
		fmt.Println("ready")
		if cfg.Lock != "" {
			actUnderLock(ctx, p.Lock(cfg.Lock))
		}
	}()
	if err := p.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// actUnderLock takes a lock and acts, each time after a look at the token, until it
// has none. It says how often it has acted after it stood still for half a second.
func actUnderLock(ctx context.Context, l *cluster.Lock) {
	if err := l.Lock(ctx); err != nil {
		return
	}
	fmt.Println("locked")
	acts, last := -1, time.Now()
	for l.Token() != 0 {
		if time.Since(last) > 500*time.Millisecond {
			acts = 0
		}
		if acts >= 0 {
			acts++
		}
		last = time.Now()
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
	fmt.Printf("lost-after-%d-acts\n", max(0, acts))
}

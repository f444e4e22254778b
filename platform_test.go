package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
)

// running returns the stacks of all goroutines but those of NATS servers: one
// that is stopped while it makes a stream leaves two of its own behind.
func running() (stacks []string) {
	buf := make([]byte, 4<<20)
	for _, s := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if !strings.Contains(s, "nats-server/v2/server") {
			stacks = append(stacks, s)
		}
	}
	return stacks
}

// goroutines waits until no more run than before.
func goroutines(t testing.TB, before int) {
	t.Helper()
	if !poll(patience, func() bool { return len(running()) <= before }) {
		now := running()
		t.Fatalf("%d goroutines, before %d:\n%s", len(now), before, strings.Join(now, "\n\n"))
	}
}

// TestCancelledStart: Run returns nil, leaves no goroutine behind and gives its
// data directory back, whenever its context ends.
func TestCancelledStart(t *testing.T) {
	s := startNATS(t)
	for _, url := range []string{"", s.ClientURL()} {
		dir := filepath.Join(t.TempDir(), "data")
		platform := func() *cluster.Platform {
			p, err := cluster.NewPlatform("early", "n1", url, cluster.WithDataDir(dir))
			must(t, err)
			p.Register(cluster.NewApp("web"))
			return p
		}
		whole := func() {
			ctx, cancel := context.WithCancel(context.Background())
			p := platform()
			ended := make(chan error, 1)
			go func() { ended <- p.Run(ctx) }()
			must(t, p.WaitReady(within(t, patience)))
			cancel()
			must(t, <-ended)
		}
		before := len(running())
		for _, ms := range []int{0, 1, 2, 5, 10, 20, 40, 80, 160, 320} {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(ms)*time.Millisecond)
			begun := time.Now()
			if err := platform().Run(ctx); err != nil {
				t.Errorf("cancelled after %d ms: %v", ms, err)
			}
			cancel()
			if d := time.Since(begun); d > patience/2 {
				t.Errorf("cancelled after %d ms, returned after %v", ms, d)
			}
			goroutines(t, before)
		}
		whole()
		goroutines(t, before)
	}
}

// TestRunTells: Run reports every mistake that was made before it, all at once,
// and starts nothing then.
func TestRunTells(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p, err := cluster.NewPlatform("tells", "n1", "", cluster.WithDataDir(dir))
	must(t, err)
	twice := cluster.NewApp("twice")
	p.Register(nil)
	p.Register(twice)
	p.Register(twice)
	p.Register(cluster.NewApp("same"))
	p.Register(cluster.NewApp("same"))
	p.Register(cluster.NewApp("dotted.name"))
	p.Register(cluster.NewApp("late", cluster.WithAppHookTimeout(-time.Second)))
	bad := cluster.NewApp("bad", nil, cluster.WithBackend(nil))
	bad.OnActive(nil)
	bad.OnPassive(nil)
	bad.OnStart(nil)
	bad.OnStop(nil)
	bad.OnLeaderChange(nil)
	bad.OnMemberJoin(nil)
	bad.OnMemberLeave(nil)
	p.Register(bad)
	p.Register(cluster.NewApp("process", cluster.WithBackend(cluster.Process(cluster.ProcessConfig{}))))
	p.WatchLabels(nil)
	err = p.Run(t.Context())
	wantErr(t, err, cluster.ErrInvalid, "the app is nil", "app twice is registered twice", "app same is registered twice", "dotted.name",
		"app late", "option 1 is nil", "the backend is nil", "OnActive", "OnPassive", "OnStart", "OnStop", "OnLeaderChange", "OnMemberJoin", "OnMemberLeave",
		`backend of app "process"`, "WatchLabels")
	if _, statErr := filepath.Glob(dir); statErr != nil || exists(dir) {
		t.Error("a platform with mistakes has made its data directory")
	}
}

func exists(path string) bool {
	found, _ := filepath.Glob(path)
	return len(found) > 0
}

// TestLifecycle: what can be asked before, while and after a platform runs.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := newNode(t, "life", "n1", "", cluster.WithDataDir(dir), cluster.WithVersion("v1.2.3"))
	app := n.app(cluster.NewApp("web"))
	if n.Name() != "life" || n.NodeID() != "n1" || app.Platform() != n.Platform || app.Name() != "web" {
		t.Errorf("names %q %q %v", n.Name(), n.NodeID(), app.Platform())
	}
	if n.NATS() != nil || n.JetStream() != nil || n.members() != nil || app.Role() != "" || app.IsLeader() || app.Election().Epoch() != 0 || app.Election().Leader() != "" {
		t.Error("a platform that does not run knows something")
	}
	wantErr(t, n.WaitReady(within(t, 30*time.Millisecond)), cluster.ErrTimeout, "Run")
	n.CordonNode("n1") // a wish that nobody hears
	n.start()
	n.leads("web")
	if !n.NATS().IsConnected() || n.JetStream() == nil {
		t.Error("no connection while it runs")
	}
	if _, err := n.JetStream().AccountInfo(within(t, patience)); err != nil {
		t.Errorf("JetStream: %v", err)
	}
	n.knows("n1")
	wantErr(t, n.Run(t.Context()), cluster.ErrInvalid, "run before")
	if !app.IsLeader() || n.NATS() == nil {
		t.Error("a second Run disturbs the first")
	}
	late := cluster.NewApp("late")
	n.Register(late)
	err := n.stop()
	wantErr(t, err, cluster.ErrInvalid, "app late was registered after Run")
	n.err = nil
	if late.Platform() != nil {
		t.Error("an app that was registered too late has a platform")
	}
	wantErr(t, n.WaitReady(t.Context()), cluster.ErrShuttingDown)
	if nc := n.NATS(); nc != nil && !nc.IsClosed() {
		t.Error("the connection is open after Run")
	}
	if app.IsLeader() || app.Role() != "" {
		t.Errorf("after Run: leader %v, role %q", app.IsLeader(), app.Role())
	}
}

// TestThreeEmbedded: three nodes with servers of their own find together, hand
// over, lose one and take it back.
func TestThreeEmbedded(t *testing.T) {
	t.Parallel()
	var j journal
	base, ports := t.TempDir(), freePorts(t, 3)
	ids := []string{"n1", "n2", "n3"}
	start := func(i int) *node {
		c := &cluster.EmbeddedCluster{Listen: fmt.Sprintf("127.0.0.1:%d", ports[i])}
		for k, id := range ids {
			if k != i {
				c.Peers = append(c.Peers, cluster.EmbeddedPeer{Name: id, Routes: fmt.Sprintf("127.0.0.1:%d", ports[k])})
			}
		}
		n := newNode(t, "three", ids[i], "", cluster.WithDataDir(filepath.Join(base, ids[i])), cluster.WithLeaseTTL(6*time.Second),
			cluster.WithEmbedded(cluster.EmbeddedConfig{Cluster: c, Secret: "the secret of these three"}))
		n.app(j.app(ids[i], "web"))
		return n.begin()
	}
	var nodes []*node
	for i := range ids {
		nodes = append(nodes, start(i))
	}
	for _, n := range nodes {
		n.knows(ids...)
	}
	leader := leaderOf(t, "web", nodes...)
	eventually(t, "OnActive", func() bool { return len(j.of(leader.NodeID(), "active")) == 1 })
	info, err := leader.JetStream().Stream(within(t, patience), "gc_sessions_three")
	must(t, err)
	eventually(t, "three replicas", func() bool {
		in, err := info.Info(within(t, patience))
		return err == nil && in.Config.Replicas == 3
	})
	must(t, leader.election("web").StepDown(within(t, patience)))
	second := leaderOf(t, "web", nodes...)
	if second == leader {
		t.Fatal("it did not step down")
	}
	eventually(t, "OnActive of the second", func() bool { return len(j.of(second.NodeID(), "active")) == 1 })

	must(t, second.stop())
	rest := slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return n == second })
	third := leaderOf(t, "web", rest...)
	for _, n := range rest {
		n.knows(rest[0].NodeID(), rest[1].NodeID())
	}
	back := start(slices.Index(ids, second.NodeID()))
	back.knows(ids...)
	if now := leaderOf(t, "web", append(rest, back)...); now != third {
		t.Errorf("%s leads: a node that comes back takes nothing away from %s", now.NodeID(), third.NodeID())
	}
	j.check(t, false)
}

// TestStoppedPorts: when Run has returned nobody listens where it did.
func TestStoppedPorts(t *testing.T) {
	t.Parallel()
	addr := fmt.Sprintf("127.0.0.1:%d", freePorts(t, 1)[0])
	dir := t.TempDir()
	for range 2 {
		n := newNode(t, "ports", "n1", "", cluster.WithDataDir(dir), cluster.WithEmbedded(cluster.EmbeddedConfig{Listen: addr})).start()
		must(t, n.stop())
		l, err := net.Listen("tcp", addr)
		must(t, err)
		l.Close()
	}
}

// TestNewPlatformTells: NewPlatform reports every mistake at once.
func TestNewPlatformTells(t *testing.T) {
	t.Parallel()
	_, err := cluster.NewPlatform("a.b", "", "nats://h:1", nil, cluster.WithEmbedded(cluster.EmbeddedConfig{}),
		cluster.WithLeaseTTL(-1), cluster.WithHeartbeat(-1), cluster.WithHookTimeout(-1), cluster.WithShutdownTimeout(-1),
		cluster.Labels(map[string]string{"a b": ""}))
	wantErr(t, err, cluster.ErrInvalid, `"a.b"`, "node name is empty", "option 1 is nil", "both a NATS URL and an embedded server",
		"lease ttl", "heartbeat", "hook timeout", "shutdown timeout", "a b")
	if _, err := cluster.NewPlatform("p", "n", ""); !errors.Is(err, cluster.ErrInvalid) {
		t.Errorf("an embedded server without a data directory: %v", err)
	}
}

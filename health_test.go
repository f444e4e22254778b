package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
	"github.com/ozanturksever/go-cluster/host/control"
)

// sickly is a health check that fails when it is told to.
type sickly struct{ bad atomic.Bool }

func (s *sickly) check(context.Context) error {
	if s.bad.Load() {
		return errors.New("it hurts")
	}
	return nil
}

// fast is an interval for tests that wait for the next turn, also one with an
// open circuit.
func fast() cluster.HealthCheckOption { return cluster.WithHealthCheckInterval(20 * time.Millisecond) }

func httpGet(t testing.TB, addr, path string) (code int, body string) {
	t.Helper()
	client := http.Client{Timeout: patience}
	res, err := client.Get("http://" + addr + path)
	must(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	return res.StatusCode, string(b)
}

func (n *node) sees(other string) (healthy bool) {
	m, err := n.Membership().Member(other)
	return err == nil && m.IsHealthy
}

// TestHealth: a failing check is seen by the load balancer, by the hooks, by the
// other nodes and by the command line, and so is its recovery; a node that
// starts again begins healthy.
func TestHealth(t *testing.T) {
	t.Parallel()
	url := startNATS(t).ClientURL()
	var j journal
	var db sickly
	start := func(id string, register func(*node)) *node {
		n := newNode(t, "health", id, url, cluster.HealthAddr("127.0.0.1:0"))
		a := n.app(cluster.NewApp("web"))
		a.OnHealthChange(func(_ context.Context, s cluster.HealthStatus) error {
			j.add(id, s.Status, 0)
			clear(s.Checks) // the next one has its own
			panic("contained")
		})
		a.OnHealthChange(func(_ context.Context, s cluster.HealthStatus) error {
			j.add(id, fmt.Sprint("again ", s.Status, " ", len(s.Checks)), 0)
			return nil
		})
		register(n)
		return n.start()
	}
	nodes := []*node{
		start("n1", func(n *node) {
			must(t, n.Health().Register("db", db.check, fast()))
			must(t, n.Health().Register("disk", func(context.Context) error { return errors.New("full") }, fast(), cluster.WithHealthCheckAdvisory()))
		}),
		start("n2", func(*node) {}),
	}
	ready := func(n *node) (int, string) { return httpGet(t, n.Health().Addr(), "/ready") }
	seen := func(want bool) {
		t.Helper()
		for _, n := range nodes {
			eventually(t, fmt.Sprintf("%s sees that n1 is healthy: %v", n.NodeID(), want), func() bool { return n.sees("n1") == want })
			eventually(t, n.NodeID()+" sees that n2 is healthy", func() bool { return n.sees("n2") })
		}
	}
	eventually(t, "n1 is ready", func() bool { code, _ := ready(nodes[0]); return code == 200 })
	leader := leaderOf(t, "web", nodes...)
	seen(true)

	db.bad.Store(true)
	seen(false)
	if code, body := ready(nodes[0]); code != 503 || !strings.Contains(body, "health checks fail: db") {
		t.Errorf("/ready: %d %s", code, body)
	}
	if code, _ := httpGet(t, nodes[0].Health().Addr(), "/health"); code != 200 {
		t.Errorf("/health: %d", code)
	}
	h, err := control.NewClient(nodes[1]).Health(within(t, patience))
	must(t, err)
	if len(h.Problems) != 1 || h.Problems[0] != (control.Problem{Scope: "node", Name: "n1", Text: "health check db fails"}) {
		t.Errorf("gchost health would say %+v", h.Problems)
	}

	db.bad.Store(false)
	must(t, nodes[0].Health().ResetCircuitBreaker("db"))
	seen(true)
	if leaderOf(t, "web", nodes...) != leader || leader.election("web").Epoch() != 1 {
		t.Error("the leader has changed")
	}
	want := []string{"failing", "again failing 2", "passing", "again passing 2"}
	eventually(t, "the hooks are called", func() bool { return len(j.whats("n1")) >= len(want) })
	if got := j.whats("n1"); !slices.Equal(got, want) || len(j.whats("n2")) > 0 {
		t.Errorf("n1 was told %v, want %v; n2 was told %v", got, want, j.whats("n2"))
	}

	db.bad.Store(true)
	seen(false)
	must(t, nodes[0].stop())
	nodes[0] = start("n1", func(*node) {})
	seen(true)
}

// TestHealthOverHTTP: /health/checks shows what Check and GetHistory return.
func TestHealthOverHTTP(t *testing.T) {
	t.Parallel()
	n := newNode(t, "hhttp", "n1", startNATS(t).ClientURL(), cluster.HealthAddr("127.0.0.1:0"))
	n.app(cluster.NewApp("web"))
	must(t, n.Health().Register("db", (&sickly{}).check))
	free := make(chan struct{})
	t.Cleanup(func() { close(free) })
	must(t, n.Health().Register("slow", func(context.Context) error {
		<-free
		return nil
	}))
	if n.Health().Addr() != "" {
		t.Error("an address before Run")
	}
	n.start()
	if code, body := httpGet(t, n.Health().Addr(), "/ready"); code != 503 || !strings.Contains(body, "have not run yet") || !strings.Contains(body, "slow") {
		t.Errorf("/ready before the first result: %d %s", code, body)
	}
	must(t, n.Health().Unregister("slow"))
	s := n.Health().Check(within(t, patience))
	if s.Status != cluster.StatusPassing || s.Checks["db"].Status != cluster.StatusPassing || len(s.Checks) != 1 {
		t.Errorf("%+v", s)
	}
	code, body := httpGet(t, n.Health().Addr(), "/health/checks")
	var shown cluster.HealthStatus
	if err := json.Unmarshal([]byte(body), &shown); err != nil || code != 200 || shown.Checks["db"] != s.Checks["db"] {
		t.Errorf("%d %s, %v, want %+v", code, body, err, s)
	}
	if code, body := httpGet(t, n.Health().Addr(), "/health/checks?check=db"); code != 200 || strings.Count(body, `"passing"`) != len(n.Health().GetHistory("db")) {
		t.Errorf("%d %s", code, body)
	}
	if h := n.Health().GetAllHistory(); len(h) != 1 || len(h["db"]) < 2 {
		t.Errorf("%+v", h)
	}
}

// TestBadHealthChecks: a check that cannot work is refused with what is wrong;
// what is asked before Run and after it is answered.
func TestBadHealthChecks(t *testing.T) {
	t.Parallel()
	n := newNode(t, "badhealth", "n1", startNATS(t).ClientURL())
	n.app(cluster.NewApp("web"))
	h, good := n.Health(), (&sickly{}).check
	must(t, h.Register("good", good))
	for _, c := range []struct {
		name string
		fn   func(context.Context) error
		opts []cluster.HealthCheckOption
		want string
	}{
		{"x", nil, nil, "has no function"},
		{"", good, nil, "name is empty"},
		{strings.Repeat("x", 10_000), good, nil, "10000 bytes"},
		{"a.b", good, nil, "'.' at byte 1"},
		{"good", good, nil, "registered already"},
		{"x", good, []cluster.HealthCheckOption{cluster.WithHealthCheckInterval(-1)}, "interval is -1ns"},
		{"x", good, []cluster.HealthCheckOption{cluster.WithHealthCheckTimeout(-1)}, "timeout is -1ns"},
		{"x", good, []cluster.HealthCheckOption{cluster.WithHealthCheckDependsOn("good", "y")}, `depends on "y"`},
		{"x", good, []cluster.HealthCheckOption{nil}, "option 1 is nil"},
	} {
		err := h.Register(c.name, c.fn, c.opts...)
		wantErr(t, err, cluster.ErrInvalid, c.want)
	}
	wantErr(t, h.Unregister("x"), cluster.ErrInvalid)
	wantErr(t, h.ResetCircuitBreaker("x"), cluster.ErrInvalid)
	if s := h.Check(t.Context()); len(s.Checks) != 1 || s.Checks["good"].Status != cluster.StatusSkipped || h.GetHistory("x") != nil {
		t.Errorf("before Run: %+v", s)
	}
	n.start()
	must(t, h.Register("late", good, cluster.WithHealthCheckDependsOn("good"), cluster.WithHealthCheckTimeout(time.Hour)))
	if s := h.Check(within(t, patience)); s.Checks["late"].Status != cluster.StatusPassing {
		t.Errorf("registered while it runs: %+v", s)
	}
	must(t, n.stop())
	wantErr(t, h.Register("x", good), cluster.ErrShuttingDown)
	wantErr(t, h.Unregister("good"), cluster.ErrShuttingDown)
	if s := h.Check(t.Context()); len(s.Checks) != 2 || s.Status != cluster.StatusPassing {
		t.Errorf("after Run: %+v", s)
	}
	a := cluster.NewApp("nil")
	a.OnHealthChange(nil)
	p, err := cluster.NewPlatform("badhealth", "n2", "nats://127.0.0.1:1")
	must(t, err)
	p.Register(a)
	wantErr(t, p.Run(t.Context()), cluster.ErrInvalid, "OnHealthChange: the function is nil")
}

// TestAddrInUse: an HTTP address that is in use is an error of Run (defect 44).
func TestAddrInUse(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { busy.Close() })
	url := startNATS(t).ClientURL()
	for setting, opt := range map[string]cluster.PlatformOption{"health_addr": cluster.HealthAddr(busy.Addr().String()), "metrics_addr": cluster.MetricsAddr(busy.Addr().String())} {
		p, err := cluster.NewPlatform("inuse", "n1", url, opt)
		must(t, err)
		wantErr(t, p.Run(within(t, patience)), setting, busy.Addr().String())
	}
}

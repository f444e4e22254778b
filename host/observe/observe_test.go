package observe_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/host/observe"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// fake is a node with one app that it leads.
type fake struct{ notReady error }

func (f *fake) Name() string { return "n1" }

func (f *fake) Ready() error { return f.notReady }

func (f *fake) Checks() pluginapi.HealthStatus {
	return pluginapi.HealthStatus{Status: "failing", Checks: map[string]pluginapi.CheckResult{
		"db": {Status: "passing"}, "disk": {Status: "failing", Error: "full", FailureCount: 3, CircuitOpen: true}, "api": {Status: "skipped"},
	}}
}

func (f *fake) History(check string) []pluginapi.CheckResult {
	if check != "db" {
		return nil
	}
	return []pluginapi.CheckResult{{Status: "failing"}, {Status: "passing", LatencyMS: 3}}
}

func (f *fake) Status(context.Context) (control.Status, error) {
	return control.Status{
		Platform: "p", Node: "n1", Session: control.Session{State: "live", ValidForMS: 1500},
		NATS:  control.NATS{Voters: 3, VotersUp: 2},
		Nodes: []control.Node{{Member: pluginapi.Member{NodeID: "n1"}, Leads: 1}, {Member: pluginapi.Member{NodeID: "n2"}, Cordoned: true}},
		Apps: []control.App{{Name: "web", Mode: control.AppSingleton, Leader: "n1", Epoch: 7, Instances: []control.Instance{
			{Node: "n1", Role: "leader", Backend: &control.Backend{Status: "running", UptimeMS: 2500, Restarts: 2},
				Database: &control.Database{Role: "leading", TX: 40, Lag: new(uint64(3)), Changes: 12, Bytes: 9000, Resyncs: 1}},
		}}, {Name: "db", Mode: control.AppSingleton, Leader: "n2", Instances: []control.Instance{
			{Node: "n1", Role: "standby", Database: &control.Database{Role: "following", TX: 38, Stale: 2, FeedBytes: 5, ChunkBytes: 6, SnapshotFailures: 7, Snapshot: &control.Snapshot{ID: "s", Size: 8, Time: time.Now().Add(-time.Hour)}, Aside: []string{"a", "b"}, Error: "the disk is full"}},
		}}},
	}, nil
}

// serve runs a handler on a free port until the test ends.
func serve(t *testing.T, h http.Handler) (url string) {
	s, err := observe.Listen("health_addr", "127.0.0.1:0", h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + s.Addr()
}

func get(t *testing.T, url string) (int, string) {
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestHealth(t *testing.T) {
	src := &fake{notReady: errors.New("no session")}
	url := serve(t, observe.Health(src))
	if code, body := get(t, url+"/health"); code != 200 || !strings.Contains(body, `"ok"`) {
		t.Errorf("/health: %d %s", code, body)
	}
	if code, body := get(t, url+"/ready"); code != 503 || !strings.Contains(body, "no session") {
		t.Errorf("/ready of a node without a session: %d %s", code, body)
	}
	src.notReady = nil
	if code, _ := get(t, url+"/ready"); code != 200 {
		t.Errorf("/ready of a node with a session: %d", code)
	}
	if code, body := get(t, url+"/status"); code != 200 || !strings.Contains(body, `"epoch":7`) {
		t.Errorf("/status: %d %s", code, body)
	}
	if code, _ := get(t, url+"/other"); code != 404 {
		t.Errorf("/other: %d", code)
	}
}

func TestChecks(t *testing.T) {
	url := serve(t, observe.Health(&fake{}))
	code, body := get(t, url+"/health/checks")
	var s pluginapi.HealthStatus
	if err := json.Unmarshal([]byte(body), &s); err != nil || code != 200 || s.Status != "failing" || !s.Checks["disk"].CircuitOpen {
		t.Errorf("%d %s, %v", code, body, err)
	}
	for query, want := range map[string]string{
		"db": `200 {"check":"db","history":[{"status":"failing"`, "nobody": `404 {"error":"there is no health check nobody"}`,
		"": "400 ", "a%00b": "400 ", strings.Repeat("x", 2000): "400 ",
	} {
		code, body := get(t, url+"/health/checks?check="+query)
		if got := fmt.Sprint(code, " ", body); !strings.HasPrefix(got, want) || len(got) > 400 {
			t.Errorf("%.20q: %.400s, want %s", query, got, want)
		}
	}
	if res, err := http.Post(url+"/health/checks", "text/plain", nil); err != nil || res.StatusCode != 405 {
		t.Errorf("a post: %v, %v", res, err)
	} else {
		res.Body.Close()
	}
}

// scrape returns what /metrics shows of the figures.
func scrape(t *testing.T, f *observe.Figures) string {
	t.Helper()
	_, body := get(t, serve(t, observe.Metrics(f))+"/metrics")
	return body
}

func newFigures(t *testing.T) *observe.Figures {
	t.Helper()
	f := observe.NewFigures("p", "n1")
	stop, err := f.Follow(&fake{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return f
}

// TestRecorded: each method sets its figure, with its labels.
func TestRecorded(t *testing.T) {
	f := newFigures(t)
	f.BackendStarted("web")
	f.BackendFailed("web")
	f.LockReleased("web", "cron", 2*time.Second)
	f.RPCHandled("web", "get", "ok", time.Millisecond)
	f.CrossCall("db", "put", "operation timed out", time.Second)
	f.Breaker("db", "n2", observe.BreakerHalfOpen)
	f.EventsDropped("web", 1)
	f.EventsExpired("web", 1)
	f.DeadLetter("web")
	f.AuditDropped(1)
	f.Fenced("kv", "web")
	f.GuardFired()
	body := scrape(t, f)
	for _, want := range []string{
		`gc_backend_starts_total{app="web",node="n1",platform="p"} 1`,
		`gc_backend_failures_total{app="web",node="n1",platform="p"} 1`,
		`gc_lock_held_seconds_sum{app="web",lock="cron"} 2`,
		`gc_rpc_duration_seconds_count{app="web",method="get"} 1`,
		`gc_rpc_total{app="web",method="get",status="ok"} 1`,
		`gc_cross_app_call_duration_seconds_sum{app="db",method="put"} 1`,
		`gc_cross_app_call_total{app="db",method="put",status="operation timed out"} 1`,
		`gc_circuit_breaker_state{app="db",node="n2"} 2`,
		`gc_events_dropped_total{app="web"} 1`,
		`gc_events_expired_total{app="web"} 1`,
		`gc_events_dead_letters_total{app="web"} 1`,
		`gc_audit_dropped_total 1`,
		`gc_fencing_rejections_total{app="web",kind="kv"} 1`,
		`gc_guard_fired_total 1`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
}

// TestBoundedWords: no number of methods, apps, kinds or odd names grows the
// registry without end, and what was known stays apart.
func TestBoundedWords(t *testing.T) {
	f := newFigures(t)
	f.RPCHandled("web", "first", "ok", 0)
	for i := range 5000 {
		f.RPCHandled("web", fmt.Sprint("m", i), fmt.Sprint("s", i), 0)
		f.Fenced(fmt.Sprint("k", i), fmt.Sprint("a", i))
		f.LockReleased("web", strings.Repeat("ö", 1000+i%7)+fmt.Sprint(i)+"\xff", 0)
		f.LockReleased("web", fmt.Sprint("\xff", i), 0)
	}
	f.RPCHandled("web", "first", "ok", 0)
	body := scrape(t, f)
	if !strings.Contains(body, `gc_rpc_total{app="web",method="first",status="ok"} 2`) || !strings.Contains(body, `method="other",status="other"`) {
		t.Error("a method that was known is not counted, or the rest is not")
	}
	if n := strings.Count(body, "\ngc_"); n > 4500 {
		t.Errorf("%d samples", n)
	}
}

// bad is a collector that panics.
type bad struct{ desc *prometheus.Desc }

func (b bad) Describe(ch chan<- *prometheus.Desc) { ch <- b.desc }

func (b bad) Collect(chan<- prometheus.Metric) { panic("worse") }

// TestOwnCollectors: what a program adds is served; a collector that panics, is
// nil or comes twice does no harm.
func TestOwnCollectors(t *testing.T) {
	f := newFigures(t)
	r := f.Registerer()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "my_total"})
	r.MustRegister(c)
	c.Inc()
	var twice prometheus.AlreadyRegisteredError
	if err := r.Register(prometheus.NewCounter(prometheus.CounterOpts{Name: "my_total"})); !errors.As(err, &twice) || twice.ExistingCollector != c {
		t.Errorf("%v", err)
	}
	if err := r.Register(nil); err == nil {
		t.Error("nil is taken")
	}
	if err := r.Register(prometheus.NewGauge(prometheus.GaugeOpts{Name: "gc_members_total"})); err == nil {
		t.Error("a name of the platform's is taken")
	}
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "my_bad"}, func() float64 { panic("oh") }))
	r.MustRegister(bad{prometheus.NewDesc("my_worse", "", nil, nil)})
	if body := scrape(t, f); !strings.Contains(body, "my_total 1\n") || !strings.Contains(body, "gc_members_total{") || strings.Contains(body, "my_bad ") {
		t.Errorf("%s", body)
	}
	if !r.Unregister(c) || r.Unregister(c) || r.Unregister(nil) {
		t.Error("Unregister")
	}
	if body := scrape(t, f); strings.Contains(body, "my_total 1") {
		t.Error("still there")
	}
}

// TestFollowOne: figures show one node, and none when it has ended.
func TestFollowOne(t *testing.T) {
	f := observe.NewFigures("p", "n1")
	stop, err := f.Follow(&fake{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Follow(&fake{}); err == nil {
		t.Error("two nodes")
	}
	stop()
	if body := scrape(t, f); strings.Contains(body, "gc_members_total") {
		t.Error("the node is shown after its end")
	}
}

func BenchmarkRPCHandled(b *testing.B) {
	f := observe.NewFigures("p", "n1")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			f.RPCHandled("web", "get", "ok", time.Millisecond)
		}
	})
}

// TestMetrics: what is read from the node at each scrape.
func TestMetrics(t *testing.T) {
	body := scrape(t, newFigures(t))
	for _, want := range []string{
		`gc_leader{app="web",node="n1",platform="p"} 1`,
		`gc_election_epoch{app="web",platform="p"} 7`,
		`gc_members_total{platform="p"} 2`,
		`gc_node_cordoned{node="n2",platform="p"} 1`,
		`gc_node_app_count{node="n1",platform="p"} 1`,
		`gc_session_valid_seconds{node="n1",platform="p"} 1.5`,
		`gc_voters_total{platform="p"} 3`,
		`gc_voters_up{platform="p"} 2`,
		`gc_backend_state{app="web",node="n1",platform="p"} 2`,
		`gc_backend_restarts_total{app="web",node="n1",platform="p"} 2`,
		`gc_backend_uptime_seconds{app="web",node="n1",platform="p"} 2.5`,
		`gc_backend_health{app="web",node="n1",platform="p"} 1`,
		`gc_health{check="db",node="n1"} 1`,
		`gc_health{check="disk",node="n1"} 0`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(body, `check="api"`) {
		t.Error("a skipped check has a figure")
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := observe.Listen("metrics_addr", l.Addr().String(), nil); err == nil || !strings.Contains(err.Error(), "metrics_addr") {
		t.Errorf("an address in use: %v", err)
	}
}

// TestDatabaseFigures: what is known of a database is shown, and what is not is
// absent.
func TestDatabaseFigures(t *testing.T) {
	body := scrape(t, newFigures(t))
	for _, want := range []string{
		`gc_replication_lag_transactions{app="web",node="n1",platform="p"} 3`,
		`gc_replication_position{app="web",node="n1",platform="p"} 40`,
		`gc_replication_healthy{app="web",node="n1",platform="p"} 1`,
		`gc_replication_changes_total{app="web",node="n1",platform="p"} 12`,
		`gc_replication_resyncs_total{app="web",node="n1",platform="p"} 1`,
		`gc_wal_bytes_total{app="web",node="n1",platform="p"} 9000`,
		`gc_replication_healthy{app="db",node="n1",platform="p"} 0`,
		`gc_replication_stale_total{app="db",node="n1",platform="p"} 2`,
		`gc_replication_aside_files{app="db",node="n1",platform="p"} 2`,
		`gc_replication_feed_bytes{app="db",node="n1",platform="p"} 5`,
		`gc_snapshot_stored_bytes{app="db",node="n1",platform="p"} 6`,
		`gc_snapshot_failures_total{app="db",node="n1",platform="p"} 7`,
		`gc_snapshot_size_bytes{app="db",node="n1",platform="p"} 8`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
	if !strings.Contains(body, `gc_snapshot_age_seconds{app="db",node="n1",platform="p"} 36`) || strings.Contains(body, `gc_snapshot_age_seconds{app="web"`) {
		t.Error("the age of the newest snapshot")
	}
	if strings.Contains(body, `gc_replication_lag_transactions{app="db"`) {
		t.Error("a lag that is not known is shown")
	}
}

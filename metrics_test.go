package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	cluster "github.com/ozanturksever/go-cluster"
	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// faultFigures are those that count faults, and those of snapshots, which are
// taken of a copy: the tests of their rooms make them.
func faultFigures() []string {
	return []string{
		"gc_circuit_breaker_state", "gc_events_dropped_total", "gc_events_expired_total", "gc_audit_dropped_total",
		"gc_fencing_rejections_total", "gc_guard_fired_total",
		"gc_replication_lag_transactions", "gc_replication_aside_files", "gc_replication_stale_total",
		"gc_replication_feed_bytes", "gc_snapshot_stored_bytes", "gc_snapshot_size_bytes", "gc_snapshot_age_seconds", "gc_snapshot_failures_total",
	}
}

// tired is a backend whose first start fails.
type tired struct{ starts, runs atomic.Int64 }

func (b *tired) Start(context.Context) error {
	if b.starts.Add(1) == 1 {
		return errors.New("not yet")
	}
	b.runs.Store(1)
	return nil
}

func (b *tired) Stop(context.Context) error {
	b.runs.Store(0)
	return nil
}

func (b *tired) Health(context.Context) (cluster.BackendHealth, error) {
	if b.runs.Load() == 0 {
		return cluster.BackendHealth{Status: pluginapi.StatusStopped}, nil
	}
	return cluster.BackendHealth{Status: pluginapi.StatusRunning, Uptime: time.Minute}, nil
}

func (b *tired) RestartCount() int { return 2 }

// figures reads a scrape: the sum of the samples of each figure, of a histogram
// the number of its observations.
func figures(t *testing.T, text string) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for _, m := range regexp.MustCompile(`(?m)^(\w+)(?:\{.*\})? (\S+)$`).FindAllStringSubmatch(text, -1) {
		name := m[1]
		if base, is := strings.CutSuffix(name, "_count"); is && strings.Contains(text, "# TYPE "+base+" histogram") {
			name = base
		}
		v, err := strconv.ParseFloat(m[2], 64)
		must(t, err)
		out[name] += v
	}
	return out
}

// TestEachFigureIsSet scrapes a node with an embedded server and fails on a
// figure of the documentation that nothing sets.
func TestEachFigureIsSet(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/health-and-metrics.md")
	must(t, err)
	keys := newPluginKeys(t)
	n := newNode(t, "figures", "n1", "", cluster.WithDataDir(t.TempDir()), cluster.MetricsAddr("127.0.0.1:0"), keys.on("n1"))
	web := n.app(cluster.NewApp("web", cluster.WithBackend(&tired{})))
	web.Handle("hello", func(context.Context, []byte) ([]byte, error) { return nil, nil })
	must(t, n.Health().Register("db", (&sickly{}).check))
	write := replicate(t, n)
	n.start()
	var text string
	eventually(t, "the backend runs", func() bool {
		_, text = httpGet(t, n.Metrics().Addr(), "/metrics")
		return strings.Contains(text, `gc_backend_state{app="web",node="n1",platform="figures"} 2`)
	})
	use(t, n, web)
	pkg := keys.pack(t, "1.0.0", "ok", 100)
	_, err = control.NewClient(n).InstallPlugin(within(t, patience), bytes.NewReader(pkg), int64(len(pkg)), false)
	must(t, err)
	eventually(t, "its plugin runs", func() bool {
		_, text = httpGet(t, n.Metrics().Addr(), "/metrics")
		return strings.Contains(text, `gc_plugin_calls_total{node="n1",platform="figures",plugin="greet"} 1`)
	})
	write()
	must(t, n.SetCordon(within(t, patience), "n1", true))
	eventually(t, "it is cordoned", func() bool {
		_, text = httpGet(t, n.Metrics().Addr(), "/metrics")
		return strings.Contains(text, `gc_node_cordoned{node="n1",platform="figures"} 1`) && strings.Contains(text, `gc_events_dead_letters_total{app="web"} 1`)
	})
	got, faults := figures(t, text), append(faultFigures(), missingFigures()...)
	names := regexp.MustCompile("(?m)^\\| `(gc_\\w+)` ").FindAllStringSubmatch(string(page), -1)
	if len(names) < 20 {
		t.Fatalf("%d figures in the documentation", len(names))
	}
	for _, m := range names {
		if name := m[1]; got[name] <= 0 && !slices.Contains(faults, name) {
			t.Errorf("nothing sets %s", name)
		}
	}
	for _, name := range faults {
		if !slices.ContainsFunc(names, func(m []string) bool { return m[1] == name }) {
			t.Errorf("%s is not documented", name)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// use does once what leaves a figure behind.
func use(t *testing.T, n *node, web *cluster.App) {
	t.Helper()
	ctx := within(t, patience)
	_, err := n.API("web").Call(ctx, "hello", nil)
	must(t, err)
	l := web.Lock("report")
	must(t, l.Lock(ctx))
	must(t, l.Unlock(ctx))
	_, err = web.Events().SubscribeDurable(ctx, "orders", "mail", func(context.Context, cluster.Event) error { return errors.New("no") }, cluster.WithTries(1))
	must(t, err)
	must(t, web.Events().PublishDurable(ctx, "orders", nil))
}

// TestOwnMetrics: a program's own figures are served beside the platform's, from
// before Run until after it; a collector that panics ends nothing.
func TestOwnMetrics(t *testing.T) {
	t.Parallel()
	n := newNode(t, "own", "n1", startNATS(t).ClientURL(), cluster.MetricsAddr("127.0.0.1:0"))
	n.app(cluster.NewApp("web"))
	mine := prometheus.NewCounter(prometheus.CounterOpts{Name: "shop_orders_total"})
	n.Metrics().Registry().MustRegister(mine)
	handled := func() string {
		w := httptest.NewRecorder()
		n.Metrics().Handler().ServeHTTP(w, httptest.NewRequest("GET", "/anything", nil))
		return w.Body.String()
	}
	if text := handled(); !strings.Contains(text, "shop_orders_total 0") || strings.Contains(text, "gc_leader") || n.Metrics().Addr() != "" {
		t.Errorf("before Run: %s", text)
	}
	n.start()
	n.leads("web")
	mine.Inc()
	n.Metrics().Registry().MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "shop_bad"}, func() float64 { panic("oh") }))
	for _, text := range []string{handled(), func() string { _, body := httpGet(t, n.Metrics().Addr(), "/metrics"); return body }()} {
		if !strings.Contains(text, "shop_orders_total 1") || !strings.Contains(text, `gc_leader{app="web",node="n1",platform="own"} 1`) || strings.Contains(text, "\nshop_bad ") {
			t.Errorf("%s", text)
		}
	}
	must(t, n.stop())
	if text := handled(); !strings.Contains(text, "shop_orders_total 1") || strings.Contains(text, "gc_leader") {
		t.Errorf("after Run: %s", text)
	}
}

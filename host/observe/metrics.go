package observe

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Metrics returns the handler of the metrics address: GET /metrics in
// Prometheus' text format. The node describes itself; nodes are not summed.
func Metrics(f *Figures) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", f.Handler())
	return mux
}

// collector turns a node's status into figures. They are read from the node at
// each scrape, so that none of them can be old.
type collector struct {
	src                                        Source
	leader, epoch, members, cordoned, nodeApps *prometheus.Desc
	session, voters, votersUp                  *prometheus.Desc
	state, healthy, restarts, uptime           *prometheus.Desc
	check                                      *prometheus.Desc
	plugins                                    pluginDescs
	database                                   databaseDescs
}

func newCollector(src Source) *collector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("gc_"+name, help, labels, nil)
	}
	return &collector{
		src:      src,
		plugins:  newPluginDescs(),
		leader:   d("leader", "1 if this node leads the app, else 0.", "platform", "node", "app"),
		epoch:    d("election_epoch", "Epoch of the app's leadership.", "platform", "app"),
		members:  d("members_total", "Living nodes of the platform.", "platform"),
		cordoned: d("node_cordoned", "1 if the node is cordoned, else 0.", "platform", "node"),
		nodeApps: d("node_app_count", "Apps that the node leads.", "platform", "node"),
		session:  d("session_valid_seconds", "Time until this node's session ends unless it is renewed.", "platform", "node"),
		voters:   d("voters_total", "Voting servers of the cluster, 0 if unknown.", "platform"),
		votersUp: d("voters_up", "Voting servers that can be reached.", "platform"),
		state:    d("backend_state", "State of the backend: 0 stopped, 1 starting, 2 running, 3 unhealthy.", "platform", "node", "app"),
		healthy:  d("backend_health", "1 if the backend's service is ready and well, else 0.", "platform", "node", "app"),
		restarts: d("backend_restarts_total", "Restarts of the backend by its supervisor.", "platform", "node", "app"),
		uptime:   d("backend_uptime_seconds", "Time since the backend was started, 0 while it is stopped.", "platform", "node", "app"),
		database: newDatabaseDescs(d),
		check:    d("health", "1 if the health check passes, 0 if it fails; absent while it is skipped.", "node", "check"),
	}
}

// Describe names all figures.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range append(append(c.plugins.all(), c.database.all()...), c.leader, c.epoch, c.members, c.cordoned, c.nodeApps, c.session, c.voters, c.votersUp, c.state, c.healthy, c.restarts, c.uptime, c.check) {
		ch <- d
	}
}

// Collect reads them.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.collectChecks(ch)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := c.src.Status(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.members, err)
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	c.plugins.collect(ch, c.src, s.Platform, s.Node)
	gauge(c.members, float64(len(s.Nodes)), s.Platform)
	gauge(c.session, float64(s.Session.ValidForMS)/1000, s.Platform, s.Node)
	gauge(c.voters, float64(s.NATS.Voters), s.Platform)
	gauge(c.votersUp, float64(s.NATS.VotersUp), s.Platform)
	for _, n := range s.Nodes {
		gauge(c.cordoned, yes(n.Cordoned), s.Platform, n.NodeID)
		gauge(c.nodeApps, float64(n.Leads), s.Platform, n.NodeID)
	}
	for _, a := range s.Apps {
		c.app(ch, gauge, s, a)
	}
}

func (c *collector) collectChecks(ch chan<- prometheus.Metric) {
	for name, r := range c.src.Checks().Checks {
		if r.Status != pluginapi.StatusSkipped {
			ch <- prometheus.MustNewConstMetric(c.check, prometheus.GaugeValue, yes(r.Status == pluginapi.StatusPassing), c.src.Name(), name)
		}
	}
}

func (c *collector) app(ch chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string), s control.Status, a control.App) {
	if a.Mode == control.AppSingleton {
		gauge(c.leader, yes(a.Leader == s.Node), s.Platform, s.Node, a.Name)
		gauge(c.epoch, float64(a.Epoch), s.Platform, a.Name)
	}
	for _, i := range a.Instances {
		if i.Node != s.Node {
			continue
		}
		if i.Database != nil {
			c.database.collect(ch, *i.Database, s.Platform, s.Node, a.Name)
		}
		if i.Backend == nil {
			continue
		}
		gauge(c.state, backendState(i.Backend.Status), s.Platform, s.Node, a.Name)
		gauge(c.healthy, yes(i.Backend.Status == pluginapi.StatusRunning), s.Platform, s.Node, a.Name)
		gauge(c.uptime, float64(i.Backend.UptimeMS)/1000, s.Platform, s.Node, a.Name)
		ch <- prometheus.MustNewConstMetric(c.restarts, prometheus.CounterValue, float64(i.Backend.Restarts), s.Platform, s.Node, a.Name)
	}
}

func backendState(status string) float64 {
	switch status {
	case "starting":
		return 1
	case "running":
		return 2
	case "unhealthy":
		return 3
	}
	return 0
}

func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

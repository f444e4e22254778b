package cluster

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is what this node shows to Prometheus. docs/health-and-metrics.md
// lists the figures.
type Metrics struct{ p *Platform }

// Metrics returns what this node shows to Prometheus.
func (p *Platform) Metrics() *Metrics { return &Metrics{p} }

// Registry is where a program adds collectors of its own, before or while the
// platform runs. They are served beside the platform's, whose names begin with
// gc_. A collector that panics makes its own figures absent and the scrape say
// so; it does not end the process.
func (m *Metrics) Registry() prometheus.Registerer { return m.p.cfg.Figures.Registerer() }

// Handler serves all figures, whatever the path, for a program that has an HTTP
// server of its own. The figures of the node are there while it runs.
func (m *Metrics) Handler() http.Handler { return m.p.cfg.Figures.Handler() }

// Addr returns the address that [MetricsAddr] serves on, as bound; "" before
// Run has bound it, or when there is none.
func (m *Metrics) Addr() string {
	if n := m.p.host(); n != nil {
		return n.MetricsAddr()
	}
	return ""
}

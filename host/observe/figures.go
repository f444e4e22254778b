package observe

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes is how many scrapes are answered at once.
const maxScrapes = 4

// Figures are what a node counts, and the registry that /metrics shows. Its
// methods may be called from anywhere at any time, and never wait.
//
// The words that label a figure are bounded: of each kind only so many are kept
// apart; the rest is counted under "other".
type Figures struct {
	platform, node string
	registry       *prometheus.Registry
	words          *words

	backendStarts, backendFailures *prometheus.CounterVec
	lockHeld                       *prometheus.HistogramVec
	rpcDuration, crossDuration     *prometheus.HistogramVec
	rpcTotal, crossTotal           *prometheus.CounterVec
	breaker                        *prometheus.GaugeVec
	eventsDropped, eventsExpired   *prometheus.CounterVec
	deadLetters                    *prometheus.CounterVec
	fenced                         *prometheus.CounterVec
	auditDropped, guardFired       prometheus.Counter
}

// NewFigures returns the figures of one node, all of them zero.
func NewFigures(platform, node string) *Figures {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gc_" + name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gc_" + name, Help: help, Buckets: buckets}, labels)
	}
	calls := prometheus.ExponentialBucketsRange(0.0001, 30, 14)
	f := &Figures{
		platform: platform, node: node, registry: prometheus.NewRegistry(), words: newWords(),

		backendStarts:   counter("backend_starts_total", "Starts of the backend that the node has begun.", "platform", "node", "app"),
		backendFailures: counter("backend_failures_total", "Starts that failed, and times that the backend could not be kept alive.", "platform", "node", "app"),
		lockHeld:        histogram("lock_held_seconds", "For how long a lock was held.", prometheus.ExponentialBucketsRange(0.001, 3600, 14), "app", "lock"),
		rpcDuration:     histogram("rpc_duration_seconds", "How long the handler of a call took.", calls, "app", "method"),
		rpcTotal:        counter("rpc_total", "Calls that were answered.", "app", "method", "status"),
		crossDuration:   histogram("cross_app_call_duration_seconds", "How long a call to another app took, as the caller saw it.", calls, "app", "method"),
		crossTotal:      counter("cross_app_call_total", "Calls to another app.", "app", "method", "status"),
		breaker: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gc_circuit_breaker_state", Help: "Circuit breaker of the calls to an app on a node: 0 closed, 1 open, 2 half open.",
		}, []string{"app", "node"}),
		eventsDropped: counter("events_dropped_total", "Live events that a slow subscriber did not get.", "app"),
		eventsExpired: counter("events_expired_total", "Kept events that the limits have dropped before a consumer had them, at most.", "app"),
		deadLetters:   counter("events_dead_letters_total", "Events that were given up after their last delivery.", "app"),
		fenced:        counter("fencing_rejections_total", "Acts of an old leader or holder that were refused.", "kind", "app"),
		auditDropped:  prometheus.NewCounter(prometheus.CounterOpts{Name: "gc_audit_dropped_total", Help: "Audit entries that could not be stored."}),
		guardFired:    prometheus.NewCounter(prometheus.CounterOpts{Name: "gc_guard_fired_total", Help: "Times that the guard has acted for this node."}),
	}
	f.registry.MustRegister(append(f.collectors(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))...)
	return f
}

// collectors lists what the node counts itself.
func (f *Figures) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		f.backendStarts, f.backendFailures, f.lockHeld, f.rpcDuration, f.rpcTotal, f.crossDuration, f.crossTotal,
		f.breaker, f.eventsDropped, f.eventsExpired, f.deadLetters, f.fenced, f.auditDropped, f.guardFired,
	}
}

// Registerer is where a program adds collectors of its own. They are served
// beside the node's.
func (f *Figures) Registerer() prometheus.Registerer { return registerer{f.registry} }

// Handler serves everything in the registry in Prometheus' text format,
// whatever the path. A collector that fails hides its own figures only.
func (f *Figures) Handler() http.Handler {
	return promhttp.HandlerFor(f.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxScrapes})
}

// Follow shows what src says of the node at each scrape, until stop.
//
// # Errors
//
// When another node is followed already.
func (f *Figures) Follow(src Source) (stop func(), err error) {
	c := newCollector(src)
	if err := f.registry.Register(c); err != nil {
		return nil, err
	}
	return func() { f.registry.Unregister(c) }, nil
}

// BackendStarted counts a start of an app's backend.
func (f *Figures) BackendStarted(app string) {
	f.backendStarts.WithLabelValues(f.platform, f.node, f.words.app(app)).Inc()
}

// BackendFailed counts a start that failed, or a backend that could not be kept
// alive.
func (f *Figures) BackendFailed(app string) {
	f.backendFailures.WithLabelValues(f.platform, f.node, f.words.app(app)).Inc()
}

// LockReleased counts a lock that was held for some time. App "" is the
// platform.
func (f *Figures) LockReleased(app, lock string, held time.Duration) {
	app, lock = f.words.pair("lock", app, lock)
	f.lockHeld.WithLabelValues(app, lock).Observe(held.Seconds())
}

// RPCHandled counts a call that this node has answered. status is "ok" or the
// code of the error.
func (f *Figures) RPCHandled(app, method, status string, took time.Duration) {
	app, method = f.words.pair("method", app, method)
	f.rpcDuration.WithLabelValues(app, method).Observe(took.Seconds())
	f.rpcTotal.WithLabelValues(app, method, f.words.status(status)).Inc()
}

// CrossCall counts a call that this node has made to an app.
func (f *Figures) CrossCall(app, method, status string, took time.Duration) {
	app, method = f.words.pair("call", app, method)
	f.crossDuration.WithLabelValues(app, method).Observe(took.Seconds())
	f.crossTotal.WithLabelValues(app, method, f.words.status(status)).Inc()
}

// BreakerState is the state of a circuit breaker.
type BreakerState int

// The states.
const (
	BreakerClosed BreakerState = iota
	BreakerOpen
	BreakerHalfOpen
)

// Breaker shows the state of the circuit breaker of the calls to an app on a
// node.
func (f *Figures) Breaker(app, node string, state BreakerState) {
	app, node = f.words.pair("breaker", app, node)
	f.breaker.WithLabelValues(app, node).Set(float64(state))
}

// EventsDropped counts live events that a slow subscriber did not get. App "" is
// the platform, here and below.
func (f *Figures) EventsDropped(app string, n int) {
	f.eventsDropped.WithLabelValues(f.words.app(app)).Add(float64(max(0, n)))
}

// EventsExpired counts kept events that the limits have dropped before a
// consumer had them, at most so many.
func (f *Figures) EventsExpired(app string, atMost uint64) {
	f.eventsExpired.WithLabelValues(f.words.app(app)).Add(float64(atMost))
}

// DeadLetter counts an event that was given up after its last delivery.
func (f *Figures) DeadLetter(app string) { f.deadLetters.WithLabelValues(f.words.app(app)).Inc() }

// AuditDropped counts audit entries that could not be stored.
func (f *Figures) AuditDropped(n int) { f.auditDropped.Add(float64(max(0, n))) }

// Fenced counts an act of an old leader or holder that was refused. kind says
// what it was: kv, rpc, lock, backend.
func (f *Figures) Fenced(kind, app string) {
	f.fenced.WithLabelValues(f.words.kind(kind), f.words.app(app)).Inc()
}

// GuardFired counts a time that the guard has acted for this node.
func (f *Figures) GuardFired() { f.guardFired.Inc() }

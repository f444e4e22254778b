package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/health"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// HealthStatus is what the health checks of a node say, see
// [pluginapi.HealthStatus].
type HealthStatus = pluginapi.HealthStatus

// CheckResult is the last word of one health check, see
// [pluginapi.CheckResult].
type CheckResult = pluginapi.CheckResult

// Status words of a [CheckResult]; a [HealthStatus] passes or fails.
const (
	StatusPassing = pluginapi.StatusPassing
	StatusFailing = pluginapi.StatusFailing
	StatusSkipped = pluginapi.StatusSkipped // it was not tried: a check that it depends on fails, or its first turn has not come
)

// Health is the health checks of this node. They run while the platform runs.
//
// While a check fails, the node is unhealthy: /ready answers 503, the other
// nodes see it in [Member].IsHealthy, and gchost health names the check. It
// keeps its leaderships. A check with [WithHealthCheckAdvisory] does none of
// this.
type Health struct{ p *Platform }

// HealthCheckOption changes a health check before it is registered.
type HealthCheckOption func(*health.Check)

// WithHealthCheckInterval sets the time from one start of a check to the next.
// Default 10 s, at least 10 ms. A check that takes longer has its next turn one
// interval after it has ended.
func WithHealthCheckInterval(d time.Duration) HealthCheckOption {
	return func(c *health.Check) { c.Interval = d }
}

// WithHealthCheckTimeout sets after what time a check has failed. Default 5 s,
// at least 1 ms. It may be longer than the interval: a check is never started
// while it runs.
func WithHealthCheckTimeout(d time.Duration) HealthCheckOption {
	return func(c *health.Check) { c.Timeout = d }
}

// WithHealthCheckDependsOn names checks without which this one says nothing: it
// is skipped while one of them does not pass. They must be registered before it.
func WithHealthCheckDependsOn(names ...string) HealthCheckOption {
	names = slices.Clone(names)
	return func(c *health.Check) { c.DependsOn = append(c.DependsOn, names...) }
}

// WithHealthCheckAdvisory makes a check one that is shown and measured, and does
// not make the node unhealthy.
func WithHealthCheckAdvisory() HealthCheckOption {
	return func(c *health.Check) { c.Advisory = true }
}

// Health returns the health checks of this node.
func (p *Platform) Health() *Health { return &Health{p} }

// Register adds a check, before [Platform.Run] or while it runs; its first turn
// comes at once. The node is not ready before each check has had its first
// result.
//
// fn returns nil when all is well. Its context ends with the check's timeout. A
// panic is a failure, and so is a check that does not return in time; such a one
// holds up nothing but itself, and is not started again until it has returned.
// After three failures in a row the circuit opens: the check is tried after 2,
// then 4, then each 8 intervals, until it passes.
//
// name is 1 to 63 of A-Z a-z 0-9 - _, once for each node; a node has at most 256
// checks.
//
// # Errors
//
// Every mistake at once, each wraps ErrInvalid; nothing is registered then.
// ErrShuttingDown when Run has returned.
func (h *Health) Register(name string, fn func(context.Context) error, opts ...HealthCheckOption) error {
	c := health.Check{Name: name}
	for i, o := range opts {
		if o == nil {
			return fmt.Errorf("%w: health check %.70q: option %d is nil", ErrInvalid, name, i+1)
		}
		o(&c)
	}
	return h.p.cfg.Checks.Register(c, fn)
}

// Unregister takes a check away; one that is being run counts for nothing any
// more.
//
// # Errors
//
// ErrInvalid when there is none of that name, or another check depends on it;
// ErrShuttingDown when Run has returned.
func (h *Health) Unregister(name string) error { return h.p.cfg.Checks.Unregister(name) }

// Check runs the checks now and returns when each has a result, or the last
// results when the context ends. A check that is being run is not started again;
// one that is late, or whose circuit is open, keeps its last result. Before
// [Platform.Run] and after it nothing is run.
func (h *Health) Check(ctx context.Context) HealthStatus { return h.p.cfg.Checks.Check(ctx) }

// GetHistory returns the last ten results of a check, oldest first; nil when
// there is none of that name.
func (h *Health) GetHistory(name string) []CheckResult { return h.p.cfg.Checks.History(name) }

// GetAllHistory returns the last ten results of each check, oldest first.
func (h *Health) GetAllHistory() map[string][]CheckResult { return h.p.cfg.Checks.AllHistory() }

// ResetCircuitBreaker closes the circuit of a check and forgets its failures.
// The check is tried at once.
//
// # Errors
//
// ErrInvalid when there is none of that name; ErrShuttingDown when Run has
// returned.
func (h *Health) ResetCircuitBreaker(name string) error { return h.p.cfg.Checks.Reset(name) }

// Addr returns the address that [HealthAddr] serves on, as bound; "" before Run
// has bound it, or when there is none.
func (h *Health) Addr() string {
	if n := h.p.host(); n != nil {
		return n.HealthAddr()
	}
	return ""
}

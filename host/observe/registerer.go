package observe

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// registerer is the registry as a program sees it: what it adds cannot end the
// process. A collector is called by a goroutine of the registry, where a panic
// would cost the node its leases.
type registerer struct{ r *prometheus.Registry }

// Register adds a collector.
func (r registerer) Register(c prometheus.Collector) error {
	if c == nil {
		return errors.New("register collector: it is nil")
	}
	err := r.r.Register(contained{c})
	var twice prometheus.AlreadyRegisteredError
	if errors.As(err, &twice) {
		if k, ok := twice.ExistingCollector.(contained); ok {
			twice.ExistingCollector = k.Collector
		}
		twice.NewCollector = c
		return twice
	}
	return err
}

// MustRegister adds collectors and panics where Register returns an error.
func (r registerer) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

// Unregister takes a collector away.
func (r registerer) Unregister(c prometheus.Collector) bool {
	return c != nil && r.r.Unregister(contained{c})
}

// contained turns a panic of a collector, or of a metric that it collects, into
// an error of the scrape.
type contained struct{ prometheus.Collector }

// Collect reads the figures.
func (c contained) Collect(ch chan<- prometheus.Metric) {
	metrics, passed := make(chan prometheus.Metric), make(chan struct{})
	go func() {
		defer close(passed)
		for m := range metrics {
			ch <- containedMetric{m}
		}
	}()
	err := recovered(func() error {
		c.Collector.Collect(metrics)
		return nil
	})
	close(metrics)
	<-passed
	if err != nil {
		ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
	}
}

type containedMetric struct{ prometheus.Metric }

// Write reads one figure.
func (m containedMetric) Write(out *dto.Metric) error {
	return recovered(func() error { return m.Metric.Write(out) })
}

func recovered(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("collect figures: panic: %v", p)
		}
	}()
	return fn()
}

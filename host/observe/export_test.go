package observe

import "github.com/prometheus/client_golang/prometheus"

// Declared describes all figures of a node.
func Declared(src Source) (descs []string) {
	f := NewFigures("p", "n1")
	ch := make(chan *prometheus.Desc)
	go func() {
		defer close(ch)
		for _, c := range append(f.collectors(), newCollector(src)) {
			c.Describe(ch)
		}
	}()
	for d := range ch {
		descs = append(descs, d.String())
	}
	return descs
}

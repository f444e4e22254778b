package cluster_test

import (
	"sync"
	"testing"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
)

func benchOnly(b *testing.B, raw bool) {
	p := newCallPair(b, map[string]cluster.Handler{"echo": echo})
	payload := make([]byte, 128)
	one := p.call
	if raw {
		one = p.request
	}
	var all sync.WaitGroup
	n := 0
	var mu sync.Mutex
	begun, spent := time.Now(), cpuTime()
	for range 64 {
		all.Go(func() {
			k := 0
			for time.Since(begun) < 3*time.Second {
				must(b, one(payload))
				k++
			}
			mu.Lock()
			n += k
			mu.Unlock()
		})
	}
	all.Wait()
	b.ReportMetric(float64(cpuTime()-spent)/1000/float64(n), "cpu-us")
	b.ReportMetric(float64(n), "ratio-calls")
}

func BenchmarkOnlyCall(b *testing.B) { benchOnly(b, false) }
func BenchmarkOnlyRaw(b *testing.B)  { benchOnly(b, true) }

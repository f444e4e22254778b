package bench

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// sideBySide runs the same work on the platform and on etcd, in turns, so that what
// else the machine does hits both, and reports both and the ratio.
func sideBySide(b *testing.B, work func(b *testing.B, s system, round int) []time.Duration) {
	for _, size := range []int{1, 3} {
		b.Run(fmt.Sprintf("R%d", size), func(b *testing.B) {
			ours := map[int]func(*testing.B) system{1: platform1, 3: platform3}[size](b)
			theirs := etcd(b, size)
			var all [2][]time.Duration
			var busy [2]time.Duration
			for round := range 6 {
				for i, s := range []system{ours, theirs} {
					begun := time.Now()
					took := work(b, s, round)
					if round > 0 { // the first is to warm up
						all[i], busy[i] = append(all[i], took...), busy[i]+time.Since(begun)
					}
				}
			}
			b.ReportMetric(0, "ns/op") // says nothing here
			for _, q := range []struct {
				name string
				q    float64
			}{{"p50", 0.5}, {"p99", 0.99}} {
				a, e := quantile(all[0], q.q), quantile(all[1], q.q)
				b.ReportMetric(a, q.name+"-ms")
				b.ReportMetric(e, "etcd-"+q.name+"-ms")
				b.ReportMetric(e/a, q.name+"-etcd/ours")
			}
			b.ReportMetric(float64(len(all[0]))/busy[0].Seconds(), "ops/s")
			b.ReportMetric(float64(len(all[1]))/busy[1].Seconds(), "etcd-ops/s")
		})
	}
}

// BenchmarkLock is Lock and Unlock of a lock that nobody else wants, by one client
// and by 32 at once with a lock each, beside etcd's concurrency.Mutex.
func BenchmarkLock(b *testing.B) {
	for _, clients := range []int{1, 32} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			sideBySide(b, func(b *testing.B, s system, _ int) []time.Duration {
				return inParallel(clients, func(client int, add func(time.Duration)) {
					m := s(client, fmt.Sprint("own", client))
					for range max(8, 100/clients) {
						begun := time.Now()
						must(b, m.Lock(context.Background()))
						must(b, m.Unlock(context.Background()))
						add(time.Since(begun))
					}
				})
			})
		})
	}
}

// BenchmarkLockHandOver is the time from the call of Unlock to the moment at which
// the next of eight clients, on three nodes, holds the lock.
func BenchmarkLockHandOver(b *testing.B) {
	sideBySide(b, func(b *testing.B, s system, _ int) []time.Duration {
		var given time.Time // used by who holds the lock
		return inParallel(8, func(client int, add func(time.Duration)) {
			m := s(client, "one")
			for range 12 {
				must(b, m.Lock(context.Background()))
				if !given.IsZero() {
					add(time.Since(given))
				}
				given = time.Now()
				must(b, m.Unlock(context.Background()))
			}
		})
	})
}

// inParallel runs clients at once and gathers what they measure.
func inParallel(clients int, work func(client int, add func(time.Duration))) (all []time.Duration) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			work(c, func(d time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, d)
			})
		})
	}
	wg.Wait()
	return all
}

package cluster_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	cluster "github.com/ozanturksever/go-cluster"
)

// lockStores are the stores that locks are measured on: one server and three, each
// write synced.
func lockStores(b *testing.B, run func(b *testing.B, nodes []*node)) {
	b.Run("R1", func(b *testing.B) {
		run(b, crowd(b, "bench", startNATS(b, func(o *server.Options) { o.SyncAlways = true }).ClientURL(), 3))
	})
	b.Run("R3", func(b *testing.B) {
		nodes := trio(b, "bench")
		for _, n := range nodes {
			n.begin()
		}
		for _, n := range nodes {
			n.knows("n1", "n2", "n3")
		}
		lockOnce(b, nodes[0].Lock("first"))
		settled(b, nodes, "gc_locks_bench")
		run(b, nodes)
	})
}

// lockOnce takes and gives a lock.
func lockOnce(b *testing.B, l *cluster.Lock) {
	must(b, l.Lock(context.Background()))
	must(b, l.Unlock(context.Background()))
}

// BenchmarkLock is Lock and Unlock of a lock that nobody else wants, by one client,
// and by 32 at once with a lock each.
func BenchmarkLock(b *testing.B) {
	for _, clients := range []int{1, 32} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			lockStores(b, func(b *testing.B, nodes []*node) {
				var mu sync.Mutex
				var all []time.Duration
				var wg sync.WaitGroup
				begun := time.Now()
				for c := range clients {
					l := nodes[c%3].Lock(fmt.Sprint("own", c))
					wg.Go(func() {
						var took []time.Duration
						for range max(20, 600/clients) {
							at := time.Now()
							lockOnce(b, l)
							took = append(took, time.Since(at))
						}
						mu.Lock()
						all = append(all, took...)
						mu.Unlock()
					})
				}
				wg.Wait()
				b.ReportMetric(float64(len(all))/time.Since(begun).Seconds(), "ops/s")
				reportMS(b, all)
			})
		})
	}
}

// BenchmarkLockHandOver is the time from the call of Unlock to the moment at which
// the next of eight clients on three nodes holds the lock; and how many of the
// hand-overs go to another client.
func BenchmarkLockHandOver(b *testing.B) {
	lockStores(b, func(b *testing.B, nodes []*node) {
		const clients, rounds = 8, 60
		var mu sync.Mutex
		var took []time.Duration
		var given time.Time
		last, changed := -1, 0
		var wg sync.WaitGroup
		for c := range clients {
			l := nodes[c%3].Lock("one")
			wg.Go(func() {
				for range rounds {
					must(b, l.Lock(context.Background()))
					mu.Lock()
					if last >= 0 {
						took = append(took, time.Since(given))
					}
					if last != c {
						changed++
					}
					last, given = c, time.Now()
					mu.Unlock()
					must(b, l.Unlock(context.Background()))
				}
			})
		}
		wg.Wait()
		b.ReportMetric(float64(changed)/(clients*rounds), "fair")
		reportMS(b, took)
	})
}

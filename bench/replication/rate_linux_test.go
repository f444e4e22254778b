package replication

import (
	"context"
	"database/sql"
	"slices"
	"testing"
	"time"
)

// BenchmarkWriter is a writer that writes as fast as it can: alone, beside a
// capture whose changes go nowhere, beside the whole pipeline with its stream, its
// standby and a reader on the same two cores, and beside Litestream at 1 ms with
// the same. "ratio" is what is left of its speed, the median of the rounds; the
// lag is that of every transaction until it is readable on the standby, which has
// to come to all of them.
func BenchmarkWriter(b *testing.B) {
	for _, sync := range []string{"NORMAL", "FULL"} {
		b.Run(sync, func(b *testing.B) {
			l := load{seconds: 1.5, size: 100, sync: sync}
			all := []*pipeline{ours("R1", newPlatform(b, 1)), ours("R3", newPlatform(b, 3))}
			if program := litestream(b); program != "" {
				all = append(all, theirs("litestream-1ms", program, time.Millisecond))
			}
			var alone, capture, speeds []float64
			var seal time.Duration
			for b.Loop() {
				for range 3 {
					_, speed := write(b, source(b), l)
					alone = append(alone, speed)
					path := source(b)
					stats := captured(b, path, func() {
						_, beside := write(b, path, l)
						capture, speeds = append(capture, beside/speed), append(speeds, beside)
					})
					seal = max(seal, stats.SealMax)
					for _, p := range all {
						beside, _ := p.turn(b, l)
						p.ratios, p.speeds = append(p.ratios, beside/speed), append(p.speeds, beside)
					}
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(alone), "alone-tx/s")
			b.ReportMetric(median(speeds), "capture-tx/s")
			b.ReportMetric(median(capture), "capture-ratio")
			b.ReportMetric(seal.Seconds()*1e3, "capture-seal-max-ms")
			for _, p := range all {
				b.ReportMetric(median(p.speeds), p.name+"-tx/s")
				b.ReportMetric(median(p.ratios), p.name+"-ratio")
				p.report(b)
			}
			for _, p := range all[:2] {
				b.ReportMetric(p.seal.Seconds()*1e3, p.name+"-seal-max-ms")
			}
		})
	}
}

// BenchmarkKeepUp is the lag at a rate that a standby has to keep up with: 10 000
// transactions a second, and 1000 with each synced by the writer. The writer may
// be slower than it is told: its rate is a figure too.
func BenchmarkKeepUp(b *testing.B) {
	for _, l := range []load{{seconds: 3, rate: 10_000, size: 100, sync: "NORMAL"}, {seconds: 3, rate: 1000, size: 100, sync: "FULL"}} {
		b.Run(l.sync, func(b *testing.B) {
			all := []*pipeline{ours("R1", newPlatform(b, 1)), ours("R3", newPlatform(b, 3))}
			if program := litestream(b); program != "" {
				all = append(all, theirs("litestream-1ms", program, time.Millisecond))
			}
			last := map[*pipeline][]float64{}
			for b.Loop() {
				for range 2 {
					for _, p := range all {
						speed, lags := p.turn(b, l)
						p.speeds, last[p] = append(p.speeds, speed), append(last[p], lags[len(lags)-1].Seconds()*1e3)
					}
				}
			}
			b.ReportMetric(0, "ns/op")
			for _, p := range all {
				b.ReportMetric(median(p.speeds), p.name+"-tx/s")
				b.ReportMetric(slices.Max(last[p]), p.name+"-last-ms") // of the last transaction: it grows when a copy falls behind
				p.report(b)
			}
		})
	}
}

// BenchmarkLarge is transactions of 1 MB of random bytes, each synced, as fast as
// they can be: how many MB a second were readable on the standby, over the time
// from the first commit to the moment at which all were there; and how long the
// writers were held off by a checkpoint.
func BenchmarkLarge(b *testing.B) {
	all := []*pipeline{ours("R1", newPlatform(b, 1))}
	if program := litestream(b); program != "" {
		all = append(all, theirs("litestream-1ms", program, time.Millisecond))
	}
	for b.Loop() {
		for range 3 {
			for _, p := range all {
				speed, lags := p.turn(b, load{seconds: 1.5, size: 1 << 20, sync: "FULL"})
				n := float64(len(lags))
				p.speeds = append(p.speeds, n/(n/speed+lags[len(lags)-1].Seconds()))
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	for _, p := range all {
		b.ReportMetric(median(p.speeds)*(1<<20)/1e6, p.name+"-MB/s")
		p.report(b)
	}
	b.ReportMetric(all[0].seal.Seconds()*1e3, "R1-seal-max-ms")
}

// BenchmarkBarrier is the time of Sync after a commit, 50 times a second: until
// the transaction is on the disks of a majority of the servers.
func BenchmarkBarrier(b *testing.B) {
	for name, replicas := range map[string]int{"R1": 1, "R3": 3} {
		b.Run(name, func(b *testing.B) {
			path := source(b)
			r, _ := newPlatform(b, replicas).replicate(b, path)
			r.follow(b)
			db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(30000)&_pragma=synchronous(normal)")
			must(b, err)
			defer db.Close()
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			var took []time.Duration
			for b.Loop() {
				for range 400 {
					<-tick.C
					before := r.primary.Stats().Durable
					_, err := db.Exec("INSERT INTO a(v) VALUES(randomblob(100))")
					must(b, err)
					began := time.Now()
					ctx, cancel := context.WithTimeout(b.Context(), patience)
					err = r.primary.Sync(ctx)
					took = append(took, time.Since(began))
					cancel()
					must(b, err)
					if after := r.primary.Stats().Durable; after == before {
						b.Fatalf("nothing became durable at %v", after)
					}
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(quantile(took, 0.5), "p50-ms")
			b.ReportMetric(quantile(took, 0.99), "p99-ms")
		})
	}
}

// BenchmarkRest is how often a capture looks at a database that nobody writes.
func BenchmarkRest(b *testing.B) {
	path := source(b)
	r, _ := newPlatform(b, 1).replicate(b, path)
	r.follow(b)
	const seconds = 10
	for b.Loop() {
		write(b, path, load{seconds: 0.2, size: 100, sync: "NORMAL"})
		r.follow(b)
		settled := time.NewTimer(2 * time.Second) // checkpoints after a write are no rest
		<-settled.C
		before := r.primary.Stats().Capture
		rest := time.NewTimer(seconds * time.Second)
		<-rest.C
		after := r.primary.Stats().Capture
		if before.Transactions < 10 || after.Transactions != before.Transactions {
			b.Fatalf("%d transactions before, %d after", before.Transactions, after.Transactions)
		}
		b.ReportMetric(float64(after.Looks-before.Looks)/seconds, "looks/s")
	}
	b.ReportMetric(0, "ns/op")
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

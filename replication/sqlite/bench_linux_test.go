package sqlite_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// load runs load.py, and returns transactions a second and the times of commits.
func (r *rig) load(seconds, rate float64, size int, sync string) (perSecond float64, commits []int64) {
	r.t.Helper()
	cmd := r.python("load.py", r.source, fmt.Sprint(seconds), fmt.Sprint(rate), strconv.Itoa(size), sync)
	out := strings.Split(r.finish(cmd), "\n")
	var n int
	var took float64
	if _, err := fmt.Sscan(out[0], &n, &took); err != nil {
		r.t.Fatal(err)
	}
	for _, line := range out[1:] {
		at, err := strconv.ParseInt(line, 10, 64)
		if err != nil {
			r.t.Fatal(err)
		}
		commits = append(commits, at)
	}
	return float64(n) / took, commits
}

// captured runs f with a capture of the source whose changes go nowhere.
func (r *rig) captured(emit sqlite.Emit, f func()) sqlite.CaptureStats {
	r.t.Helper()
	c, err := sqlite.OpenCapture(context.Background(), r.source, sqlite.CaptureOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.Run(ctx, nil, emit) })
	if err := c.Sync(ctx); err != nil {
		r.t.Fatal(err)
	}
	f()
	if err := c.Sync(ctx); err != nil {
		r.t.Fatal(err)
	}
	stats := c.Stats()
	cancel()
	wg.Wait()
	return stats
}

// BenchmarkWriter is a program of another language that writes as fast as it
// can: alone, and beside a capture, in turns on the same machine. "ratio" is
// what is left of its speed.
func BenchmarkWriter(b *testing.B) {
	for _, c := range []struct {
		name, sync string
		size       int
	}{{"normal-100B", "NORMAL", 100}, {"full-100B", "FULL", 100}, {"normal-1MB", "NORMAL", 1 << 20}, {"full-1MB", "FULL", 1 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			var alone, beside float64
			var seal time.Duration
			var log int64
			var letGo uint64
			for b.Loop() {
				for range 3 {
					r := newRig(b, 4096)
					n, _ := r.load(2, 0, c.size, c.sync)
					alone += n
					r = newRig(b, 4096)
					s := r.captured(func(context.Context, sqlite.Change) error { return nil }, func() {
						n, _ = r.load(2, 0, c.size, c.sync)
					})
					beside += n
					seal, log, letGo = max(seal, s.SealMax), max(log, s.LogBytes), letGo+s.LetGo
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(alone/3/float64(b.N), "alone-tx/s")
			b.ReportMetric(beside/3/float64(b.N), "captured-tx/s")
			b.ReportMetric(beside/alone, "ratio")
			b.ReportMetric(float64(seal.Microseconds())/1000, "seal-max-ms")
			b.ReportMetric(float64(log)/1e6, "log-end-MB")
			b.ReportMetric(float64(letGo), "let-go")
		})
	}
}

// BenchmarkLag is the time from the return of a commit in a program of another
// language to the change in the hands of the consumer.
func BenchmarkLag(b *testing.B) {
	for _, rate := range []float64{50, 1000} {
		b.Run(fmt.Sprint(rate), func(b *testing.B) {
			var lags []float64
			for b.Loop() {
				var seen []int64
				r := newRig(b, 4096)
				var commits []int64
				r.captured(func(_ context.Context, c sqlite.Change) error {
					var now unix.Timespec
					if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
						return err
					}
					for range c.TX {
						seen = append(seen, now.Nano())
					}
					return nil
				}, func() { _, commits = r.load(4, rate, 100, "NORMAL") })
				seen = seen[len(seen)-len(commits):] // before them is the database as it was
				for i, at := range commits {
					lags = append(lags, float64(seen[i]-at)/1e6)
				}
			}
			slices.Sort(lags)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(lags[len(lags)/2], "p50-ms")
			b.ReportMetric(lags[len(lags)*99/100], "p99-ms")
		})
	}
}

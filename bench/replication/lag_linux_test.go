package replication

import (
	"testing"
	"time"
)

// pipeline is a way to keep a copy of a database. begin begins, with the copy there
// when it returns.
type pipeline struct {
	name  string
	begin func(b *testing.B, path string) (w *watcher, stop func())

	lags   []time.Duration
	speeds []float64 // of the writer, in each round
	ratios []float64 // of it to the writer alone
	errors int
	seal   time.Duration // longest time that a checkpoint of ours held writers off
}

func ours(name string, p *platform) *pipeline {
	l := &pipeline{name: name}
	l.begin = func(b *testing.B, path string) (*watcher, func()) {
		r, stop := p.replicate(b, path)
		r.follow(b)
		return watch(b, r.copied, false), func() {
			l.seal = max(l.seal, r.primary.Stats().Capture.SealMax)
			stop()
		}
	}
	return l
}

func theirs(name, program string, interval time.Duration) *pipeline {
	return &pipeline{name: name, begin: func(b *testing.B, path string) (*watcher, func()) {
		l, stopShip := ship(b, program, path, interval)
		stopFollow := l.follow(b)
		return watch(b, l.copied, true), func() { stopFollow(); stopShip() }
	}}
}

// turn is one run of the writer with a pipeline beside it.
func (p *pipeline) turn(b *testing.B, l load) (perSecond float64, lags []time.Duration) {
	b.Helper()
	path := source(b)
	w, stop := p.begin(b, path)
	defer stop()
	w.there(b)
	commits, perSecond := write(b, path, l)
	lags = w.lags(b, commits)
	p.errors += w.errors
	p.lags = append(p.lags, lags...)
	if w.last != nil {
		b.Logf("%s: %d readings failed, the last with: %v", p.name, w.errors, w.last)
	}
	return perSecond, lags
}

func (p *pipeline) report(b *testing.B) {
	b.ReportMetric(quantile(p.lags, 0.5), p.name+"-p50-ms")
	b.ReportMetric(quantile(p.lags, 0.99), p.name+"-p99-ms")
	if p.errors > 0 {
		b.ReportMetric(float64(p.errors), p.name+"-bad-reads")
	}
}

// BenchmarkLag is the time from the return of COMMIT in the writer, which makes 50
// transactions a second, to the row on the standby, read by another connection
// each half millisecond. Ours with one server and with three, each write synced;
// Litestream with its default intervals and with 1 ms.
func BenchmarkLag(b *testing.B) {
	r1, r3 := ours("R1", newPlatform(b, 1)), ours("R3", newPlatform(b, 3))
	all := []*pipeline{r1, r3}
	var least *pipeline
	if program := litestream(b); program != "" {
		least = theirs("litestream-1ms", program, time.Millisecond)
		all = append(all, least, theirs("litestream-default", program, 0))
	}
	for b.Loop() {
		for range 3 {
			for _, p := range all {
				p.turn(b, load{seconds: 3, rate: 50, size: 100, sync: "NORMAL"})
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	for _, p := range all {
		p.report(b)
	}
	if least != nil {
		for _, p := range []*pipeline{r1, r3} {
			b.ReportMetric(quantile(least.lags, 0.5)/quantile(p.lags, 0.5), "p50-litestream-1ms/"+p.name)
			b.ReportMetric(quantile(least.lags, 0.99)/quantile(p.lags, 0.99), "p99-litestream-1ms/"+p.name)
		}
	}
}

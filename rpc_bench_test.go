package cluster_test

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	cluster "github.com/ozanturksever/go-cluster"
)

// callPair is a node that answers calls and one that makes them, and beside
// them, on connections of their own, a plain NATS responder and requester.
type callPair struct {
	callee, caller *node
	raw            *nats.Conn
}

func newCallPair(b *testing.B, handlers map[string]cluster.Handler) *callPair {
	b.Helper()
	s := startNATS(b)
	p := &callPair{callee: newNode(b, "bench", "n1", s.ClientURL(), cluster.WithLogger(nil)), caller: newNode(b, "bench", "n2", s.ClientURL(), cluster.WithLogger(nil))}
	a := p.callee.app(cluster.NewApp("web", cluster.WithMaxCalls(2000)))
	for method, h := range handlers {
		a.Handle(method, h)
	}
	p.callee.start()
	p.caller.app(cluster.NewApp("other"))
	p.caller.start()
	p.caller.knows("n1", "n2")
	p.callee.leads("web")
	answers, err := nats.Connect(s.ClientURL())
	must(b, err)
	b.Cleanup(answers.Close)
	_, err = answers.Subscribe("raw", func(m *nats.Msg) { _ = m.Respond(m.Data) })
	must(b, err)
	must(b, answers.Flush())
	p.raw, err = nats.Connect(s.ClientURL())
	must(b, err)
	b.Cleanup(p.raw.Close)
	return p
}

func (p *callPair) call(payload []byte) error {
	_, err := p.caller.API("web").Call(context.Background(), "echo", payload, cluster.ToAny())
	return err
}

func (p *callPair) request(payload []byte) error {
	_, err := p.raw.Request("raw", payload, time.Minute)
	return err
}

// BenchmarkCall is the time of one call with an echo of some bytes, and that of
// a plain request over NATS in turn with it.
func BenchmarkCall(b *testing.B) {
	for _, size := range []int{128, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p := newCallPair(b, map[string]cluster.Handler{"echo": echo})
			payload := make([]byte, size)
			var calls, raws []time.Duration
			for i := range 6000 {
				begun := time.Now()
				must(b, p.call(payload))
				called := time.Now()
				must(b, p.request(payload))
				if i >= 1000 { // warm
					calls, raws = append(calls, called.Sub(begun)), append(raws, time.Since(called))
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(1000*quantile(calls, 0.5), "p50-us")
			b.ReportMetric(1000*quantile(raws, 0.5), "raw-p50-us")
			b.ReportMetric(quantile(calls, 0.5)/quantile(raws, 0.5), "p50-ratio")
			b.ReportMetric(quantile(calls, 0.99)/quantile(raws, 0.99), "p99-ratio")
		})
	}
}

// BenchmarkCalls64 is the throughput of 64 callers, and that of plain requests,
// in turns of half a second: the
// best of six each.
func BenchmarkCalls64(b *testing.B) {
	p := newCallPair(b, map[string]cluster.Handler{"echo": echo})
	payload := make([]byte, 128)
	storm := func(one func([]byte) error) (rate, cpu float64) {
		var all sync.WaitGroup
		counts := make([]int, 64)
		begun, spent := time.Now(), cpuTime()
		for i := range counts {
			all.Go(func() {
				for time.Since(begun) < 500*time.Millisecond {
					if err := one(payload); err != nil {
						b.Error(err)
						return
					}
					counts[i]++
				}
			})
		}
		all.Wait()
		sum := 0
		for _, n := range counts {
			sum += n
		}
		return float64(sum) / time.Since(begun).Seconds(), float64(cpuTime()-spent) / 1000 / float64(sum)
	}
	storm(p.call)
	storm(p.request)
	var called, raw float64
	callCPU, rawCPU := math.Inf(1), math.Inf(1) // the best round is the one that was disturbed least
	for range 6 {
		rate, cpu := storm(p.call)
		called, callCPU = max(called, rate), min(callCPU, cpu)
		rate, cpu = storm(p.request)
		raw, rawCPU = max(raw, rate), min(rawCPU, cpu)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(called, "calls/s")
	b.ReportMetric(raw, "raw/s")
	b.ReportMetric(called/raw, "ratio")
	b.ReportMetric(callCPU, "cpu-us/call")
	b.ReportMetric(rawCPU, "cpu-us/raw")
}

// BenchmarkFastBehindSlow is the time of a fast call while a thousand others,
// each of a second, run on the same node.
func BenchmarkFastBehindSlow(b *testing.B) {
	const slow = 1000
	begun := make(chan struct{}, slow)
	p := newCallPair(b, map[string]cluster.Handler{"echo": echo, "slow": func(ctx context.Context, _ []byte) ([]byte, error) {
		begun <- struct{}{}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		return nil, nil
	}})
	var took []time.Duration
	for range 5 {
		var all sync.WaitGroup
		for range slow {
			all.Go(func() {
				if _, err := p.caller.API("web").Call(context.Background(), "slow", nil, cluster.ToAny()); err != nil {
					b.Error(err)
				}
			})
		}
		for range slow {
			<-begun
		}
		for range 200 {
			at := time.Now()
			must(b, p.call(nil))
			took = append(took, time.Since(at))
		}
		all.Wait()
	}
	reportMS(b, took)
}

// BenchmarkBroadcast20 is the time of a broadcast to 20 nodes beyond that of its
// slowest handler, which takes 20 ms.
func BenchmarkBroadcast20(b *testing.B) {
	s := startNATS(b)
	var nodes []*node
	for i := range 20 {
		n := newNode(b, "bench", fmt.Sprintf("n%02d", i), s.ClientURL(), cluster.WithLogger(nil))
		a := n.app(cluster.NewApp("web", cluster.Spread()))
		a.Handle("id", func(context.Context, []byte) ([]byte, error) {
			if i == 7 {
				<-time.After(20 * time.Millisecond)
			}
			return []byte(n.NodeID()), nil
		})
		nodes = append(nodes, n.start())
	}
	spreadReady(b, nodes[0], "web", "id", len(nodes))
	var took []time.Duration
	for range 200 {
		begun := time.Now()
		got, err := nodes[0].apps["web"].RPC().Broadcast(context.Background(), "id", nil)
		took = append(took, time.Since(begun)-20*time.Millisecond)
		must(b, err)
		if len(got) != len(nodes) {
			b.Fatal(len(got))
		}
	}
	reportMS(b, took)
}

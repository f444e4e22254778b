//go:build unix

package exec

import (
	"context"
	"slices"
	"testing"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// median reports the median of the times of a benchmark.
func median(b *testing.B, times []time.Duration) {
	if len(times) == 0 {
		return
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
}

// From the call of Load to the first answer, and the part of it that a restart
// has too: what remains is the copy of the binary.
func BenchmarkStart(b *testing.B) {
	a := binary(b)
	r := New(config(b, "actor"))
	var times []time.Duration
	for b.Loop() {
		began := time.Now()
		in, err := r.Load(b.Context(), a, options(b))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := in.Call(b.Context(), "echo", nil); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
		mustClose(b, in.(*Instance))
	}
	median(b, times)
}

// From the kill of the process to the first answer of the next, the pause of
// 100 ms included.
func BenchmarkRestart(b *testing.B) {
	r := New(config(b, "actor"))
	var times []time.Duration
	for b.Loop() {
		b.StopTimer()
		in, err := r.Load(b.Context(), binary(b), options(b)) // a new one, for its first pause
		if err != nil {
			b.Fatal(err)
		}
		i := in.(*Instance)
		b.StartTimer()
		killActor(b, i)
		began := time.Now()
		for {
			if _, err := i.Call(b.Context(), "echo", nil); err == nil {
				break
			}
		}
		times = append(times, time.Since(began))
		b.StopTimer()
		mustClose(b, i)
		b.StartTimer()
	}
	median(b, times)
}

// One call after the other. The peer is the leanest call there is over the same
// connection: the health check of go-plugin, one request and one response.
func BenchmarkCall(b *testing.B) {
	o := options(b)
	o.Host = hostFunc(func(_ context.Context, _ string, in []byte) ([]byte, error) { return in, nil })
	i := load(b, config(b, "actor"), o)
	run := func(name string, call func() error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var times []time.Duration
			for b.Loop() {
				began := time.Now()
				if err := call(); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(began))
			}
			median(b, times)
		})
	}
	does := func(op string, in []byte) func() error {
		return func() error {
			_, err := i.Call(b.Context(), op, in)
			return err
		}
	}
	run("empty", does("echo", nil))
	run("64KiB", does("echo", make([]byte, 64<<10)))
	run("1MiB", does("echo", make([]byte, 1<<20)))
	run("one-ask", does("ask", []byte("echo ")))
	health := grpc_health_v1.NewHealthClient(i.current.conn)
	run("peer-unary", func() error {
		_, err := health.Check(b.Context(), &grpc_health_v1.HealthCheckRequest{Service: goplugin.GRPCServiceName})
		return err
	})
}

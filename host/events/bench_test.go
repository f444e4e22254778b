package events

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/host/bus"
)

// rival is one way to do something, beside ours, in the same run.
type rival struct {
	name string
	do   func(n int) // n times
}

// beside runs both in turns, so that both meet the same noise, and reports how
// fast ours is as a part of the other: the median of the rounds.
func beside(b *testing.B, each int, raw, ours rival) {
	const rounds = 15
	var ratios []float64
	var per [2][]float64
	for range rounds {
		var took [2]time.Duration
		for i, r := range []rival{raw, ours} {
			begun := time.Now()
			r.do(each)
			took[i] = time.Since(begun)
			per[i] = append(per[i], float64(took[i].Microseconds())/float64(each))
		}
		ratios = append(ratios, float64(took[0])/float64(took[1]))
	}
	median := func(all []float64) float64 { slices.Sort(all); return all[len(all)/2] }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(per[0]), "raw-us")
	b.ReportMetric(median(per[1]), "ours-us")
	b.ReportMetric(median(ratios), "x-of-raw")
}

// How often something is done in a round; many where it begins with work that is
// done once.
const few, many = 2000, 40_000

// BenchmarkDurable is a stored event beside a message published to JetStream,
// and the handling of events beside a pull consumer that acknowledges each.
func BenchmarkDurable(b *testing.B) {
	url := startServer(b).ClientURL()
	broker := join(b, url, "n1", "web")
	c := connect(b, url)
	data := make([]byte, 256)
	_, err := c.JetStream().CreateStream(b.Context(), jetstream.StreamConfig{Name: "raw", Subjects: []string{"raw.>"}, MaxBytes: DefaultMaxBytes, Discard: jetstream.DiscardOld})
	must(b, err)
	rawPublish := rival{"raw", func(n int) {
		for range n {
			if _, err := c.JetStream().Publish(b.Context(), "raw.x", data); err != nil {
				b.Fatal(err)
			}
		}
	}}
	publish := rival{"ours", func(n int) {
		for range n {
			must(b, broker.Keep(b.Context(), bus.NoApp, "x", "", data))
		}
	}}
	b.Run("publish", func(b *testing.B) { beside(b, few, rawPublish, publish) })
	rawPublish.do(many)
	publish.do(many)
	round := 0
	rawConsumer := func(n int, read func(jetstream.Consumer, func(jetstream.Msg), <-chan struct{})) {
		round++
		cons, err := c.JetStream().CreateConsumer(b.Context(), "raw", jetstream.ConsumerConfig{Durable: fmt.Sprint("raw", round), AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 10_000})
		must(b, err)
		got, done := 0, make(chan struct{})
		read(cons, func(m jetstream.Msg) {
			_ = m.Ack()
			if got++; got == n {
				close(done)
			}
		}, done)
	}
	consume := rival{"ours", func(n int) {
		round++
		var got atomic.Int64
		done := make(chan struct{})
		s, err := broker.Consume(b.Context(), "*", ">", fmt.Sprint("g", round), func(context.Context, Event) error {
			if got.Add(1) == int64(n) {
				close(done)
			}
			return nil
		}, Durable{Start: bus.Start{All: true}})
		must(b, err)
		<-done
		s.Unsubscribe()
	}}
	b.Run("consume", func(b *testing.B) {
		beside(b, many, rival{"raw", func(n int) {
			rawConsumer(n, func(cons jetstream.Consumer, fn func(jetstream.Msg), done <-chan struct{}) {
				sub, err := cons.Consume(fn)
				must(b, err)
				<-done
				sub.Stop()
			})
		}}, consume)
	})
	b.Run("consume-fetch", func(b *testing.B) {
		beside(b, many, rival{"raw", func(n int) {
			rawConsumer(n, func(cons jetstream.Consumer, fn func(jetstream.Msg), done <-chan struct{}) {
				for range n / 200 {
					batch, err := cons.Fetch(200)
					must(b, err)
					for m := range batch.Messages() {
						fn(m)
					}
				}
				<-done
			})
		}}, consume)
	})
}

// BenchmarkLive is the time from the publication of an event to its handler,
// beside a message of NATS to its callback, on the same connection.
func BenchmarkLive(b *testing.B) {
	url := startServer(b).ClientURL()
	broker := join(b, url, "n1", "web")
	p, err := broker.at()
	must(b, err)
	data := make([]byte, 128)
	got := make(chan struct{}, 1)
	sub, err := p.Conn.NATS().Subscribe("raw", func(*nats.Msg) { got <- struct{}{} })
	must(b, err)
	defer func() { must(b, sub.Unsubscribe()) }()
	_, err = broker.Listen("*", "x", func(Event) { got <- struct{}{} })
	must(b, err)
	beside(b, few, rival{"raw", func(n int) {
		for range n {
			must(b, p.Conn.NATS().Publish("raw", data))
			<-got
		}
	}}, rival{"ours", func(n int) {
		for range n {
			must(b, broker.Publish(b.Context(), bus.NoApp, "x", data))
			<-got
		}
	}})
}

package bus

import (
	"context"
	"fmt"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// The figures of our calls beside the bare round trip of the same connection,
// in one run: go test -run '^$' -bench . ./host/bus
func BenchmarkCalls(b *testing.B) {
	s := startServer(b)
	for _, link := range []struct {
		name string
		cfg  Config
	}{
		{"tcp", Config{URLs: []string{s.ClientURL()}}},
		{"inprocess", Config{InProcess: s}},
	} {
		b.Run(link.name, func(b *testing.B) { benchCalls(b, s, dial(b, link.cfg)) })
	}
}

func benchCalls(b *testing.B, s *server.Server, c *Conn) {
	r := openRecords(b, c)
	ctx := context.Background()
	value := make([]byte, 200)
	cancel, err := c.Subscribe("echo", "", func(m Message) { _ = m.Respond(m.Data) })
	if err != nil {
		b.Fatal(err)
	}
	defer cancel()
	b.Run("echo-nats", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.NATS().RequestMsg(&nats.Msg{Subject: "echo", Data: value}, patience); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("echo-request", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.Request(ctx, "echo", value); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("publish-nats", func(b *testing.B) { // stored without compare-and-set
		for b.Loop() {
			if _, err := c.NATS().RequestMsg(&nats.Msg{Subject: r.cfg.Subject + ".raw", Data: value}, patience); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cas", func(b *testing.B) {
		at := set(b, r, "k", "")
		for b.Loop() {
			if at, err = r.CAS(ctx, "k", at, value); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			if _, err = r.Get(ctx, "k"); err != nil {
				b.Fatal(err)
			}
		}
	})
	for i := range 2000 {
		set(b, r, fmt.Sprintf("node.n%d", i), string(value))
	}
	b.Run("list-2000", func(b *testing.B) {
		for b.Loop() {
			if all, err := r.List(ctx, "node.*"); err != nil || len(all) != 2000 {
				b.Fatal(len(all), err)
			}
		}
	})
}

// Command kv-lock-rpc shows how a program keeps data and talks to its other
// copies: tickets are sold by all nodes at the same time, and none is sold
// twice. A call (RPC) reaches any node, a lock lets one node at a time sell,
// the key-value store keeps how many are sold, and an event tells everybody.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	cluster "github.com/ozanturksever/go-cluster"
)

func main() {
	node := flag.String("node", "node-1", "id of this node, unique in the platform")
	url := flag.String("nats", "", "URL of an existing NATS with JetStream; without it a server is embedded")
	data := flag.String("data", "", "folder of this node; without it a temporary one")
	buy := flag.Int("buy", 3, "how many tickets to buy before it ends; 0 sells until Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := withData(*data, func(dir string) error { return run(ctx, *node, *url, dir, *buy, os.Stdout) }); err != nil {
		fmt.Fprintln(os.Stderr, "kv-lock-rpc:", err)
		os.Exit(1)
	}
}

// withData calls fn with the folder, or with a temporary one that is removed
// afterwards.
func withData(dir string, fn func(string) error) error {
	if dir != "" {
		return fn(dir)
	}
	dir, err := os.MkdirTemp("", "kv-lock-rpc-")
	if err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	defer os.RemoveAll(dir)
	return fn(dir)
}

// run joins the platform, buys tickets, and leaves; it sells all the while.
func run(ctx context.Context, node, url, dir string, buy int, out io.Writer) error {
	app := cluster.NewApp("tickets", cluster.Spread())
	app.Handle("sell", func(ctx context.Context, buyer []byte) ([]byte, error) {
		return sell(ctx, app, string(buyer))
	})
	if err := app.Events().Subscribe("sold", func(what []byte) { fmt.Fprintf(out, "%s hears: %s\n", node, what) }); err != nil {
		return err
	}
	platform, err := cluster.NewPlatform("example", node, url, cluster.WithDataDir(dir))
	if err != nil {
		return err
	}
	platform.Register(app)

	ctx, leave := context.WithCancel(ctx)
	var shop sync.WaitGroup
	var bought error
	shop.Go(func() {
		if bought = buyTickets(ctx, platform, app, buy, out); bought != nil || buy > 0 {
			leave()
		}
	})
	err = platform.Run(ctx)
	leave()
	shop.Wait()
	return errors.Join(err, bought)
}

// buyTickets asks any node, this one included, for one ticket after the other.
func buyTickets(ctx context.Context, platform *cluster.Platform, app *cluster.App, n int, out io.Writer) error {
	if err := platform.WaitReady(ctx); err != nil {
		return nil // Run says why
	}
	for range n {
		// Tried again while nobody sells yet: a call that nobody has taken can be.
		number, err := platform.API(app.Name()).Call(ctx, "sell", []byte(platform.NodeID()), cluster.ToAny(), cluster.WithRetry())
		if err != nil {
			return fmt.Errorf("buy a ticket: %w", err)
		}
		fmt.Fprintf(out, "%s bought ticket %s\n", platform.NodeID(), number)
	}
	return nil
}

// sell sells the next ticket.
func sell(ctx context.Context, app *cluster.App, buyer string) ([]byte, error) {
	lock := app.Lock("counter")
	if err := lock.Lock(ctx); err != nil {
		return nil, err
	}
	defer lock.Unlock(context.WithoutCancel(ctx))
	sold, err := app.KV().Get(ctx, "sold")
	if err != nil && !errors.Is(err, cluster.ErrKeyNotFound) {
		return nil, err
	}
	last, _ := strconv.Atoi(string(sold)) // nothing was sold yet
	number := []byte(strconv.Itoa(last + 1))
	if err := app.KV().Put(ctx, "sold", number); err != nil {
		return nil, err
	}
	return number, app.Events().Publish(ctx, "sold", fmt.Appendf(nil, "ticket %s to %s", number, buyer))
}

// Command library shows a program that uses package cluster itself: a job that
// exactly one of its copies does. Without arguments it is a platform of one
// node, with a server and a folder of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	cluster "github.com/ozanturksever/go-cluster"
)

func main() {
	node := flag.String("node", "node-1", "id of this node, unique in the platform")
	url := flag.String("nats", "", "URL of an existing NATS with JetStream; without it a server is embedded")
	data := flag.String("data", "", "folder of this node; without it a temporary one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := withData(*data, func(dir string) error { return run(ctx, *node, *url, dir, os.Stdout) }); err != nil {
		fmt.Fprintln(os.Stderr, "library:", err)
		os.Exit(1)
	}
}

// withData calls fn with the folder, or with a temporary one that is removed
// afterwards.
func withData(dir string, fn func(string) error) error {
	if dir != "" {
		return fn(dir)
	}
	dir, err := os.MkdirTemp("", "library-")
	if err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	defer os.RemoveAll(dir)
	return fn(dir)
}

// run joins the platform and does the job whenever this node leads.
func run(ctx context.Context, node, url, dir string, out io.Writer) error {
	app := cluster.NewApp("job", cluster.Singleton())
	app.OnActive(func(ctx context.Context) error {
		lease, _ := cluster.LeaseFrom(ctx)
		fmt.Fprintf(out, "%s: I lead, epoch %d\n", node, lease.Epoch)
		return nil // start the work here; before each act, ask lease.Valid()
	})
	app.OnPassive(func(context.Context) error {
		fmt.Fprintf(out, "%s: I stop\n", node)
		return nil // return when the work has stopped: only then may another node lead
	})
	app.OnLeaderChange(func(_ context.Context, leader string) error {
		fmt.Fprintf(out, "%s: %s leads\n", node, leader)
		return nil
	})

	platform, err := cluster.NewPlatform("example", node, url, cluster.WithDataDir(dir))
	if err != nil {
		return err
	}
	platform.Register(app)
	return platform.Run(ctx) // until Ctrl-C; hands over to a standby first
}

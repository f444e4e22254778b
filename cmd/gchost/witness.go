package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	cluster "github.com/ozanturksever/go-cluster"
)

// runWitness runs a voter without apps: two hosts and a witness fail over by
// themselves, two hosts alone cannot.
func runWitness(ctx context.Context, cfg Config, log *slog.Logger) error {
	if cfg.External() || cfg.Cluster.Routes == "" {
		return Faults{{Key: "cluster.routes", Text: "a witness votes in the cluster of the embedded servers: give cluster.routes and cluster.peers"}}
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	server := embeddedConfig(cfg)
	server.Name, server.Platform, server.Logger = cfg.Node, cfg.Platform, log
	server.Dir = filepath.Join(cfg.DataDir, "nats")
	w, err := cluster.NewWitness(server)
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
)

// runner is a command that runs until its context ends: it takes a
// configuration that has been checked, files included, and that holds the
// cluster secret itself, also one from a file.
type runner struct {
	use, short, long string
	noApps           bool // it is refused when the configuration has apps
	start            func(ctx context.Context, cfg Config, log *slog.Logger) error
}

// runnerCommand makes the command of a runner: it reads and checks the
// configuration, sets up the log, and starts.
func (p *program) runnerCommand(d runner) *cobra.Command {
	return &cobra.Command{
		Use: d.use, Short: d.short, Long: d.long, Args: args(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, origins, err := p.load()
			if err != nil {
				return err
			}
			if d.noApps && len(cfg.Apps) > 0 {
				return Faults{{Where: origins.Of("apps").Where, Key: "apps", Text: fmt.Sprintf("%s runs no apps: remove them, or use gchost run", d.use)}}
			}
			if err := cfg.CheckFiles(origins); err != nil {
				return err
			}
			if cfg.Cluster.Secret, err = cfg.Cluster.ReadSecret(); err != nil {
				return err
			}
			log := p.logger(cfg.Log)
			for _, a := range cfg.Advice() {
				log.Warn("configuration: " + a)
			}
			return d.start(c.Context(), cfg, log)
		},
	}
}

// logger writes to stderr; -v means level debug.
func (p *program) logger(cfg LogConfig) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil || p.verbose { // Validate knows the same words
		level = slog.LevelDebug
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(p.stderr, opts))
	}
	return slog.New(slog.NewTextHandler(p.stderr, opts))
}

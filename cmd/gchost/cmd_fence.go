package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ozanturksever/go-cluster/host/guard"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// victim is a service, or what is left of one, that fence kills.
type victim struct {
	Fence     pluginapi.Fence `json:"fence"`
	Processes []int           `json:"processes"`
}

// fenced is the JSON of fence.
type fenced struct {
	Platform string   `json:"platform"`
	DryRun   bool     `json:"dry_run,omitempty"`
	Killed   []victim `json:"killed"`
}

func (p *program) fenceCommand() *cobra.Command {
	var (
		wait   time.Duration
		dryRun bool
	)
	c := &cobra.Command{
		Use:   "fence",
		Short: "Kill every service of the platform on this machine",
		Long: "Fence kills all that hosts of the platform started as services on this machine, of every\n" +
			"node and app: the control groups below gchost, and the processes that carry the mark\n" +
			"GCHOST_INSTANCE. It asks nobody and needs no running host: it is for a machine whose host\n" +
			"and guard are gone or hang. A host that runs sees its services end and acts on that.",
		Args: args(),
		RunE: func(c *cobra.Command, _ []string) error {
			if wait <= 0 {
				return usagef("--timeout is %s: give a duration above 0", wait)
			}
			cfg, _, err := p.load()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), wait)
			defer cancel()
			doc := fenced{Platform: cfg.Platform, DryRun: dryRun}
			if doc.Killed, err = findVictims(cfg.Platform); err != nil {
				return err
			}
			if err := kill(ctx, doc); err != nil {
				return err
			}
			return p.print(doc, func(out *screen) { showFenced(out, doc) })
		},
	}
	c.Flags().DurationVar(&wait, "timeout", 10*time.Second, "how long to wait until all are dead")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be killed")
	return c
}

func kill(ctx context.Context, doc fenced) error {
	if doc.DryRun || len(doc.Killed) == 0 {
		return nil
	}
	fences := make([]pluginapi.Fence, 0, len(doc.Killed))
	for _, v := range doc.Killed {
		fences = append(fences, v.Fence)
	}
	return guard.Kill(ctx, fences)
}

func showFenced(out *screen, doc fenced) {
	if len(doc.Killed) == 0 {
		out.linef("no service of platform %s runs on this machine", doc.Platform)
	}
	did := "killed"
	if doc.DryRun {
		did = "would kill"
	}
	for _, v := range doc.Killed {
		out.linef("%s %s %s: %s", did, v.Fence.Kind, v.Fence.Name, processText(v.Processes))
	}
}

func processText(pids []int) string {
	switch len(pids) {
	case 0:
		return "no process"
	case 1:
		return fmt.Sprintf("process %d", pids[0])
	}
	return fmt.Sprintf("%d processes %v", len(pids), pids)
}

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ozanturksever/go-cluster/host/control"
)

// snapshotTimeout is how long a snapshot is waited for; a host works on one
// request for five minutes at most.
const snapshotTimeout = 5 * time.Minute

func (p *program) snapshotCommand() *cobra.Command {
	c := &cobra.Command{Use: "snapshot", Short: "Create, list, restore, verify and delete snapshots of databases"}
	needCommand(c)
	c.AddCommand(
		p.snapshotDo("create", "Take a snapshot of an app's database now", control.SnapshotCreate, p.snapshotCreated),
		p.snapshotDo("list", "List the snapshots of an app's database, oldest first", control.SnapshotList, p.snapshotListed),
		p.snapshotDo("delete ID", "Delete a snapshot", control.SnapshotDelete, p.snapshotDone("deleted")),
		p.snapshotDo("verify ID", "Read all of a snapshot and compare its checksums", control.SnapshotVerify, p.snapshotDone("verified")),
		p.snapshotRestoreCommand())
	return c
}

// appFlag adds the flag that names the app.
func appFlag(c *cobra.Command, app *string) {
	c.Flags().StringVar(app, "app", "", "the app whose database it is")
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		if *app == "" {
			return usagef("--app is missing: write %s --app APP", c.UseLine())
		}
		return nil
	}
}

// snapshotDo is a command that is one request.
func (p *program) snapshotDo(use, short, do string, show func(app, id string, a control.SnapshotAnswer) error) *cobra.Command {
	var app string
	var names []string
	if _, id, found := strings.Cut(use, " "); found {
		names = []string{id}
	}
	c := &cobra.Command{
		Use: use, Short: short, Args: args(names...),
		RunE: func(c *cobra.Command, a []string) error {
			r := control.SnapshotRequest{App: app, Do: do}
			if len(a) == 1 {
				r.ID = a[0]
			}
			return p.ask(c, snapshotTimeout, func(ctx context.Context, client *control.Client) error {
				answer, err := client.Snapshot(ctx, r)
				if err != nil {
					return err
				}
				return show(app, r.ID, answer)
			})
		},
	}
	appFlag(c, &app)
	return c
}

func (p *program) snapshotCreated(app, _ string, a control.SnapshotAnswer) error {
	if len(a.Snapshots) != 1 {
		return fmt.Errorf("create snapshot of %s: the answer has %d", app, len(a.Snapshots))
	}
	s := a.Snapshots[0]
	return p.print(s, func(out *screen) {
		out.linef("%s: snapshot %s of %d bytes, taken on %s at %d/%d", app, s.ID, s.Size, s.Node, s.Epoch, s.TX)
	})
}

func (p *program) snapshotListed(_, _ string, a control.SnapshotAnswer) error {
	all := a.Snapshots
	if all == nil {
		all = []control.Snapshot{}
	}
	return p.print(map[string]any{"snapshots": all}, func(out *screen) {
		var rows [][]string
		for _, s := range all {
			rows = append(rows, []string{s.ID, fmt.Sprint(s.Size), when(s.Time), fmt.Sprintf("%d/%d", s.Epoch, s.TX), s.Node, s.Checksum})
		}
		showList(out, "no snapshots", "ID,SIZE,CREATED,POSITION,NODE,CHECKSUM", rows)
	})
}

func (p *program) snapshotDone(what string) func(app, id string, _ control.SnapshotAnswer) error {
	return func(app, id string, _ control.SnapshotAnswer) error {
		return p.print(map[string]string{"app": app, "id": id, "result": what}, func(out *screen) {
			out.linef("%s: snapshot %s %s", app, id, what)
		})
	}
}

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ozanturksever/go-cluster/host/control"
)

func (p *program) appCommand() *cobra.Command {
	app := &cobra.Command{Use: "app", Short: "List and show apps"}
	needCommand(app)
	app.AddCommand(p.appListCommand(), p.appStatusCommand())
	return app
}

func (p *program) appListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the apps of the platform", Args: args(),
		RunE: func(c *cobra.Command, _ []string) error {
			return p.ask(c, askTimeout, func(ctx context.Context, client *control.Client) error {
				apps, err := client.Apps(ctx)
				if err != nil {
					return err
				}
				return p.print(map[string]any{"apps": apps}, func(out *screen) {
					showList(out, "no apps", "APP,MODE,LEADER,EPOCH,INSTANCES", appRows(apps, true))
				})
			})
		},
	}
}

func (p *program) appStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status APP", Short: "Show one app and its instances", Args: args("APP"),
		RunE: func(c *cobra.Command, a []string) error {
			return p.ask(c, askTimeout, func(ctx context.Context, client *control.Client) error {
				app, err := client.App(ctx, a[0])
				if err != nil {
					return err
				}
				return p.print(app, func(out *screen) { showApp(out, app) })
			})
		},
	}
}

func appRows(apps []control.App, instances bool) (rows [][]string) {
	for _, a := range apps {
		row := []string{a.Name, a.Mode, a.Leader, ""}
		if a.Mode != control.AppSpread {
			row[2], row[3] = orNone(a.Leader), fmt.Sprint(a.Epoch)
		}
		if instances {
			row = append(row, fmt.Sprint(len(a.Instances)))
		}
		rows = append(rows, row)
	}
	return rows
}

func showApp(out *screen, a control.App) {
	rows := [][2]string{{"app", a.Name}, {"mode", a.Mode}}
	if a.Mode != control.AppSpread {
		rows = append(rows, [2]string{"leader", orNone(a.Leader)}, [2]string{"epoch", fmt.Sprint(a.Epoch)})
	}
	out.pairs(rows)
	var table [][]string
	for _, i := range a.Instances {
		row := []string{i.Node, i.Role, i.Phase, when(i.Since), "", "", "", i.Reason}
		if b := i.Backend; b != nil {
			row[4], row[5], row[6] = serviceText(*b), span(b.UptimeMS), fmt.Sprint(b.Restarts)
		}
		table = append(table, row)
	}
	if len(table) > 0 {
		out.gap()
		out.table("NODE,ROLE,PHASE,SINCE,SERVICE,UPTIME,RESTARTS,REASON", table)
	}
	showDatabases(out, a)
	for _, i := range a.Instances {
		if i.HookError != "" {
			out.linef("warning  a hook failed on %s: %s", i.Node, i.HookError)
		}
	}
}

func serviceText(b control.Backend) string {
	text := b.Status
	if b.Message != "" {
		text += ": " + b.Message
	}
	if b.Isolation != "" {
		text += " (" + b.Isolation + ")"
	}
	return text
}

func (p *program) stepDownCommand() *cobra.Command {
	var (
		app  string
		wait time.Duration
	)
	c := &cobra.Command{
		Use:   "stepdown [APP]",
		Short: "Give the leadership of an app to a standby",
		Long:  "Stepdown asks the leader of an app to stop its work and to hand over, and waits until a\nstandby leads. Without an app it takes the only one that has a leader. It is refused\nwith 5 when no standby can take over.",
		Args: func(c *cobra.Command, a []string) error {
			if len(a) > 1 || len(a) == 1 && app != "" && app != a[0] {
				return usagef("one app at a time: write %s", c.UseLine())
			}
			if wait <= 0 {
				return usagef("--timeout is %s: give a duration above 0", wait)
			}
			return nil
		},
		RunE: func(c *cobra.Command, a []string) error {
			if len(a) == 1 {
				app = a[0]
			}
			return p.ask(c, wait, func(ctx context.Context, client *control.Client) error { return p.stepDown(ctx, client, app) })
		},
	}
	c.Flags().StringVar(&app, "app", "", "the app, as an argument would")
	c.Flags().DurationVar(&wait, "timeout", stepDownTimeout, "how long to wait for the hand-over")
	return c
}

func (p *program) stepDown(ctx context.Context, client *control.Client, app string) error {
	if app == "" {
		var err error
		if app, err = onlySingleton(ctx, client); err != nil {
			return err
		}
	}
	res, err := client.StepDown(ctx, app)
	if err != nil {
		return err
	}
	return p.print(res, func(out *screen) {
		out.linef("%s: %s -> %s, epoch %d, took %s", res.App, res.From, orNone(res.To), res.Epoch, millis(res.TookMS))
	})
}

// onlySingleton returns the app that is meant when none is named.
func onlySingleton(ctx context.Context, client *control.Client) (string, error) {
	s, err := client.Status(ctx)
	if err != nil {
		return "", err
	}
	var all []string
	for _, a := range s.Apps {
		if a.Mode != control.AppSpread {
			all = append(all, a.Name)
		}
	}
	if len(all) != 1 {
		return "", usagef("name the app that steps down: there are %d with a leader", len(all))
	}
	return all[0], nil
}

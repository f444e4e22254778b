package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// How long the commands wait that change what runs, and between two looks at how
// far it is.
const (
	rolloutTimeout = 5 * time.Minute
	rolloutLook    = 250 * time.Millisecond
)

// platformPluginCommands are those that ask a running host.
func (p *program) platformPluginCommands() []*cobra.Command {
	return []*cobra.Command{
		p.pluginInstallCommand("install", false, "Install a plugin on all nodes"),
		p.pluginInstallCommand("upgrade", true, "Replace a plugin by another version of it, on all nodes"),
		p.pluginListCommand(),
		p.pluginChangeCommand(control.PluginRollback, "Go back to the previous version, or end a rollout"),
		p.pluginChangeCommand(control.PluginRemove, "Take a plugin from all nodes"),
		p.pluginChangeCommand(control.PluginEnable, "Turn a plugin on, on all nodes"),
		p.pluginChangeCommand(control.PluginDisable, "Turn a plugin off, on all nodes"),
		p.pluginLogsCommand(),
	}
}

// rolloutFlags are the flags of commands that begin a rollout.
type rolloutFlags struct {
	noWait  bool
	timeout time.Duration
}

func (f *rolloutFlags) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.noWait, "no-wait", false, "do not wait until it is active")
	c.Flags().DurationVar(&f.timeout, "timeout", rolloutTimeout, "how long to wait")
}

func (f *rolloutFlags) check() error {
	if f.timeout <= 0 {
		return usagef("--timeout is %s: give a positive duration", f.timeout)
	}
	return nil
}

func (p *program) pluginInstallCommand(verb string, upgrade bool, short string) *cobra.Command {
	var f rolloutFlags
	c := &cobra.Command{
		Use:   verb + " FILE|DIR",
		Short: short,
		Long: "A host verifies the package and loads the plugin once, before anything is changed; then one\n" +
			"node tries it, and then all. When a node cannot have it, or it is worse than the version\n" +
			"before, all go back. The command waits until it is active on all nodes, or is rolled back.",
		Args: args("FILE|DIR"),
		RunE: func(c *cobra.Command, argv []string) error {
			if err := f.check(); err != nil {
				return err
			}
			pkg, err := readPackage(argv[0])
			if err != nil {
				return err
			}
			return p.ask(c, f.timeout, func(ctx context.Context, client *control.Client) error {
				got, err := client.InstallPlugin(ctx, bytes.NewReader(pkg), int64(len(pkg)), upgrade)
				if err != nil {
					return err
				}
				return p.follow(ctx, client, got, f.noWait)
			})
		},
	}
	f.add(c)
	return c
}

// readPackage reads a package, or makes one of a folder.
func readPackage(path string) (pkg []byte, err error) {
	err = openPlugin(path, func(o *manifest.Package) error {
		var b bytes.Buffer
		if err := o.Write(&b); err != nil {
			return err
		}
		pkg = b.Bytes()
		return nil
	})
	return pkg, err
}

// follow waits for the end of a rollout and shows what came of it.
func (p *program) follow(ctx context.Context, client *control.Client, got control.Plugin, noWait bool) error {
	name, to := got.Name, ""
	if got.Rollout != nil {
		to = got.Rollout.To
	}
	tick := time.NewTicker(rolloutLook)
	defer tick.Stop()
	for !noWait && got.Rollout != nil && got.Rollout.Phase != "watch" {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for plugin %s %s, which goes on (%s): %w", name, to, got.Rollout.Phase, pluginapi.ErrTimeout)
		}
		now, err := client.Plugin(ctx, name)
		if err != nil {
			return err
		}
		got = now
	}
	if got.Rollout == nil && got.Current != to {
		reason := "its rollout was ended"
		if got.Last != nil && got.Last.To == to {
			reason = got.Last.Reason
		}
		return fmt.Errorf("plugin %s %s was rolled back: %s", name, to, reason)
	}
	return p.print(got, func(s *screen) {
		switch {
		case got.Rollout == nil:
			s.linef("plugin %s %s is active on all nodes", name, to)
		case got.Rollout.Phase == "watch":
			s.linef("plugin %s %s is active on all nodes, and is watched for a while: it is rolled back when it is worse than %s", name, to, got.Current)
		default:
			s.linef("plugin %s %s is on its way: see gchost plugin info %s", name, to, name)
		}
	})
}

func (p *program) pluginListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the plugins of the platform, and what each node has of them",
		Args:  args(),
		RunE: func(c *cobra.Command, _ []string) error {
			return p.ask(c, askTimeout, func(ctx context.Context, client *control.Client) error {
				list, err := client.Plugins(ctx)
				if err != nil {
					return err
				}
				doc := struct {
					Plugins []control.Plugin `json:"plugins"`
				}{list}
				return p.print(doc, func(s *screen) {
					var rows [][]string
					for _, x := range list {
						rows = append(rows, []string{x.Name, x.Contract, x.Current, pluginState(x), pluginNodes(x)})
					}
					showList(s, "no plugins", "PLUGIN,CONTRACT,VERSION,STATE,NODES", rows)
				})
			})
		},
	}
}

// pluginState is a plugin's state in a few words.
func pluginState(x control.Plugin) string {
	switch {
	case x.Rollout != nil && x.Rollout.Node != "":
		return fmt.Sprintf("%s of %s on %s", x.Rollout.Phase, x.Rollout.To, x.Rollout.Node)
	case x.Rollout != nil:
		return fmt.Sprintf("%s of %s", x.Rollout.Phase, x.Rollout.To)
	case x.Current == "" && x.Last != nil:
		return x.Last.To + " was rolled back"
	case x.Current == "":
		return "local"
	case !x.Enabled:
		return "disabled"
	}
	return "enabled"
}

// pluginNodes says of each node which version is active there, or how far it is.
func pluginNodes(x control.Plugin) string {
	var out []string
	for _, n := range x.Nodes {
		word := "nothing"
		for _, v := range n.Versions {
			switch {
			case v.Stage == "active":
				word = v.Version
			case word == "nothing" || v.Stage == "failed":
				word = v.Version + " " + v.Stage
			}
			if v.Stage == "active" {
				break
			}
		}
		if n.Local {
			word += " (local)"
		}
		out = append(out, n.Node+": "+word)
	}
	return strings.Join(out, ", ")
}

// isName says whether a word is meant as the name of an installed plugin: it is
// one, and there is no file of this name.
func isName(word string) bool {
	if pluginapi.CheckName("plugin", word) != nil {
		return false
	}
	_, err := os.Stat(word)
	return errors.Is(err, fs.ErrNotExist)
}

// showInstalled is plugin info of an installed plugin.
func (p *program) showInstalled(c *cobra.Command, name string) error {
	return p.ask(c, askTimeout, func(ctx context.Context, client *control.Client) error {
		x, err := client.Plugin(ctx, name)
		if err != nil {
			return err
		}
		return p.print(x, func(s *screen) { showInstalledPlugin(s, x) })
	})
}

func showInstalledPlugin(s *screen, x control.Plugin) {
	last := ""
	if l := x.Last; l != nil {
		last = fmt.Sprintf("to %s, done", l.To)
		if !l.Done {
			last = fmt.Sprintf("to %s, rolled back: %s", l.To, l.Reason)
		}
	}
	s.pairs([][2]string{
		{"plugin", x.Name}, {"contract", x.Contract}, {"version", x.Current}, {"previous", x.Previous}, {"state", pluginState(x)},
		{"digest", x.Digest}, {"signed by", x.Signer}, {"last rollout", last},
	})
	var rows [][]string
	for _, n := range x.Nodes {
		for _, v := range n.Versions {
			slow := ""
			if v.Calls > 0 {
				slow = (time.Duration(v.SlowUS) * time.Microsecond).String()
			}
			rows = append(rows, []string{n.Node, v.Version, v.Stage, fmt.Sprint(v.Calls), fmt.Sprint(v.Faults), slow, v.Reason})
		}
	}
	s.gap()
	showList(s, "no node has it", "NODE,VERSION,STAGE,CALLS,FAULTS,SLOW,REASON", rows)
}

func (p *program) pluginChangeCommand(change, short string) *cobra.Command {
	var f rolloutFlags
	c := &cobra.Command{
		Use:   change + " NAME",
		Short: short,
		Args:  args("NAME"),
		RunE: func(c *cobra.Command, argv []string) error {
			wait := askTimeout
			if change == control.PluginRollback {
				if err := f.check(); err != nil {
					return err
				}
				wait = f.timeout
			}
			return p.ask(c, wait, func(ctx context.Context, client *control.Client) error {
				got, err := client.ChangePlugin(ctx, argv[0], change)
				if err != nil {
					return err
				}
				if got.Rollout != nil && change == control.PluginRollback {
					return p.follow(ctx, client, got, f.noWait)
				}
				return p.print(got, func(s *screen) { s.linef("%s", changed(argv[0], change, got)) })
			})
		},
	}
	if change == control.PluginRollback {
		f.add(c)
	}
	return c
}

func changed(name, change string, got control.Plugin) string {
	switch change {
	case control.PluginRemove:
		return "plugin " + name + " is being taken from all nodes"
	case control.PluginEnable:
		return "plugin " + name + " is enabled"
	case control.PluginDisable:
		return "plugin " + name + " is disabled"
	}
	if got.Current == "" {
		return "the rollout of plugin " + name + " was ended: there is no version before it"
	}
	return "the rollout of plugin " + name + " was ended: " + got.Current + " stays"
}

// verifyInstalled is plugin verify of an installed plugin: every node does it.
func (p *program) verifyInstalled(c *cobra.Command, name string) error {
	return p.ask(c, stepDownTimeout, func(ctx context.Context, client *control.Client) error {
		checks, err := client.VerifyPlugin(ctx, name)
		if err != nil {
			return err
		}
		wrong := 0
		for _, x := range checks {
			if !x.OK {
				wrong++
			}
		}
		doc := struct {
			Name   string                `json:"name"`
			OK     bool                  `json:"ok"`
			Checks []control.PluginCheck `json:"checks"`
		}{name, wrong == 0, checks}
		if err := p.print(doc, func(s *screen) {
			var rows [][]string
			for _, x := range checks {
				word := "OK"
				if !x.OK {
					word = "WRONG"
				}
				rows = append(rows, []string{x.Node, x.Version, word, x.Signer, x.Reason})
			}
			showList(s, "no node has it", "NODE,VERSION,RESULT,SIGNED BY,REASON", rows)
		}); err != nil {
			return err
		}
		if wrong > 0 {
			return errUnhealthy
		}
		return nil
	})
}

func (p *program) pluginLogsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logs NAME",
		Short: "Show the last lines that a plugin has logged, on all nodes",
		Args:  args("NAME"),
		RunE: func(c *cobra.Command, argv []string) error {
			return p.ask(c, askTimeout, func(ctx context.Context, client *control.Client) error {
				lines, missing, err := client.PluginLogs(ctx, argv[0])
				if err != nil {
					return err
				}
				doc := struct {
					Lines   []control.PluginLine `json:"lines"`
					Missing []string             `json:"missing"` // nodes that did not answer
				}{lines, missing}
				return p.print(doc, func(s *screen) {
					for _, l := range lines {
						s.linef("%s %s %s %-5s %s", l.Time.UTC().Format("2006-01-02T15:04:05.000Z"), l.Node, l.Version, l.Level, l.Text)
					}
					if len(missing) > 0 {
						s.linef("no answer from %s", strings.Join(missing, ", "))
					}
				})
			})
		},
	}
}

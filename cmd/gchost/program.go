package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ozanturksever/go-cluster/host/control"
)

// program is the command line and what it touches. main fills it with the real
// things, a test with its own.
type program struct {
	stdout, stderr io.Writer
	environ        []string
	machine        Machine
	search         []string // configuration files that are looked for
	dial           dialer
	runners        []runner

	configFile string
	verbose    bool
	json       bool
	given      map[string]*string // path of a setting -> its flag's value
	flags      *pflag.FlagSet     // the global flags
}

// conversation is a way to ask hosts that must be closed.
type conversation interface {
	control.Requester
	Close() error
}

// dialer connects to the platform that the configuration names. An error wraps
// control.ErrUnreachable when nobody is there.
type dialer func(ctx context.Context, cfg Config, origins Origins) (conversation, error)

// How long a command waits for its answers.
const (
	askTimeout      = 10 * time.Second
	stepDownTimeout = 30 * time.Second
)

// run executes one command line, without the program's name, and returns its
// exit code.
func (p *program) run(ctx context.Context, args []string) (exit int) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(p.stderr, "gchost: a defect of gchost: %v\n%s", r, debug.Stack())
			exit = exitInternal
			if p.json {
				_ = writeJSON(p.stdout, map[string]failure{"error": {control.CodeInternal, exit, fmt.Sprint(r), nil}})
			}
		}
	}()
	root := p.root()
	root.SetArgs(rewriteRemovals(root, args))
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	return report(err, p.json || wantsJSON(args), p.stdout, p.stderr)
}

// wantsJSON looks for --json in a command line that could not be parsed.
func wantsJSON(args []string) bool {
	for _, a := range args {
		if a == "--" {
			return false
		}
		if a == "--json" || a == "--json=true" {
			return true
		}
	}
	return false
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "gchost",
		Short:         "High availability for single-node services",
		Long:          "gchost elects a leader for each app on 2 to 50 machines, and starts and stops the\nservice behind it.\n\n" + exitHelp,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%s, see %s --help", err, c.CommandPath())
	})
	flags := root.PersistentFlags()
	p.flags = flags
	flags.StringVar(&p.configFile, "config", "", "configuration file (default $HOME/.go-cluster.yaml, then /etc/gchost/gchost.yaml)")
	flags.BoolVarP(&p.verbose, "verbose", "v", false, "say more")
	flags.BoolVar(&p.json, "json", false, "write JSON to stdout, errors too")
	p.given = map[string]*string{}
	for _, f := range [][2]string{
		{"nats.url", "URL of an existing NATS (default: the server inside gchost)"},
		{"node", "id of this node (default: host name up to its first dot)"},
		{"platform", "name of the platform (default \"default\")"},
		{"data_dir", "folder of this node's state (default /var/lib/gchost, or ~/.local/share/gchost)"},
	} {
		p.given[f[0]] = flags.String(flagOf(f[0]), "", f[1])
	}
	needCommand(root)
	root.AddCommand(p.statusCommand(), p.healthCommand(), p.stepDownCommand(), p.nodeCommand(), p.appCommand(), p.snapshotCommand(),
		p.pluginCommand(), p.configCommand(), p.fenceCommand(), p.demoCommand(), p.versionCommand())
	for _, d := range p.runners {
		root.AddCommand(p.runnerCommand(d))
	}
	plainUseLines(root)
	return root
}

// plainUseLines takes the word [flags] out of what is shown of all commands.
func plainUseLines(c *cobra.Command) {
	c.DisableFlagsInUseLine = true
	for _, sub := range c.Commands() {
		plainUseLines(sub)
	}
}

// needCommand makes a command that only has others below it say so when it is used
// alone or with a word that is none of them.
func needCommand(c *cobra.Command) {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		var all []string
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				all = append(all, sub.Name())
			}
		}
		if len(args) == 0 {
			return usagef("a command is missing: there are %s, see %s --help", strings.Join(all, ", "), c.CommandPath())
		}
		if near, ok := nearest(args[0], all); ok {
			return usagef("unknown command %q: did you mean %q?", args[0], c.CommandPath()+" "+near)
		}
		return usagef("unknown command %q: there are %s, see %s --help", args[0], strings.Join(all, ", "), c.CommandPath())
	}
}

// args checks the number of arguments and names them when it is wrong.
func args(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, got []string) error {
		switch {
		case len(got) < len(names):
			return usagef("%s is missing: write %s", names[len(got)], c.UseLine())
		case len(got) > len(names):
			return usagef("%q is one argument too many: write %s", got[len(names)], c.UseLine())
		}
		return nil
	}
}

// load reads the configuration that the command line names.
func (p *program) load() (Config, Origins, error) {
	flags := map[string]string{}
	for _, f := range append(slices.Sorted(maps.Keys(p.given)), "config") {
		if p.flags.Changed(flagOf(f)) && p.flags.Lookup(flagOf(f)).Value.String() == "" {
			return Config{}, Origins{}, usagef("--%s is empty: give it a value, or leave it out", flagOf(f))
		}
	}
	for path, value := range p.given {
		if *value == "" {
			continue
		}
		flags[path] = *value
		if path == "data_dir" {
			abs, err := filepath.Abs(*value)
			if err != nil {
				return Config{}, Origins{}, fmt.Errorf("find data folder: %w", err)
			}
			flags[path] = abs
		}
	}
	cfg, origins, err := Load(Options{File: p.configFile, Search: p.search, Environ: p.environ, Flags: flags, Machine: p.machine})
	var faults Faults
	if err != nil && !errors.As(err, &faults) {
		err = fmt.Errorf("%w: %w", errBadConfig, err)
	}
	return cfg, origins, err
}

// ask connects to the platform, hands a client to fn and closes the connection
// behind it.
func (p *program) ask(c *cobra.Command, wait time.Duration, fn func(context.Context, *control.Client) error) error {
	cfg, origins, err := p.load()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context(), wait)
	defer cancel()
	conn, err := p.dial(ctx, cfg, origins)
	if err != nil {
		return err
	}
	return errors.Join(fn(ctx, control.NewClient(conn)), conn.Close())
}

// print writes a document as JSON, or as a person reads it.
func (p *program) print(doc any, text func(*screen)) error {
	if p.json {
		return writeJSON(p.stdout, doc)
	}
	s := &screen{}
	text(s)
	return s.flush(p.stdout)
}

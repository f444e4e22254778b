package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/host/plugin/trial"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// errFoundWanting ends a command that has said already what is wrong with a
// plugin.
const errFoundWanting pluginapi.Error = "the plugin did not pass"

// trialEnd is how long a plugin may take to end.
const trialEnd = 30 * time.Second

// trialFlags are what the commands that try a plugin have in common.
type trialFlags struct {
	config string
	call   time.Duration
}

func (f *trialFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.config, "plugin-config", "", "file with the plugin's config in JSON (default: the manifest's)")
	flags.DurationVar(&f.call, "call", 0, "limit of one call, in the place of the manifest's")
}

// try puts a plugin on trial and hands it to fn.
func (p *program) try(ctx context.Context, path string, f trialFlags, fn func(*trial.Plugin) error) error {
	if f.call < 0 || f.call > 5*time.Minute {
		return usagef("--call is %v: give 1ms to 5m", f.call)
	}
	o := trial.Options{Call: f.call}
	if p.verbose {
		o.Logger = slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if f.config != "" {
		text, err := readAtMost(f.config, manifest.MaxConfig)
		if err != nil {
			return fmt.Errorf("--plugin-config: %w", err)
		}
		o.Config = text
	}
	t, err := trial.Open(path, o)
	if errors.Is(err, fs.ErrNotExist) {
		return usagef("%v: name a package, or a folder with a %s and the plugin's file, built", err, manifest.FileName)
	}
	if err != nil {
		return err
	}
	err = fn(t)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), trialEnd)
	defer cancel()
	return errors.Join(err, t.Close(end))
}

// readAtMost reads a file that has no more bytes than most.
func readAtMost(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", pluginapi.ErrTooLarge, path, most)
	}
	return text, nil
}

// pluginTested is the JSON of plugin test.
type pluginTested struct {
	Plugin string        `json:"plugin"` // name and version
	Passed bool          `json:"passed"`
	Checks []pluginCheck `json:"checks"`
}

type pluginCheck struct {
	Name   string   `json:"name"`
	Passed bool     `json:"passed"`
	Faults []string `json:"faults,omitempty"`
	MS     int64    `json:"ms"`
}

func (p *program) pluginTestCommand() *cobra.Command {
	var flags trialFlags
	var suite trial.Suite
	c := &cobra.Command{
		Use:   "test FILE|DIR",
		Short: "Check a plugin as its author",
		Long: "Test runs a plugin as a node would, with its manifest's limits and capabilities, in a world of\n" +
			"its own: a store in memory, a web that answers 200, commands that succeed. It checks what every\n" +
			"plugin of its contract has to keep. It exits with 1 when a check fails. -v shows what the plugin logs.",
		Args: args("FILE|DIR"),
		RunE: func(c *cobra.Command, argv []string) error {
			return p.try(c.Context(), argv[0], flags, func(t *trial.Plugin) error { return p.testPlugin(c.Context(), t, suite) })
		},
	}
	flags.add(c.Flags())
	c.Flags().BoolVar(&suite.Reference, "reference", false, "it is the reference plugin of its contract, whose every answer is known")
	c.Flags().BoolVar(&suite.Service, "service", false, "start and stop the service of a backend, for real")
	return c
}

func (p *program) testPlugin(ctx context.Context, t *trial.Plugin, suite trial.Suite) error {
	doc := pluginTested{Plugin: t.Manifest.String()}
	first, err := t.Load(ctx) // its own error, once, and not that of each check
	if err != nil {
		return err
	}
	var lost error // of the screen
	doc.Passed = trial.Run(ctx, t.Checks(suite), func(r trial.Result) {
		check := pluginCheck{Name: r.Name, Passed: len(r.Faults) == 0, Faults: r.Faults, MS: r.Took.Milliseconds()}
		doc.Checks = append(doc.Checks, check)
		if !p.json {
			s := &screen{}
			showCheck(s, check)
			lost = errors.Join(lost, s.flush(p.stdout))
		}
	})
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), trialEnd)
	defer cancel()
	if err := errors.Join(lost, first.Close(end)); err != nil {
		return err
	}
	err = p.print(doc, func(s *screen) {
		verdict := map[bool]string{true: "OK", false: "FAILED"}[doc.Passed]
		s.linef("%s  %s: %d checks", verdict, doc.Plugin, len(doc.Checks))
	})
	if err == nil && !doc.Passed {
		err = errFoundWanting
	}
	return err
}

func showCheck(s *screen, c pluginCheck) {
	s.linef("%s  %s", map[bool]string{true: "pass", false: "FAIL"}[c.Passed], c.Name)
	for _, f := range c.Faults {
		for line := range strings.Lines(f) {
			s.linef("        %s", strings.TrimSuffix(line, "\n"))
		}
	}
}

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func (p *program) configCommand() *cobra.Command {
	config := &cobra.Command{Use: "config", Short: "Check and show the configuration"}
	needCommand(config)
	config.AddCommand(p.configCheckCommand(), p.configShowCommand())
	return config
}

// checked is the JSON of config check.
type checked struct {
	OK       bool     `json:"ok"`
	File     string   `json:"file"` // "" when none was read
	Advice   []string `json:"advice,omitempty"`
	Settings []origin `json:"settings"` // all that are not defaults
}

func (p *program) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check file, environment and flags, and the files they name",
		Long:  "Check reports every mistake at once and exits with 2 if there is one. With -v it also\nsays where each setting that is not a default comes from.",
		Args:  args(),
		RunE: func(*cobra.Command, []string) error {
			cfg, origins, err := p.load()
			if err != nil {
				return err
			}
			if err := cfg.CheckFiles(origins); err != nil {
				return err
			}
			file, err := findFile(p.configFile, p.search)
			if err != nil {
				return fmt.Errorf("%w: %w", errBadConfig, err)
			}
			doc := checked{true, file, append(cfg.Advice(), exposed(file, cfg, origins)...), append([]origin{}, cfg.show().origins("", origins)...)}
			return p.print(doc, func(out *screen) { p.showChecked(out, doc) })
		},
	}
}

func (p *program) showChecked(out *screen, doc checked) {
	where := "no file, defaults only"
	if doc.File != "" {
		where = doc.File
	}
	out.linef("OK  %s", where)
	for _, a := range doc.Advice {
		out.linef("advice  %s", a)
	}
	if p.verbose {
		var rows [][]string
		for _, s := range doc.Settings {
			rows = append(rows, []string{s.Key, s.Value, s.From})
		}
		out.table("KEY,VALUE,FROM", rows)
	}
}

// exposed advises about secrets in a file that others may read.
func exposed(file string, cfg Config, origins Origins) (advice []string) {
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm()&0o004 == 0 {
		return nil
	}
	for _, s := range []struct {
		key string
		set bool
	}{{"nats.password", cfg.NATS.Password != ""}, {"nats.token", cfg.NATS.Token != ""}, {"cluster.secret", cfg.Cluster.Secret != ""}} {
		if s.set && strings.HasPrefix(origins.Of(s.key).Where, file) {
			advice = append(advice, fmt.Sprintf("%s: every user of this machine can read it in %s: chmod 640, or put it into a file of its own", s.key, file))
		}
	}
	return advice
}

func (p *program) configShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show the effective configuration, secrets masked",
		Long:  "Show writes the configuration that a host would run with, every default filled in, as\nYAML. Secrets and the values of environment variables are masked.",
		Args:  args(),
		RunE: func(*cobra.Command, []string) error {
			cfg, _, err := p.load()
			if err != nil {
				return err
			}
			doc := cfg.show()
			if p.json {
				return writeJSON(p.stdout, doc)
			}
			var b strings.Builder
			doc.yaml(&b, "")
			_, err = p.stdout.Write([]byte(b.String()))
			return err
		},
	}
}

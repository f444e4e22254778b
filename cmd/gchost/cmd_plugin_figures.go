package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/ozanturksever/go-cluster/host/plugin/trial"
)

// pluginFigures is the JSON of plugin bench. Times are in nanoseconds.
type pluginFigures struct {
	Plugin   string  `json:"plugin"` // name and version
	What     string  `json:"what"`
	Mode     string  `json:"mode"`
	ColdNS   int64   `json:"first_call_cold_ns"`
	CachedNS int64   `json:"first_call_cached_ns"`
	Calls    int     `json:"calls"`
	Rate     float64 `json:"calls_per_second"`
	LowestNS int64   `json:"lowest_ns"`
	P50NS    int64   `json:"p50_ns"`
	P90NS    int64   `json:"p90_ns"`
	P99NS    int64   `json:"p99_ns"`
	MostNS   int64   `json:"most_ns"`
	Guests   int     `json:"guests"`
	Memory   int64   `json:"memory_bytes"`
}

func (p *program) pluginBenchCommand() *cobra.Command {
	var flags trialFlags
	var span time.Duration
	var callers int
	c := &cobra.Command{
		Use:   "bench FILE|DIR",
		Short: "Measure a plugin",
		Long: "Bench measures the first call of a plugin, with and without its compiled code at hand, and then\n" +
			"calls for a while: a policy ranks 100 candidates, a hook is told of an event, a backend says its\n" +
			"status. It runs as in plugin test, in a world of its own.",
		Args: args("FILE|DIR"),
		RunE: func(c *cobra.Command, argv []string) error {
			if span <= 0 || span > time.Hour || callers < 1 || callers > 1000 {
				return usagef("--for is above 0 and up to 1h, --callers 1 to 1000")
			}
			return p.try(c.Context(), argv[0], flags, func(t *trial.Plugin) error {
				f, err := t.Bench(c.Context(), span, callers)
				if err != nil {
					return err
				}
				doc := pluginFigures{
					Plugin: t.Manifest.String(), What: f.What, Mode: f.Mode, ColdNS: int64(f.Cold), CachedNS: int64(f.Cached), Calls: f.Calls, Rate: f.Rate,
					LowestNS: int64(f.Lowest), P50NS: int64(f.P50), P90NS: int64(f.P90), P99NS: int64(f.P99), MostNS: int64(f.Most), Guests: f.Guests, Memory: f.Memory,
				}
				return p.print(doc, func(s *screen) { showFigures(s, doc, f) })
			})
		},
	}
	flags.add(c.Flags())
	c.Flags().DurationVar(&span, "for", 3*time.Second, "how long it is called")
	c.Flags().IntVar(&callers, "callers", 1, "how many call at a time")
	return c
}

func showFigures(s *screen, d pluginFigures, f trial.Figures) {
	s.pairs([][2]string{
		{"plugin", d.Plugin}, {"mode", d.Mode}, {"one call", d.What},
		{"first call", fmt.Sprintf("%v cold, %v cached", f.Cold.Round(time.Microsecond), f.Cached.Round(time.Microsecond))},
		{"calls", fmt.Sprintf("%d, %.0f/s", d.Calls, d.Rate)},
		{"latency", fmt.Sprintf("lowest %v, 50%% %v, 90%% %v, 99%% %v, most %v", f.Lowest, f.P50, f.P90, f.P99, f.Most)},
		{"memory", fmt.Sprintf("%d KiB in %d guests", d.Memory>>10, d.Guests)},
	})
}

// pluginReplayed is the JSON of plugin replay.
type pluginReplayed struct {
	Plugin       string             `json:"plugin"` // name and version
	Questions    int                `json:"questions"`
	Same         int                `json:"same"`
	Different    int                `json:"different"`
	Failed       int                `json:"failed"`
	MovesBuiltIn int                `json:"moves_built_in"` // that the built-in policy would have made
	MovesPlugin  int                `json:"moves_plugin"`
	Differences  []replayDifference `json:"differences"`
}

type replayDifference struct {
	Time    time.Time `json:"time"`
	Epoch   uint64    `json:"epoch"`
	App     string    `json:"app"`
	Leader  string    `json:"leader,omitempty"`
	BuiltIn string    `json:"built_in,omitempty"`
	Plugin  string    `json:"plugin,omitempty"`
	Error   string    `json:"error,omitempty"`
}

// maxDifferences are shown of a replay; all are counted.
const maxDifferences = 1000

func (p *program) pluginReplayCommand() *cobra.Command {
	var flags trialFlags
	var from string
	c := &cobra.Command{
		Use:   "replay FILE|DIR",
		Short: "Ask a policy what was recorded on a platform",
		Long: "Replay asks a policy the questions of a recording, and shows where it would have chosen another\n" +
			"node than the built-in policy. It exits with 0 whatever the differences are.",
		Args: args("FILE|DIR"),
		RunE: func(c *cobra.Command, argv []string) error {
			if from == "" {
				return usagef("--from is missing: name a recording")
			}
			f, err := os.Open(from)
			if errors.Is(err, fs.ErrNotExist) {
				return usagef("--from: there is no %s: name a recording", from)
			}
			if err != nil {
				return fmt.Errorf("--from: %w", err)
			}
			defer f.Close()
			return p.try(c.Context(), argv[0], flags, func(t *trial.Plugin) error { return p.replayPlugin(c.Context(), t, f) })
		},
	}
	flags.add(c.Flags())
	c.Flags().StringVar(&from, "from", "", "the recording")
	return c
}

func (p *program) replayPlugin(ctx context.Context, t *trial.Plugin, from *os.File) error {
	doc := pluginReplayed{Plugin: t.Manifest.String(), Differences: []replayDifference{}}
	done, err := t.Replay(ctx, from, func(d trial.Difference) {
		if len(doc.Differences) >= maxDifferences {
			return
		}
		shown := replayDifference{Time: d.Time, Epoch: d.Epoch, App: d.App, Leader: d.Leader, BuiltIn: d.BuiltIn, Plugin: d.Plugin}
		if d.Err != nil {
			shown.Error = d.Err.Error()
		}
		doc.Differences = append(doc.Differences, shown)
	})
	if err != nil {
		return err
	}
	doc.Questions, doc.Same, doc.Different, doc.Failed = done.Questions, done.Same, done.Different, done.Failed
	doc.MovesBuiltIn, doc.MovesPlugin = done.MovesBuiltIn, done.MovesPlugin
	return p.print(doc, func(s *screen) { showReplayed(s, doc) })
}

func showReplayed(s *screen, d pluginReplayed) {
	var rows [][]string
	for _, x := range d.Differences {
		choice := x.Plugin
		if x.Error != "" {
			choice = "error: " + x.Error
		}
		rows = append(rows, []string{x.Time.Format(time.RFC3339), fmt.Sprint(x.Epoch), x.App, x.Leader, x.BuiltIn, choice})
	}
	showList(s, "no differences", "TIME,EPOCH,APP,LEADER,BUILT-IN,PLUGIN", rows)
	if left := d.Different + d.Failed - len(rows); left > 0 {
		s.linef("and %d more", left)
	}
	s.gap()
	s.linef("%d questions: %d the same, %d different, %d failed", d.Questions, d.Same, d.Different, d.Failed)
	s.linef("moves away from the leader: %d by the built-in policy, %d by %s", d.MovesBuiltIn, d.MovesPlugin, d.Plugin)
}

package main

import (
	"fmt"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/host/plugin/scaffold"
)

// pluginNew is the JSON of plugin new.
type pluginNew struct {
	Dir   string   `json:"dir"`
	Files []string `json:"files"`
}

func (p *program) pluginNewCommand() *cobra.Command {
	var lang, kind, runtime, dir, sdk string
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Write the source of a new plugin",
		Long: "New writes a small plugin that builds and passes gchost plugin test, into a new folder: make\n" +
			"builds it, make test checks it. Change it from there.",
		Args: args("NAME"),
		RunE: func(_ *cobra.Command, argv []string) error {
			project := scaffold.Project{
				Name: argv[0], Lang: scaffold.Lang(lang), Kind: scaffold.Kind(kind), Runtime: manifest.Runtime(runtime), Version: release(thisVersion().Version),
			}
			if dir == "" {
				dir = argv[0]
			}
			if sdk != "" {
				abs, err := filepath.Abs(sdk)
				if err != nil {
					return fmt.Errorf("find --sdk: %w", err)
				}
				project.SDK = abs
			}
			files, err := scaffold.Write(dir, project)
			if err != nil {
				return err
			}
			return p.showNew(project, pluginNew{dir, files})
		},
	}
	c.Flags().StringVar(&lang, "lang", "go", "language: go, rust, c, assemblyscript")
	c.Flags().StringVar(&kind, "kind", "hook", "what it is: hook, placement, backend")
	c.Flags().StringVar(&runtime, "runtime", "", "wasm, or binary in go only (default wasm; binary for a backend in go)")
	c.Flags().StringVar(&dir, "dir", "", "folder to write to (default NAME)")
	c.Flags().StringVar(&sdk, "sdk", "", "folder with the source of go-cluster, in the place of a release, for go")
	return c
}

// release is the version of this program as go.mod can name it, "" for a build
// between releases.
func release(version string) string {
	if regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`).MatchString(version) {
		return version
	}
	return ""
}

func (p *program) showNew(project scaffold.Project, doc pluginNew) error {
	return p.print(doc, func(s *screen) {
		for _, f := range doc.Files {
			s.linef("%s", filepath.Join(doc.Dir, filepath.FromSlash(f)))
		}
		s.gap()
		s.linef("cd %s", doc.Dir)
		if project.Lang == scaffold.Go {
			s.linef("go mod tidy")
		}
		s.linef("make test")
	})
}

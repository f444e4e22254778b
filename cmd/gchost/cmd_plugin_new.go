package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

//go:embed templates
var templates embed.FS

// pluginKinds are the kinds of plugins that there are templates of.
const pluginKinds = "hook, placement, backend"

// project is what the templates of a plugin are filled with.
type project struct {
	Name   string // also the folder's
	Kind   string
	Go     string // version of the language
	SDK    string // version of go-cluster to require; "": the author gets one
	Source string // folder with the source of go-cluster, for a version that is not published
}

// pluginBegun is the JSON of plugin new.
type pluginBegun struct {
	Folder string   `json:"folder"`
	Files  []string `json:"files"`
}

func (p *program) pluginNewCommand() *cobra.Command {
	var kind, lang, source string
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Begin a plugin in a new folder",
		Long: "New writes a folder with a plugin that works: its manifest, its code, a test and a README\n" +
			"that says how to build and pack it.",
		Args: args("NAME"),
		RunE: func(_ *cobra.Command, argv []string) error {
			x := project{Name: argv[0], Kind: kind, Go: "1.26", SDK: publishedVersion(version())}
			if err := checkProject(x, lang); err != nil {
				return err
			}
			if source != "" {
				abs, err := filepath.Abs(source)
				if err != nil {
					return fmt.Errorf("find source: %w", err)
				}
				x.SDK, x.Source = "v0.0.0", strconv.Quote(filepath.ToSlash(abs))
			}
			doc, err := x.write()
			if err != nil {
				return err
			}
			return p.print(doc, func(s *screen) { s.linef("OK  %s: see README.md there", doc.Folder) })
		},
	}
	c.Flags().StringVar(&kind, "kind", "hook", pluginKinds)
	c.Flags().StringVar(&lang, "lang", "go", "language: go")
	c.Flags().StringVar(&source, "source", "", "folder with the source of go-cluster, in place of a published version")
	return c
}

func checkProject(x project, lang string) error {
	if err := pluginapi.CheckName("plugin", x.Name); err != nil {
		return err
	}
	switch {
	case len(x.Name) > 50:
		return usagef("the name %s has %d letters: 50 at most, because the names of commands are made of it", x.Name, len(x.Name))
	case lang != "go":
		return usagef("--lang %s: there is go; for other languages see docs/plugin-abi.md", lang)
	case !slices.Contains(strings.Split(pluginKinds, ", "), x.Kind):
		return usagef("--kind %s: there are %s", x.Kind, pluginKinds)
	}
	return nil
}

// publishedVersion returns a version that can be required, or "".
func publishedVersion(v string) string {
	if regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`).MatchString(v) {
		return v
	}
	return ""
}

// write makes the folder. One that is there is left alone.
func (x project) write() (pluginBegun, error) {
	files := map[string][]byte{}
	for _, from := range []string{"templates/go/common", "templates/go/" + x.Kind} {
		if err := x.fill(files, from); err != nil {
			return pluginBegun{}, err
		}
	}
	err := os.Mkdir(x.Name, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return pluginBegun{}, usagef("%s is there already: name a new folder", x.Name)
	}
	if err != nil {
		return pluginBegun{}, fmt.Errorf("begin plugin: %w", err)
	}
	doc := pluginBegun{Folder: x.Name}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(x.Name, name), text, 0o644); err != nil {
			return pluginBegun{}, errors.Join(fmt.Errorf("begin plugin: %w", err), os.RemoveAll(x.Name))
		}
		doc.Files = append(doc.Files, name)
	}
	slices.Sort(doc.Files)
	return doc, nil
}

// fill makes files of the templates of a folder.
func (x project) fill(files map[string][]byte, from string) error {
	entries, err := templates.ReadDir(from)
	if err != nil {
		return fmt.Errorf("read templates: %w", err)
	}
	for _, e := range entries {
		t, err := template.ParseFS(templates, path.Join(from, e.Name()))
		if err != nil {
			return fmt.Errorf("read template %s: %w", e.Name(), err)
		}
		var b bytes.Buffer
		if err := t.Execute(&b, x); err != nil {
			return fmt.Errorf("fill template %s: %w", e.Name(), err)
		}
		name := strings.TrimSuffix(e.Name(), ".tmpl")
		if name == "gitignore" {
			name = ".gitignore"
		}
		files[name] = b.Bytes()
	}
	return nil
}

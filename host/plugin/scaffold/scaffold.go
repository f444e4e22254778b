package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/template"

	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Lang is a language that plugins are written in.
type Lang string

// The languages.
const (
	Go             Lang = "go"
	Rust           Lang = "rust"
	C              Lang = "c"
	AssemblyScript Lang = "assemblyscript"
)

// Langs lists the languages.
func Langs() []Lang { return []Lang{Go, Rust, C, AssemblyScript} }

// Kind is the contract of a plugin.
type Kind = wire.Contract

// Kinds lists the contracts.
func Kinds() []Kind {
	return []Kind{wire.ContractHook, wire.ContractPlacement, wire.ContractBackend}
}

// Project says what is written.
type Project struct {
	Name    string // of the plugin, as pluginapi.CheckName allows
	Lang    Lang
	Kind    Kind
	Runtime manifest.Runtime // Binary for Go only; "": WASM, and Binary for a backend in Go
	// SDK is a folder with the source of go-cluster, for a Go project that is to be
	// built against it in the place of a release; "": none.
	SDK string
	// Version is the release that a Go project needs; "": the newest.
	Version string
}

// every file of the templates ends with this, so that the go command takes none
// of them for a part of this module.
const suffix = ".tmpl"

//go:embed all:templates
var templates embed.FS

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{pluginapi.ErrInvalid}, args...)...)
}

func check(p Project) error {
	if err := pluginapi.CheckName("plugin", p.Name); err != nil {
		return err
	}
	switch {
	case !slices.Contains(Langs(), p.Lang):
		return invalid("language %q: there are %s, %s, %s and %s", p.Lang, Go, Rust, C, AssemblyScript)
	case !slices.Contains(Kinds(), p.Kind):
		return invalid("kind %q: there are %s, %s and %s", p.Kind, wire.ContractHook, wire.ContractPlacement, wire.ContractBackend)
	case p.Runtime != manifest.WASM && p.Runtime != manifest.Binary:
		return invalid("runtime %q: there are %s and %s", p.Runtime, manifest.WASM, manifest.Binary)
	case p.Runtime == manifest.Binary && p.Lang != Go:
		return invalid("a binary in %s: a project of a binary is written in %s only", p.Lang, Go)
	case p.SDK != "" && p.Lang != Go:
		return invalid("a folder of the SDK is for %s only", Go)
	case strings.ContainsAny(p.SDK, "\n\"`"):
		return invalid("the folder of the SDK has a name that go.mod cannot have")
	}
	return nil
}

// Files returns the files of a project: text by path, with slashes.
//
// # Errors
//
// ErrInvalid for a name, a language, a kind or a runtime that does not exist, or
// not together.
func Files(p Project) (map[string]string, error) {
	if p.Runtime == "" {
		p.Runtime = manifest.WASM
		if p.Lang == Go && p.Kind == wire.ContractBackend { // it can start something itself
			p.Runtime = manifest.Binary
		}
	}
	if err := check(p); err != nil {
		return nil, fmt.Errorf("make project: %w", err)
	}
	files := make(map[string]string)
	base := path.Join("templates", string(p.Lang)+"-"+string(p.Runtime))
	for _, dir := range []string{"templates/all", path.Join(base, "all"), path.Join(base, string(p.Kind))} {
		if err := render(dir, p, files); err != nil {
			return nil, fmt.Errorf("make project: %w", err)
		}
	}
	return files, nil
}

// render fills in the templates of one folder; a later one replaces files of an
// earlier one.
func render(dir string, p Project, files map[string]string) error {
	return fs.WalkDir(templates, dir, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == dir { // nothing in common, or nothing special
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		text, err := templates.ReadFile(name)
		if err != nil {
			return err
		}
		t, err := template.New(name).Delims("<%", "%>").Option("missingkey=error").Parse(string(text))
		if err != nil {
			return err
		}
		var out bytes.Buffer
		if err := t.Execute(&out, facts(p)); err != nil {
			return err
		}
		to := strings.TrimSuffix(strings.TrimPrefix(name, dir+"/"), suffix)
		files[strings.ReplaceAll(to, "NAME", p.Name)] = out.String()
		return nil
	})
}

// facts are what templates know.
func facts(p Project) map[string]string {
	file := p.Name
	if p.Runtime == manifest.WASM {
		file += ".wasm"
	}
	return map[string]string{
		"Name": p.Name, "Kind": string(p.Kind), "Runtime": string(p.Runtime), "File": file, "Lang": string(p.Lang),
		"NameLen": fmt.Sprintf("%02x", len(p.Name)), "OS": runtime.GOOS, "Arch": runtime.GOARCH,
		"SDK": filepath.ToSlash(p.SDK), "Version": p.Version, "GoVersion": goVersion(),
	}
}

// goVersion is the language version that a project needs: that of this build,
// which the SDK was tested with.
func goVersion() string {
	v := strings.TrimPrefix(runtime.Version(), "go")
	if i := strings.Index(v, "."); i > 0 {
		if j := strings.IndexAny(v[i+1:], ". -"); j >= 0 {
			return v[:i+1+j]
		}
	}
	return v
}

// Write writes a project into a folder, which must not be there or be empty. It
// returns the names of the files, sorted.
//
// # Errors
//
// Those of [Files]; ErrInvalid for a folder that has something in it.
func Write(dir string, p Project) ([]string, error) {
	files, err := Files(p)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make project: %w", err)
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("make project: %w", err)
	}
	if len(there) > 0 {
		return nil, fmt.Errorf("make project: %w: %s has something in it: name another folder", pluginapi.ErrInvalid, dir)
	}
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return nil, fmt.Errorf("make project: %w", err)
		}
		if err := os.WriteFile(to, []byte(files[name]), 0o644); err != nil {
			return nil, fmt.Errorf("make project: %w", err)
		}
	}
	return names, nil
}

package cluster_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// houseFile is one text file of the house. A Go file has its syntax too, unless
// it lies in a testdata folder.
type houseFile struct {
	path string // from the module's root, with slashes
	text string
	fset *token.FileSet
	ast  *ast.File
}

func (f houseFile) room() string { return path.Dir(f.path) }

func (f houseFile) isGo() bool { return f.ast != nil }

func (f houseFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// isCode says whether the file is Go that ships: most rules are for it.
func (f houseFile) isCode() bool { return f.isGo() && !f.isTest() }

func (f houseFile) line(p token.Pos) int { return f.fset.Position(p).Line }

// fault puts the place before what is wrong there.
func (f houseFile) fault(p token.Pos, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: %s", f.path, f.line(p), fmt.Sprintf(format, args...))
}

func (f houseFile) imports() (paths []string) {
	for _, spec := range f.ast.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// mentions hands on each use of one imported package below a node, under
// whatever name the file imports it.
func (f houseFile) mentions(root ast.Node, pkg string, each func(*ast.SelectorExpr)) {
	name := path.Base(pkg)
	for _, spec := range f.ast.Imports {
		if spec.Path.Value == strconv.Quote(pkg) && spec.Name != nil {
			name = spec.Name.Name
		}
	}
	if !slices.Contains(f.imports(), pkg) {
		return
	}
	ast.Inspect(root, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == name {
				each(sel)
			}
		}
		return true
	})
}

// readTree reads every text file below the module's root that belongs to the
// project: no build output, nothing of git.
func readTree(t *testing.T) (files []houseFile) {
	t.Helper()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{".git", ".run", "bin"}, p) {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || p == ".git" /* of a worktree */ || strings.HasSuffix(p, ".test") || strings.HasSuffix(p, ".out") {
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if !slices.Contains(b, 0) {
			files = append(files, parseHouseFile(t, filepath.ToSlash(p), string(b)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// readHouse reads the Go files of this module.
func readHouse(t *testing.T) []houseFile {
	t.Helper()
	files := readTree(t)
	var others []string // folders of other modules
	for _, f := range files {
		if path.Base(f.path) == "go.mod" && f.room() != "." {
			others = append(others, f.room()+"/...")
		}
	}
	return slices.DeleteFunc(files, func(f houseFile) bool {
		return !f.isGo() || slices.ContainsFunc(others, func(o string) bool { return covers(o, f.room()) })
	})
}

func parseHouseFile(t *testing.T, p, text string) houseFile {
	t.Helper()
	f := houseFile{path: p, text: text}
	if !strings.HasSuffix(p, ".go") || slices.Contains(strings.Split(p, "/"), "testdata") {
		return f
	}
	f.fset = token.NewFileSet()
	file, err := parser.ParseFile(f.fset, p, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Errorf("parse %s: %v", p, err)
		return f
	}
	f.ast = file
	return f
}

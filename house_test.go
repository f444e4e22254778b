package cluster_test

import (
	"go/ast"
	"go/format"
	"go/token"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	maxFileLines = 400
	maxFuncLines = 60
)

// houseRule is one rule of the house: what it looks for, and plants: small
// houses that break it and small houses that keep it.
type houseRule struct {
	name  string
	check func([]houseFile) []string
	bad   []plant
	good  []plant
}

// plant is a small house: the text of each file by its path.
type plant map[string]string

// TestHouse holds the whole tree to the rules.
func TestHouse(t *testing.T) {
	files := readTree(t)
	for _, r := range houseRules() {
		t.Run(r.name, func(t *testing.T) {
			for _, fault := range r.check(files) {
				t.Error(fault)
			}
		})
	}
	t.Run("every exception is needed", func(t *testing.T) {
		for name, reason := range allowedVars {
			if reason == "" || !slices.ContainsFunc(files, func(f houseFile) bool { return declares(f, name) }) {
				t.Errorf("allowedVars: %q (%s) is not in the tree any more, or has no reason", name, reason)
			}
		}
	})
}

// TestHouseFindsPlants proves that each rule can fail, and that it lets pass
// what is allowed.
func TestHouseFindsPlants(t *testing.T) {
	for _, r := range houseRules() {
		t.Run(r.name, func(t *testing.T) {
			if len(r.bad) == 0 || len(r.good) == 0 {
				t.Fatal("a rule needs a plant that breaks it and one that keeps it")
			}
			for _, p := range r.bad {
				if faults := r.check(p.files(t)); len(faults) == 0 {
					t.Errorf("not found: %v", p)
				}
			}
			for _, p := range r.good {
				if faults := r.check(p.files(t)); len(faults) > 0 {
					t.Errorf("refused %v: %v", p, faults)
				}
			}
		})
	}
}

func (p plant) files(t *testing.T) (files []houseFile) {
	for name, text := range p {
		files = append(files, parseHouseFile(t, name, text))
	}
	slices.SortFunc(files, func(a, b houseFile) int { return strings.Compare(a.path, b.path) })
	return files
}

func eachFile(want func(houseFile) bool, check func(houseFile) []string) func([]houseFile) []string {
	return func(files []houseFile) (faults []string) {
		for _, f := range files {
			if want(f) {
				faults = append(faults, check(f)...)
			}
		}
		return faults
	}
}

func anyFile(houseFile) bool { return true }

// checkInit: registration is a list in code, never an init.
func checkInit(f houseFile) (faults []string) {
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			faults = append(faults, f.fault(fn.Pos(), "func init: register by a list in code"))
		}
	}
	return faults
}

// clocks are the functions that read a clock or start one, by package.
var clocks = map[string][]string{
	"time":    {"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"},
	"context": {"WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause", "AfterFunc"},
}

// checkPure: a pure room decides; it has no goroutine, no clock, no lock.
func checkPure(files []houseFile) (faults []string) {
	law, err := os.Open("LAYOUT.txt")
	if err != nil {
		return []string{err.Error()}
	}
	defer law.Close()
	laws, err := readLaws(law)
	if err != nil {
		return []string{err.Error()}
	}
	for _, f := range files {
		if l, ok := lawOf(laws, f.room()); !ok || !l.pure || !f.isCode() {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				faults = append(faults, f.fault(n.Pos(), "goroutine in a pure room: return an effect"))
			case *ast.SelectStmt:
				faults = append(faults, f.fault(n.Pos(), "select in a pure room: take an input, return an effect"))
			}
			return true
		})
		for pkg, names := range clocks {
			f.mentions(f.ast, pkg, func(sel *ast.SelectorExpr) {
				if slices.Contains(names, sel.Sel.Name) {
					faults = append(faults, f.fault(sel.Pos(), "%s.%s in a pure room: take the time as an argument", pkg, sel.Sel.Name))
				}
			})
		}
		for _, pkg := range []string{"sync", "sync/atomic"} {
			if slices.Contains(f.imports(), pkg) {
				faults = append(faults, f.fault(f.ast.Pos(), "%s in a pure room: one owner needs no lock", pkg))
			}
		}
	}
	return faults
}

// checkSize: one can read a function without scrolling and hold a file in mind.
func checkSize(f houseFile) (faults []string) {
	if n := strings.Count(f.text, "\n"); n > maxFileLines {
		faults = append(faults, f.fault(f.ast.Package, "the file has %d lines, allowed are %d", n, maxFileLines))
	}
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			if n := f.line(fn.End()) - f.line(fn.Pos()) + 1; n > maxFuncLines {
				faults = append(faults, f.fault(fn.Pos(), "%s has %d lines, allowed are %d", fn.Name.Name, n, maxFuncLines))
			}
		}
	}
	return faults
}

// checkPackageDoc: each package is described once, in doc.go; a command may
// have its description in main.go.
func checkPackageDoc(files []houseFile) (faults []string) {
	docs := make(map[string]int)
	for _, f := range files {
		if !f.isCode() {
			continue
		}
		home := path.Base(f.path) == "doc.go" || path.Base(f.path) == "main.go" && f.ast.Name.Name == "main"
		docs[f.room()] += 0
		switch has := f.ast.Doc.Text() != ""; {
		case has && home:
			docs[f.room()]++
		case has:
			faults = append(faults, f.fault(f.ast.Package, "package doc outside of doc.go"))
		}
	}
	for room, n := range docs {
		if n != 1 {
			faults = append(faults, room+": the package has "+[]string{"no doc", "", "two docs"}[min(n, 2)]+": describe it once, in doc.go")
		}
	}
	slices.Sort(faults)
	return faults
}

// checkDocs: each exported name says what it is.
func checkDocs(f houseFile) (faults []string) {
	need := func(id *ast.Ident, docs ...*ast.CommentGroup) {
		if !id.IsExported() || slices.ContainsFunc(docs, func(d *ast.CommentGroup) bool { return d.Text() != "" }) {
			return
		}
		faults = append(faults, f.fault(id.Pos(), "exported %s has no doc comment", id.Name))
	}
	for _, d := range f.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || ast.IsExported(receiver(d)) {
				need(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					need(s.Name, s.Doc, s.Comment, d.Doc)
				case *ast.ValueSpec:
					for _, id := range s.Names {
						need(id, s.Doc, s.Comment, d.Doc)
					}
				}
			}
		}
	}
	return faults
}

// receiver is the name of the type that a method belongs to.
func receiver(fn *ast.FuncDecl) string {
	for t := fn.Recv.List[0].Type; ; {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// checkNames: a package is named after what lives in it.
func checkNames(f houseFile) []string {
	empty := []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "shared", "types"}
	name := strings.TrimSuffix(f.ast.Name.Name, "_test")
	if slices.Contains(empty, name) || slices.Contains(empty, path.Base(f.room())) {
		return []string{f.fault(f.ast.Name.Pos(), "package %s: name it after what lives in it", name)}
	}
	return nil
}

// checkSleep: who waits waits for a condition, with a context. Only inside of a
// bubble of synctest, where time is not real, a test may sleep.
func checkSleep(f houseFile) (faults []string) {
	bubbles := bubblesOf(f)
	f.mentions(f.ast, "time", func(sel *ast.SelectorExpr) {
		inside := slices.ContainsFunc(bubbles, func(b *ast.CallExpr) bool { return b.Pos() <= sel.Pos() && sel.Pos() < b.End() })
		if sel.Sel.Name == "Sleep" && !inside {
			faults = append(faults, f.fault(sel.Pos(), "time.Sleep: wait for what you wait for, with a context"))
		}
	})
	return faults
}

// bubblesOf returns the calls of synctest.Test, and those of functions of the
// same file that take a function and call synctest.Test themselves.
func bubblesOf(f houseFile) (bubbles []*ast.CallExpr) {
	makes := func(n ast.Node) (is bool) {
		f.mentions(n, "testing/synctest", func(sel *ast.SelectorExpr) { is = is || sel.Sel.Name == "Test" })
		return is
	}
	var makers []string
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil && fn.Recv == nil && makes(fn.Body) &&
			slices.ContainsFunc(fn.Type.Params.List, func(p *ast.Field) bool { _, is := p.Type.(*ast.FuncType); return is }) {
			makers = append(makers, fn.Name.Name)
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			id, named := call.Fun.(*ast.Ident)
			if makes(call.Fun) || named && slices.Contains(makers, id.Name) {
				bubbles = append(bubbles, call)
			}
		}
		return true
	})
	return bubbles
}

// checkErrors: an error says what was done ("open file: ..."), not that it failed.
func checkErrors(f houseFile) (faults []string) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && strings.Contains(lit.Value, "failed"+" to") {
			faults = append(faults, f.fault(lit.Pos(), "\"failed"+" to\": write verb noun: %%w"))
		}
		return true
	})
	return faults
}

// checkGofmt: gofmt's form is the form.
func checkGofmt(f houseFile) []string {
	out, err := format.Source([]byte(f.text))
	if err != nil {
		return []string{f.path + ": " + err.Error()}
	}
	if string(out) != f.text {
		return []string{f.path + ": run gofmt -w"}
	}
	return nil
}

// The words are put together here so that this file does not hold them.
var (
	unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	machine    = regexp.MustCompile(`(^|[^\w./-])/wo` + `rk/|/tmp/pl` + `an|proxy\.gol` + `ang|registry\.npm` + `js|deb\.deb` + `ian`)
	replacing  = regexp.MustCompile(`^\s*replace\b`)
)

// checkLines returns a check of every line of a file against a pattern.
func checkLines(pattern *regexp.Regexp, say string) func(houseFile) []string {
	return func(f houseFile) (faults []string) {
		n := 0
		for line := range strings.Lines(f.text) {
			if n++; pattern.MatchString(line) {
				faults = append(faults, (&token.Position{Filename: f.path, Line: n}).String()+": "+say)
			}
		}
		return faults
	}
}

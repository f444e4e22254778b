package cluster_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// allowedVars are the package-level variables that are allowed one by one, as
// room.name, each with its reason.
var allowedVars = map[string]string{
	"host/clock.start":          "where the system has no clock from boot on, the zero point of ours: set once, before main",
	"sdk-wasm.served":           "the exports of a WebAssembly module have no receiver: what they serve is set once, when the module starts",
	"host/core/election.Mutant": "the planted defect that is switched on; built with -tags mutant only",
}

var sentinelName = regexp.MustCompile(`^[eE]rr[A-Z]`)

// checkVars: no package-level state. Allowed at package level are "_", error
// sentinels (Err..., err...), compiled patterns and reflected types, embedded
// files, linknames of host/bus/embedded, tables (an unexported composite
// literal without functions that nothing in its package writes to), and what
// allowedVars lists.
func checkVars(files []houseFile) (faults []string) {
	for _, f := range files {
		if !f.isCode() {
			continue
		}
		for _, d := range f.ast.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.VAR {
				continue
			}
			for _, s := range decl.Specs {
				faults = append(faults, faultsOfVar(files, f, decl, s.(*ast.ValueSpec))...)
			}
		}
	}
	return faults
}

func faultsOfVar(files []houseFile, f houseFile, decl *ast.GenDecl, spec *ast.ValueSpec) (faults []string) {
	if hasDirective("//go:embed ", decl.Doc, spec.Doc) {
		return nil
	}
	if hasDirective("//go:linkname ", decl.Doc, spec.Doc) && f.room() == "host/bus/embedded" {
		return nil
	}
	for i, id := range spec.Names {
		var value ast.Expr
		if i < len(spec.Values) {
			value = spec.Values[i]
		}
		_, allowed := allowedVars[f.room()+"."+id.Name]
		switch {
		case allowed, id.Name == "_", sentinelName.MatchString(id.Name), isFixed(f, value):
		case isTable(spec, value) && !id.IsExported():
			for _, g := range files {
				if g.isCode() && g.room() == f.room() {
					faults = append(faults, writes(g, id.Name)...)
				}
			}
		default:
			faults = append(faults, f.fault(id.Pos(), "package-level variable %s: give it an owner, or list it in allowedVars with a reason", id.Name))
		}
	}
	return faults
}

func hasDirective(directive string, docs ...*ast.CommentGroup) bool {
	for _, d := range docs {
		if d != nil && slices.ContainsFunc(d.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, directive) }) {
			return true
		}
	}
	return false
}

// isFixed says whether the value is a compiled pattern or a reflected type,
// constants in all but syntax.
func isFixed(f houseFile, value ast.Expr) (is bool) {
	if call, ok := value.(*ast.CallExpr); ok {
		f.mentions(call.Fun, "regexp", func(sel *ast.SelectorExpr) { is = sel.Sel.Name == "MustCompile" })
		f.mentions(call.Fun, "reflect", func(sel *ast.SelectorExpr) { is = is || sel.Sel.Name == "TypeFor" })
	}
	return is
}

// isTable says whether the value is a literal of data: no function in it, no
// pointer to it.
func isTable(spec *ast.ValueSpec, value ast.Expr) bool {
	lit, ok := value.(*ast.CompositeLit)
	if !ok || spec.Type != nil {
		return false
	}
	data := true
	ast.Inspect(lit, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.FuncLit, *ast.FuncType, *ast.ChanType, *ast.CallExpr:
			data = false
		}
		return data
	})
	return data
}

// writes finds what may change a variable: an assignment to it or to a part of
// it, an address taken, delete, clear, copy. It goes by the name alone, so a
// local variable of the same name counts: give it another.
func writes(f houseFile, name string) (faults []string) {
	check := func(e ast.Expr) {
		if root(e) == name {
			faults = append(faults, f.fault(e.Pos(), "the table %s is written to: a package-level table must not change", name))
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, e := range n.Lhs {
					check(e)
				}
			}
		case *ast.IncDecStmt:
			check(n.X)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				check(n.X)
			}
		case *ast.CallExpr:
			if fn, ok := n.Fun.(*ast.Ident); ok && slices.Contains([]string{"delete", "clear", "copy"}, fn.Name) && len(n.Args) > 0 {
				check(n.Args[0])
			}
		}
		return true
	})
	return faults
}

// root is the variable at the bottom of x.y[z]..., "" for none.
func root(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x.Name
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		default:
			return ""
		}
	}
}

func declares(f houseFile, name string) bool {
	if !f.isCode() {
		return false
	}
	for _, d := range f.ast.Decls {
		if decl, ok := d.(*ast.GenDecl); ok && decl.Tok == token.VAR {
			for _, s := range decl.Specs {
				if slices.ContainsFunc(s.(*ast.ValueSpec).Names, func(id *ast.Ident) bool { return f.room()+"."+id.Name == name }) {
					return true
				}
			}
		}
	}
	return false
}

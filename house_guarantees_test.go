package cluster_test

import (
	"fmt"
	"go/ast"
	"regexp"
	"slices"
	"strings"
)

const guaranteesFile = "docs/GUARANTEES.md"

var (
	guaranteeRow = regexp.MustCompile(`^\| (G\d+)\b`)
	namedTest    = regexp.MustCompile("`([\\w./-]+_test\\.go):((?:Test|Fuzz|Benchmark|Example)\\w*)")
)

// checkGuarantees: each promise names a test, and each test that the page
// names is in the tree.
func checkGuarantees(files []houseFile) (faults []string) {
	i := slices.IndexFunc(files, func(f houseFile) bool { return f.path == guaranteesFile })
	if i < 0 {
		return []string{guaranteesFile + " is missing"}
	}
	n, promised := 0, true
	for line := range strings.Lines(files[i].text) {
		n++
		if strings.HasPrefix(line, "## ") {
			promised = !strings.HasPrefix(line, "## Not promised")
		}
		tests := namedTest.FindAllStringSubmatch(line, -1)
		if row := guaranteeRow.FindStringSubmatch(line); row != nil && promised && len(tests) == 0 {
			faults = append(faults, fmt.Sprintf("%s:%d: %s has no test: it is not promised yet", guaranteesFile, n, row[1]))
		}
		for _, m := range tests {
			if !slices.ContainsFunc(files, func(f houseFile) bool { return f.path == m[1] && hasFunc(f, m[2]) }) {
				faults = append(faults, fmt.Sprintf("%s:%d: there is no %s in %s", guaranteesFile, n, m[2], m[1]))
			}
		}
	}
	return faults
}

func hasFunc(f houseFile, name string) bool {
	return f.isGo() && slices.ContainsFunc(f.ast.Decls, func(d ast.Decl) bool {
		fn, ok := d.(*ast.FuncDecl)
		return ok && fn.Recv == nil && fn.Name.Name == name
	})
}

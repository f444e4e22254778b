package observe_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/observe"
)

// TestDocs: docs/health-and-metrics.md lists each figure that is declared, with
// its labels, and no other.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/health-and-metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented, declared []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(gc_\\w+)` \\| \\w+ \\| ([^|]*)\\|").FindAllStringSubmatch(string(page), -1) {
		labels := strings.Split(strings.TrimSpace(row[2]), ", ")
		documented = append(documented, row[1]+" "+strings.Join(labels, ","))
	}
	desc := regexp.MustCompile(`fqName: "(\w+)".*variableLabels: \{([^}]*)\}`)
	for _, d := range observe.Declared(&fake{}) {
		m := desc.FindStringSubmatch(d)
		if m == nil {
			t.Fatalf("cannot read %s", d)
		}
		declared = append(declared, m[1]+" "+m[2])
	}
	slices.Sort(documented)
	slices.Sort(declared)
	if !slices.Equal(documented, declared) {
		t.Errorf("documented\n%s\ndeclared\n%s", strings.Join(documented, "\n"), strings.Join(declared, "\n"))
	}
}

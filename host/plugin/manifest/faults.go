package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// maxFaults is how many mistakes are told one by one.
const maxFaults = 50

// Fault is one mistake in a manifest.
type Fault struct {
	Line int    // of plugin.yaml, from 1; 0 when it is about the whole
	Key  string // the full path of the key: "limits.memory", "capabilities[2]"
	Text string // what is wrong, and how to mend it
}

// Where is the file and the line: "plugin.yaml:3".
func (f Fault) Where() string {
	if f.Line == 0 {
		return FileName
	}
	return fmt.Sprintf("%s:%d", FileName, f.Line)
}

// Error is the fault in one line.
func (f Fault) Error() string {
	if f.Key == "" {
		return f.Where() + ": " + f.Text
	}
	return f.Where() + ": " + f.Key + ": " + f.Text
}

// Unwrap makes every fault an [pluginapi.ErrInvalid].
func (Fault) Unwrap() error { return pluginapi.ErrInvalid }

// Faults are all mistakes of a manifest, in the order of their lines.
type Faults []Fault

// Error lists the faults, one a line.
func (fs Faults) Error() string {
	lines := make([]string, 0, len(fs))
	for _, f := range fs {
		lines = append(lines, f.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the faults as errors.
func (fs Faults) Unwrap() (errs []error) {
	for _, f := range fs {
		errs = append(errs, f)
	}
	return errs
}

// err is fs as an error, nil if there is no fault.
func (fs Faults) err() error {
	if len(fs) == 0 {
		return nil
	}
	slices.SortStableFunc(fs, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	if more := len(fs) - maxFaults; more > 0 {
		fs = append(fs[:maxFaults:maxFaults], Fault{Text: fmt.Sprintf("%d more mistakes", more)})
	}
	return fs
}

// nearest returns the word of a list that a misspelt one most likely meant.
func nearest(word string, list []string) (best string, ok bool) {
	if len(word) > 64 {
		return "", false
	}
	least := max(2, len(word)/3) + 1
	for _, w := range list {
		if d := distance(strings.ToLower(word), w); d < least && d < max(len(word), len(w)) {
			best, least = w, d
		}
	}
	return best, best != ""
}

// distance is the number of letters to insert, delete or change to make a of b
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(row[j]+1, corner+1, change)
		}
	}
	return row[len(b)]
}

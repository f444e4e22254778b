package main

import (
	"cmp"
	"slices"
	"strings"
)

// Fault is one mistake in the configuration: where it stands, which key it is
// about, and what is wrong with it or how to mend it.
type Fault struct {
	Where string // a file and its line, a variable, a flag; "" when nothing was set
	Key   string // the full path of the key; "" when it is about the whole
	Text  string

	order int // line of the file; faults of the environment and the flags come behind
	about []string
}

// Error is the fault in one line.
func (f Fault) Error() string {
	var parts []string
	for _, p := range []string{f.Where, f.Key, f.Text} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ": ")
}

// Faults are all mistakes of a configuration, in the order in which they stand
// there.
type Faults []Fault

// Error lists all faults, one a line.
func (fs Faults) Error() string {
	lines := make([]string, 0, len(fs))
	for _, f := range fs {
		lines = append(lines, f.Error())
	}
	return strings.Join(lines, "\n")
}

// err is fs as an error: nil if there are no faults.
func (fs Faults) err() error {
	if len(fs) == 0 {
		return nil
	}
	slices.SortStableFunc(fs, func(a, b Fault) int { return cmp.Compare(a.order, b.order) })
	return fs
}

// touches says whether one of the faults is about the key, a key around it, or
// a key inside it: what else is wrong there may only follow from that.
func (fs Faults) touches(key string) bool {
	return slices.ContainsFunc(fs, func(f Fault) bool {
		return slices.ContainsFunc(append(f.about, f.Key), func(k string) bool {
			return k == key || inside(k, key) || inside(key, k)
		})
	})
}

// inside says whether key is a part of what outer names.
func inside(key, outer string) bool {
	rest, ok := strings.CutPrefix(key, outer)
	return ok && outer != "" && rest != "" && (rest[0] == '.' || rest[0] == '[')
}

// parent returns the key around key: "a.b[1].c" -> "a.b[1]" -> "a.b" -> "a" -> "".
func parent(key string) string {
	return key[:max(strings.LastIndexAny(key, ".["), 0)]
}

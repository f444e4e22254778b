package main

import (
	"fmt"
	"maps"
	"sort"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
)

// finder finds the line of a key in a YAML text. The parser does not tell; so
// it is asked which keys the first n lines have, for as many n as a binary
// search needs. There is one grammar only, the parser's.
type finder struct {
	text []byte
	ends []int                   // ends[n] is where the first n lines end
	bare []bool                  // bare[n]: line n is blank or a comment
	seen map[int]map[string]bool // what the first n lines have; nil if they are no whole text
}

func newFinder(text []byte) *finder {
	f := &finder{text: text, ends: []int{0}, bare: []bool{true}, seen: map[int]map[string]bool{0: {}}}
	for line := range strings.Lines(string(text)) {
		f.ends = append(f.ends, f.ends[len(f.ends)-1]+len(line))
		t := strings.TrimSpace(line)
		f.bare = append(f.bare, t == "" || t[0] == '#')
	}
	return f
}

// line returns the line of a key, or 0 if there is no such key. A key in
// brackets that span lines has the line at which they begin.
func (f *finder) line(path string) int {
	last := len(f.ends) - 1
	n := sort.Search(last+1, func(n int) bool { return f.upTo(n)[path] })
	if n > last {
		return 0
	}
	begin := f.whole(n-1) + 1
	for f.bare[begin] {
		begin++
	}
	return begin
}

// upTo returns the keys in the longest whole text of at most n lines.
func (f *finder) upTo(n int) map[string]bool { return f.seen[f.whole(n)] }

// whole returns how many of the first n lines are a whole text.
func (f *finder) whole(n int) int {
	for ; ; n-- {
		has, known := f.seen[n]
		if !known {
			has = f.parse(n)
			f.seen[n] = has
		}
		if has != nil {
			return n
		}
	}
}

func (f *finder) parse(n int) map[string]bool {
	m, err := yaml.Parser().Unmarshal(f.text[:f.ends[n]])
	if err != nil {
		return nil
	}
	has := map[string]bool{}
	walk(m, "", has)
	return has
}

// walk collects the paths of all keys and list items of parsed YAML.
func walk(raw any, path string, has map[string]bool) {
	if path != "" {
		has[path] = true
	}
	switch v := raw.(type) {
	case map[string]any:
		for key := range maps.Keys(v) {
			walk(v[key], keyPath(path, key), has)
		}
	case map[any]any: // keys that are not text, which koanf makes text
		for key := range v {
			walk(v[key], keyPath(path, fmt.Sprint(key)), has)
		}
	case []any:
		for i, item := range v {
			walk(item, fmt.Sprintf("%s[%d]", path, i), has)
		}
	}
}

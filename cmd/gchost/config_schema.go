package main

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// setting is one key of the configuration that takes a value: everything but
// the sections around them.
type setting struct {
	path string // "nats.url", "apps[].backend.process.env"
	typ  reflect.Type
}

// schema lists every setting of a Config, in the order of its fields. A list
// of sections has the path "name[]".
func schema() []setting { return settings(reflect.TypeFor[Config](), "") }

func settings(t reflect.Type, path string) (out []setting) {
	switch {
	case t.Kind() == reflect.Pointer:
		return settings(t.Elem(), path)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return settings(t.Elem(), path+"[]")
	case t.Kind() != reflect.Struct:
		return []setting{{path, t}}
	}
	for f := range fields(t) {
		out = append(out, settings(f.Type, join(path, keyOf(f)))...)
	}
	return out
}

// fields ranges over the fields of a section.
func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

func keyOf(f reflect.StructField) string { return f.Tag.Get("key") }

// keys lists the keys of a section.
func keys(t reflect.Type) (out []string) {
	for f := range fields(t) {
		out = append(out, keyOf(f))
	}
	return out
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// inList says whether a setting stands in a list of sections, so that the
// environment and the flags cannot name it.
func (s setting) inList() bool { return strings.Contains(s.path, "[]") }

// variable is the name of the environment variable that sets it.
func (s setting) variable() string {
	return "GCHOST_" + strings.ToUpper(strings.ReplaceAll(s.path, ".", "__"))
}

// reachable says whether one variable can hold its value.
func (s setting) reachable() bool {
	return !s.inList() && (s.typ.Kind() != reflect.Slice)
}

var durationType = reflect.TypeFor[time.Duration]()

// nearest returns the one of the candidates that a misspelt word most likely
// meant: few letters apart, or the same but for a part at its begin or end.
func nearest(word string, candidates []string) (string, bool) {
	best, at := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), c); d < at && d < max(len(word), len(c)) {
			best, at = c, d
		}
	}
	if best != "" {
		return best, true
	}
	i := slices.IndexFunc(candidates, func(c string) bool { return partOf(c, word) || partOf(word, c) })
	if i < 0 || len(word) < 3 {
		return "", false
	}
	return candidates[i], true
}

// partOf says whether part is one of the words, joined by _, of whole, at its
// begin or end.
func partOf(part, whole string) bool {
	return strings.HasPrefix(whole, part+"_") || strings.HasSuffix(whole, "_"+part)
}

// elsewhere returns the paths of all keys that are called word.
func elsewhere(word string) (out []string) {
	for _, s := range schema() {
		if s.path[strings.LastIndexByte(s.path, '.')+1:] == word {
			out = append(out, s.path)
		}
	}
	return out
}

// settingOf returns the path that a key in one word stands for: "nats.url" or,
// as in older configurations, "nats_url".
func settingOf(key string) string {
	for _, s := range schema() {
		if strings.Contains(s.path, ".") && (s.path == key || strings.ReplaceAll(s.path, ".", "_") == key) {
			return s.path
		}
	}
	return ""
}

// distance is the number of letters to insert, delete, change or swap with the
// next to make a of b.
func distance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}

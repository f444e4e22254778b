package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// decoder writes what a file, the environment or the flags say into a Config,
// and notes every fault instead of stopping at the first.
type decoder struct {
	faults   Faults
	set      []string // the paths of the settings that it wrote
	sections []string // the paths of what it found around them
}

// presets is a section whose fields have defaults other than zero.
type presets interface{ setDefaults() }

// value writes raw, as it came from YAML, to where it belongs.
func (d *decoder) value(to reflect.Value, raw any, path string) {
	t := to.Type()
	switch {
	case t == reflect.TypeFor[Settings]():
		d.settings(to, raw, path)
	case t.Kind() == reflect.Pointer:
		d.pointer(to, raw, path)
	case t.Kind() == reflect.Struct:
		d.section(to, raw, path)
	case t.Kind() == reflect.Slice:
		d.list(to, raw, path)
	case t.Kind() == reflect.Map:
		d.texts(to, raw, path)
	case raw == nil:
		d.fault(path, "has no value: give one, or leave the key out")
	default:
		d.scalar(to, raw, path)
	}
}

// settings keeps what is written for a plugin, whatever that is.
func (d *decoder) settings(to reflect.Value, raw any, path string) {
	if _, ok := raw.(map[string]any); !ok {
		d.fault(path, "is %s, want a section with the keys of the plugin", kind(raw))
		return
	}
	text, err := json.Marshal(raw)
	if err != nil {
		d.fault(path, "cannot be told to a plugin: use text, numbers, true and false, lists and sections")
		return
	}
	to.SetString(string(text))
	d.set = append(d.set, path)
}

func (d *decoder) pointer(to reflect.Value, raw any, path string) {
	to.Set(reflect.New(to.Type().Elem()))
	if p, ok := to.Interface().(presets); ok {
		p.setDefaults()
	}
	d.value(to.Elem(), raw, path)
}

func (d *decoder) section(to reflect.Value, raw any, path string) {
	if raw == nil {
		return
	}
	d.sections = append(d.sections, path)
	m, ok := raw.(map[string]any)
	if !ok {
		d.fault(path, "is %s, want a section with %s", kind(raw), strings.Join(keys(to.Type()), ", "))
		return
	}
	fieldOf := map[string]int{}
	for i := range to.NumField() {
		fieldOf[keyOf(to.Type().Field(i))] = i
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if i, ok := fieldOf[key]; ok {
			d.value(to.Field(i), m[key], join(path, key))
			continue
		}
		d.unknown(to.Type(), path, key)
	}
}

// unknown notes a key that does not exist, and what may have been meant.
func (d *decoder) unknown(t reflect.Type, path, key string) {
	f := Fault{Key: keyPath(path, key)}
	switch near, ok := nearest(key, keys(t)); {
	case settingOf(key) != "":
		f.Text = fmt.Sprintf("unknown key here: the one for it is %q, each dot a level", settingOf(key))
	case ok:
		f.Text = fmt.Sprintf("unknown key: did you mean %q?", near)
		f.about = []string{join(path, near)}
	case len(elsewhere(key)) > 0 && len(elsewhere(key)) < 3:
		f.Text = `unknown key here: did you mean "` + strings.Join(elsewhere(key), `" or "`) + `", each dot a level?`
	default:
		f.Text = "unknown key: there are " + strings.Join(keys(t), ", ")
	}
	d.faults = append(d.faults, f)
}

func (d *decoder) list(to reflect.Value, raw any, path string) {
	if raw == nil {
		return
	}
	list, ok := raw.([]any)
	if !ok {
		d.fault(path, "is %s, want a list", kind(raw))
		return
	}
	to.Set(reflect.MakeSlice(to.Type(), len(list), len(list)))
	for i, raw := range list {
		item, at := to.Index(i), fmt.Sprintf("%s[%d]", path, i)
		if p, ok := item.Addr().Interface().(presets); ok {
			p.setDefaults()
		}
		if raw == nil {
			d.fault(at, "has no value: give one, or take the line out")
			continue
		}
		d.value(item, raw, at)
	}
	d.set = append(d.set, path)
}

// texts fills a map of texts: labels, the environment of a process.
func (d *decoder) texts(to reflect.Value, raw any, path string) {
	if raw == nil {
		return
	}
	d.sections = append(d.sections, path)
	m, ok := raw.(map[string]any)
	if !ok {
		d.fault(path, "is %s, want keys with values", kind(raw))
		return
	}
	out := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		var text string
		d.value(reflect.ValueOf(&text).Elem(), m[key], keyPath(path, key))
		out[key] = text
	}
	to.Set(reflect.ValueOf(out))
}

func (d *decoder) scalar(to reflect.Value, raw any, path string) {
	text, isText := raw.(string)
	switch {
	case to.Type() == durationType:
		d.duration(to, raw, path)
	case to.Kind() == reflect.String && isText:
		to.SetString(text)
	case to.Kind() == reflect.String && isMapOrList(raw):
		d.fault(path, "is %s, want text", kind(raw))
	case to.Kind() == reflect.String:
		d.fault(path, "is %s, want text: write it in quotes", kind(raw))
	case to.Kind() == reflect.Bool:
		if isText { // of the environment
			raw = map[string]any{"true": true, "false": false}[text]
		}
		on, ok := raw.(bool)
		if !ok {
			d.fault(path, "is neither true nor false")
			return
		}
		to.SetBool(on)
	case to.Kind() == reflect.Int:
		n, ok := raw.(int)
		if !ok {
			d.fault(path, "is %s, want a whole number", kind(raw))
			return
		}
		to.SetInt(int64(n))
	default:
		panic("config: no decoder for " + to.Type().String()) // a new kind of field needs one
	}
	d.set = append(d.set, path)
}

func (d *decoder) duration(to reflect.Value, raw any, path string) {
	text, ok := raw.(string)
	if !ok {
		d.fault(path, "is %s, want a duration with its unit: 3s, 500ms, 1m30s", kind(raw))
		return
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		d.fault(path, "%.40q is no duration: write a number and its unit, 3s, 500ms, 1m30s", text)
		return
	}
	to.SetInt(int64(v))
}

func (d *decoder) fault(path, format string, args ...any) {
	d.faults = append(d.faults, Fault{Key: path, Text: fmt.Sprintf(format, args...)})
}

// kind says in plain words what YAML made of a value, without the value: it
// may be a secret.
func kind(raw any) string {
	switch raw.(type) {
	case nil:
		return "empty"
	case string:
		return "text"
	case bool:
		return "true or false"
	case map[string]any:
		return "a section"
	case []any:
		return "a list"
	case time.Time:
		return "a date"
	}
	return "a number"
}

func isMapOrList(raw any) bool {
	switch raw.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

// keyPath is join for a key that a person chose: one that is not a plain word
// is quoted.
func keyPath(path, key string) string {
	for _, r := range key {
		if !plainKey(r) {
			return path + "[" + strconv.Quote(key) + "]"
		}
	}
	return join(path, key)
}

func plainKey(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-'
}

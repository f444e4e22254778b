package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// document is a Config, or a part of one, as it is shown: durations as text,
// secrets masked, empty keys left out, keys in their order.
type document []entry

type entry struct {
	key   string
	value any // string, int, []string, document or []document
}

// show returns the document of a Config.
func (c Config) show() document { return section(reflect.ValueOf(c)) }

func section(v reflect.Value) (d document) {
	i := 0
	for f := range fields(v.Type()) {
		if value := shown(v.Field(i), f.Tag.Get("mask") != ""); value != nil {
			d = append(d, entry{keyOf(f), value})
		}
		i++
	}
	return d
}

// shown returns a value as it is shown; nil if it is empty.
func shown(v reflect.Value, mask bool) any {
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return nil
	case v.Kind() == reflect.Pointer:
		return shown(v.Elem(), mask)
	case v.Kind() == reflect.Int:
		return int(v.Int())
	case v.IsZero():
		return nil
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		return short(x)
	case Secret:
		return x.String()
	case string:
		return redactURLs(x)
	case Settings:
		return string(x)
	case []string:
		return x
	case bool:
		return x
	case map[string]string:
		var d document
		for key, value := range sorted(x) {
			if mask {
				value = masked
			}
			d = append(d, entry{key, value})
		}
		return d
	}
	if v.Kind() == reflect.Slice {
		list := make([]document, 0, v.Len())
		for i := range v.Len() {
			list = append(list, section(v.Index(i)))
		}
		return list
	}
	if d := section(v); len(d) > 0 {
		return d
	}
	return nil
}

func redactURLs(s string) string {
	parts := strings.Split(s, ",")
	for i, p := range parts {
		if strings.Contains(p, "://") {
			parts[i] = redact(p)
		}
	}
	return strings.Join(parts, ",")
}

// yaml writes the document as YAML that Load reads again, masked secrets aside.
func (d document) yaml(b *strings.Builder, indent string) {
	for _, e := range d {
		fmt.Fprintf(b, "%s%s:", indent, plainOrQuoted(e.key))
		switch v := e.value.(type) {
		case document:
			b.WriteString("\n")
			v.yaml(b, indent+"  ")
		case []document:
			b.WriteString("\n")
			for _, item := range v {
				var inner strings.Builder
				item.yaml(&inner, indent+"    ")
				b.WriteString(indent + "  - " + strings.TrimPrefix(inner.String(), indent+"    "))
			}
		case string:
			b.WriteString(" " + plainOrQuoted(v) + "\n")
		case []string:
			quoted := make([]string, 0, len(v))
			for _, s := range v {
				quoted = append(quoted, strconv.Quote(s))
			}
			b.WriteString(" [" + strings.Join(quoted, ", ") + "]\n")
		default:
			fmt.Fprintf(b, " %v\n", v)
		}
	}
}

// plainOrQuoted writes a text as YAML that is read as that text: plain if it
// cannot be taken for anything else.
func plainOrQuoted(s string) string {
	plain := s != "" && !strings.Contains(" true false null yes no on off ", " "+strings.ToLower(s)+" ")
	for i, r := range s {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '/' || r == '_'
		if !letter && (i == 0 || !plainKey(r) && r != '.') {
			plain = false
		}
	}
	if _, err := time.ParseDuration(s); err == nil && s != "0" {
		plain = true
	}
	if plain {
		return s
	}
	return strconv.Quote(s) // YAML knows the same escapes
}

// MarshalJSON writes the document as a JSON object in the order of its keys.
func (d document) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	for i, e := range d {
		key, err := json.Marshal(e.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(e.value)
		if err != nil {
			return nil, err
		}
		b.WriteString(strings.Repeat(",", min(i, 1)))
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	return []byte("{" + b.String() + "}"), nil
}

// origin is one setting that is not a default, for a person.
type origin struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// origins lists the settings of the document that were given somewhere.
func (d document) origins(path string, o Origins) (list []origin) {
	for _, e := range d {
		at := keyPath(path, e.key)
		switch v := e.value.(type) {
		case document:
			list = append(list, v.origins(at, o)...)
		case []document:
			for i, item := range v {
				list = append(list, item.origins(fmt.Sprintf("%s[%d]", at, i), o)...)
			}
		default:
			if _, given := o.set[at]; given {
				text, ok := v.(string)
				if !ok {
					raw, _ := json.Marshal(v)
					text = string(raw)
				}
				list = append(list, origin{at, text, o.Of(at).Where})
			}
		}
	}
	return list
}

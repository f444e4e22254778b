package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// json reads a section as canonical JSON, see [Manifest.Canonical].
func (r *reader) json(to *json.RawMessage) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		if n.Kind != yaml.MappingNode {
			r.fault(n, key, "is %s, want a section", kindOf(n))
			return
		}
		before := len(r.faults)
		v := r.plainValue(n, key)
		if len(r.faults) > before {
			return
		}
		text, err := encode(v)
		switch {
		case err != nil:
			r.fault(n, key, "cannot be written as JSON: %v", err)
		case len(text) > MaxConfig:
			r.fault(n, key, "has %d bytes as JSON: the most is %d", len(text), MaxConfig)
		default:
			*to = text
		}
	}
}

// plainValue makes what encoding/json makes of JSON. Numbers are float64, or
// int64 and uint64 where they are whole.
func (r *reader) plainValue(n *yaml.Node, key string) any {
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			k := n.Content[i].Value
			out[k] = r.plainValue(n.Content[i+1], join(key, k))
		}
		return out
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for i, item := range n.Content {
			out = append(out, r.plainValue(item, fmt.Sprintf("%s[%d]", key, i)))
		}
		return out
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!str", "!!timestamp": // JSON has no dates
		return n.Value
	case "!!bool", "!!int", "!!float":
		var v any
		err := n.Decode(&v)
		if v, ok := number(v); ok && err == nil {
			return v
		}
	}
	r.fault(n, key, "is %.40q: JSON has no such value, write it in quotes", n.Value)
	return nil
}

// number brings a value to one of the types that encode writes in one way.
func number(v any) (any, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, false
		}
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v), true
		}
		return v, true
	case bool, int64, uint64:
		return v, true
	}
	return nil, false
}

// encode writes the canonical JSON of a value.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decodeJSON reads one JSON document strictly: keys are not repeated, numbers
// fit a float64, and nothing stands behind it.
//
// # Errors
//
// ErrInvalid or ErrTooLarge.
func decodeJSON(text []byte) (any, error) {
	if len(text) > MaxConfig {
		return nil, fmt.Errorf("%w: it has %d bytes: the most is %d", pluginapi.ErrTooLarge, len(text), MaxConfig)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := jsonValue(d, 0)
	if err == nil {
		if _, err = d.Token(); err == nil {
			err = fault("something stands behind the document")
		} else if err == io.EOF {
			err = nil
		}
	}
	if err == io.EOF {
		err = fault("it ends too early")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: it is not JSON that can be used: %w", pluginapi.ErrInvalid, err)
	}
	return v, nil
}

func fault(format string, args ...any) error { return faultText(fmt.Sprintf(format, args...)) }

type faultText string

func (f faultText) Error() string { return string(f) }

func jsonValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fault("it is more than %d levels deep", maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return jsonObject(d, depth)
		}
		return jsonList(d, depth)
	case json.Number:
		return jsonNumber(t)
	}
	return t, nil
}

func jsonObject(d *json.Decoder, depth int) (any, error) {
	out := map[string]any{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string) // the decoder lets nothing else through
		if _, twice := out[key]; twice {
			return nil, fault("the key %.80q stands there twice", key)
		}
		if out[key], err = jsonValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return out, err
}

func jsonList(d *json.Decoder, depth int) (any, error) {
	out := []any{}
	for d.More() {
		v, err := jsonValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := d.Token()
	return out, err
}

// jsonNumber keeps whole numbers whole.
func jsonNumber(n json.Number) (any, error) {
	if i, err := n.Int64(); err == nil {
		return i, nil
	}
	var u uint64
	if !strings.ContainsAny(n.String(), ".eE-") && json.Unmarshal([]byte(n), &u) == nil {
		return u, nil
	}
	f, err := n.Float64()
	if err != nil {
		return nil, fault("the number %.40q is too large", n.String())
	}
	v, _ := number(f)
	return v, nil
}

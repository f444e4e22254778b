package manifest

import (
	"errors"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// A config is checked in bounded time: what would take too long is refused, by
// itself and as the default config of a manifest that nobody has verified yet.
func TestCost(t *testing.T) {
	// Ten times the bound each, which is some ten seconds without it.
	list := func(n int) string { return `{"a":[` + strings.Repeat("0,", n-1) + `0]}` }
	branches := `{"properties":{"a":{"items":{"anyOf":[` + strings.Repeat(`{"const":"x"},`, 650) + `{"const":1}]}}}}`
	patterns := `{"properties":{"a":{"items":{"anyOf":[` + strings.Repeat(`{"pattern":"((a?){30}){10}x"},`, 10) + `{"const":1}]}}}}`
	long := `{"a":["` + strings.Repeat("a", 50_000) + `"]}`
	for _, c := range []struct {
		name, schema, config string
		want                 error
	}{
		{"many branches, many values", branches, list(700), pluginapi.ErrTooLarge},
		{"many branches, few values", branches, list(50), pluginapi.ErrInvalid},
		{"one branch, many values", `{"properties":{"a":{"items":{"type":"integer"}}}}`, list(10_000), nil},
		{"large patterns, long text", patterns, long, pluginapi.ErrTooLarge},
		{"large patterns, short text", patterns, `{"a":["aaa"]}`, pluginapi.ErrInvalid},
		{"large patterns in keys", strings.NewReplacer("PATTERN", "((a?){30}){10}x").Replace(`{"patternProperties":{"PATTERN":true,"PATTERNy":true}}`), `{"` + strings.Repeat("a", 50_000) + `":1}`, pluginapi.ErrTooLarge},
		{"a small pattern, long text", `{"properties":{"a":{"items":{"pattern":"^a*$"}}}}`, long, nil},
	} {
		m := Manifest{Name: "x", ConfigSchema: []byte(c.schema)}
		if err := m.CheckConfig([]byte(c.config)); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("%s: %.200v, want %v", c.name, err, c.want)
		}
	}
	head := "name: a\nversion: 1.0.0\ncontract: hook\nruntime: wasm\nabi: 1\nfile: a.wasm\n"
	if _, err := Parse([]byte(head + "config_schema: " + branches + "\nconfig: " + list(700) + "\n")); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("as a default config: %.200v", err)
	}
	if _, err := Parse([]byte(head + "config_schema: {properties: {a: {anyOf: [" + strings.Repeat("{pattern: '((a?){30}){10}x'},", 30) + "]}}}")); err == nil || !strings.Contains(err.Error(), "patterns are too large") {
		t.Errorf("a schema of large patterns: %.200v", err)
	}
}

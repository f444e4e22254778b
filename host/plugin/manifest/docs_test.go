package manifest

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// docs/plugins.md describes each key, limit, capability and event that there is,
// and no other; its example is a manifest.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text, -1) {
		if m, err := Parse([]byte(block[1])); err != nil {
			t.Error(err)
		} else if err := m.CheckConfig([]byte(`{"channel":"ops","tries":3}`)); err != nil {
			t.Error(err)
		}
	}
	rows := func(header string) map[string]bool {
		_, table, ok := strings.Cut(text, "\n| "+header+" |")
		if !ok {
			t.Fatalf("no table with %q", header)
		}
		table, _, _ = strings.Cut(table, "\n\n")
		out := map[string]bool{}
		for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(table, -1) {
			out[row[1]] = true
		}
		return out
	}
	same := func(what string, documented map[string]bool, there []string) {
		for _, k := range there {
			if !documented[k] {
				t.Errorf("%s %s is not documented", what, k)
			}
			delete(documented, k)
		}
		for k := range documented {
			t.Errorf("%s %s is documented and not there", what, k)
		}
	}
	same("key", rows("key"), jsonKeys(reflect.TypeFor[canonical]()))
	same("limit", rows("key of `limits`"), jsonKeys(reflect.TypeFor[limits]()))
	kinds := map[string]bool{}
	for example := range rows("capability") {
		c, err := capability.Parse(example)
		if err != nil {
			t.Error(err)
		}
		kinds[string(c.Kind())] = true
	}
	var there []string
	for _, k := range capability.Kinds() {
		there = append(there, string(k))
	}
	same("capability", kinds, there)
	for _, k := range pluginapi.HookKinds() {
		if !strings.Contains(text, "`"+string(k)+"`") {
			t.Errorf("event %s is not documented", k)
		}
	}
}

// jsonKeys are the keys of a part of the canonical form; a test holds that Parse
// reads it.
func jsonKeys(t reflect.Type) (keys []string) {
	for i := range t.NumField() {
		key, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		keys = append(keys, key)
	}
	return keys
}

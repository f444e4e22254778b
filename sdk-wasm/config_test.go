package sdk

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// TestConfig reads what is there, and takes the default for what is not.
func TestConfig(t *testing.T) {
	c, err := parseConfig([]byte(`{
		"url": "http://x/\u00e9\ud83d\ude00\n", "port": -12, "ratio": 2.5e-1, "on": true, "off": false, "none": null,
		"tags": ["a", "b"], "sub": {"deep": {"n": 7}}, "rules": [{"w": 1}, {"w": 2}], "empty": [], "text.dot": "x"
	}`))
	if err != nil {
		t.Fatal(err)
	}
	var weights []int64
	for _, r := range c.Subs("rules") {
		weights = append(weights, r.Int("w", 0))
	}
	got := []any{
		c.Text("url", ""), c.Text("missing", "def"), c.Text("none", "def"), c.Text("text.dot", ""),
		c.Int("port", 1), c.Int("missing", 3), c.Float("ratio", 0), c.Float("port", 0), c.Float("missing", 1.5),
		c.Bool("on", false), c.Bool("off", true), c.Bool("missing", true),
		c.Texts("tags"), c.Texts("empty"), c.Texts("missing"), weights,
		c.Sub("sub").Sub("deep").Int("n", 0), c.Sub("missing").Sub("more").Int("n", 9),
		c.Has("url"), c.Has("none"), c.Has("missing"), c.Sub("sub").Keys(),
	}
	want := []any{
		"http://x/é😀\n", "def", "def", "x",
		int64(-12), int64(3), 0.25, -12.0, 1.5,
		true, false, true,
		[]string{"a", "b"}, []string(nil), []string(nil), []int64{1, 2},
		int64(7), int64(9),
		true, false, false, []string{"deep"},
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("%d: got %#v, want %#v", i, got[i], want[i])
		}
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

// TestConfigFaults: what is not as it is read is told, with its place; the first
// of them counts.
func TestConfigFaults(t *testing.T) {
	for _, test := range []struct {
		json string
		read func(c *Config)
		want string
	}{
		{`{"a":1}`, func(c *Config) { c.Text("a", ""); c.Bool("a", true) }, "a: a string is expected, not a number"},
		{`{"a":"1"}`, func(c *Config) { c.Int("a", 0) }, "a: a number is expected, not a string"},
		{`{"a":1.0}`, func(c *Config) { c.Int("a", 0) }, "a: a whole number of 64 bits is expected, not 1.0"},
		{`{"a":9223372036854775808}`, func(c *Config) { c.Int("a", 0) }, "a whole number of 64 bits"},
		{`{"a":1e999}`, func(c *Config) { c.Float("a", 0) }, "a: the number is too large: 1e999"},
		{`{"s":{"t":{"a":[]}}}`, func(c *Config) { c.Sub("s").Sub("t").Bool("a", true) }, "s.t.a: true or false is expected, not a list"},
		{`{"r":[{"w":1},{"w":"x"}]}`, func(c *Config) {
			for _, r := range c.Subs("r") {
				r.Int("w", 0)
			}
		}, "r[1].w: a number is expected"},
		{`{"r":[1]}`, func(c *Config) { c.Subs("r") }, "r[0]: an object is expected, not a number"},
		{`{"r":["x",{}]}`, func(c *Config) { c.Texts("r") }, "r[1]: a string is expected, not an object"},
	} {
		c, err := parseConfig([]byte(test.json))
		if err != nil {
			t.Fatal(err)
		}
		test.read(c)
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.json, err, test.want)
		}
	}
	if _, err := parseConfig([]byte(deep(maxDepth - 1))); err != nil {
		t.Error(err)
	}
	for _, b := range []string{`[]`, `1`, `{"a":1,"a":2}`, `{`, `{"a"}`, `{} {}`, "\"\x01\"", `{"a":"\ud800"}`, deep(maxDepth + 1)} {
		if _, err := parseConfig([]byte(b)); err == nil {
			t.Errorf("taken: %.20s", b)
		}
	}
}

// deep is an object with so many lists in each other.
func deep(n int) string {
	return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}"
}

// tree is a value as encoding/json would give it.
func tree(v value) any {
	switch v.kind {
	case boolean:
		return v.text == "true"
	case number:
		return json.Number(v.text)
	case text:
		return v.text
	case list:
		all := []any{}
		for _, item := range v.items {
			all = append(all, tree(item))
		}
		return all
	case object:
		all := map[string]any{}
		for _, item := range v.items {
			all[item.name] = tree(item)
		}
		return all
	}
	return nil
}

// FuzzJSON: it reads what encoding/json reads, and nothing else, but for what it
// says that it refuses.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e+3,true,false,null,"x\u0041\\\/\b"],"b":{}}`, ` [ ] `, `"\ud83d\ude00"`, `0`, `-`, `01`, `1.`, `tru`, `[1,]`, `{"a":1,}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseJSON(b)
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.UseNumber()
		var want any
		wantErr := d.Decode(&want)
		if wantErr == nil && !json.Valid(b) {
			return // more behind the value
		}
		if err != nil {
			stricter := false
			for _, what := range []string{"twice", "surrogate", "UTF-8", "too many"} {
				stricter = stricter || strings.Contains(err.Error(), what)
			}
			if wantErr == nil && !stricter {
				t.Errorf("%q is refused: %v", b, err)
			}
			return
		}
		if wantErr != nil {
			t.Errorf("%q is taken, %v", b, wantErr)
		} else if !reflect.DeepEqual(tree(got), want) {
			t.Errorf("%q is read as %v, want %v", b, tree(got), want)
		}
	})
}

package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every key of the configuration is documented, with default and example, and
// no other is.
func TestConfigIsDocumented(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([a-z_.\\[\\]]+)` \\| (.*?) \\| (.*) \\|$")
	documented := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(readDoc(t, "config.md"), -1) {
		key, byDefault, meaning := m[1], m[2], m[3]
		if documented[key] {
			t.Errorf("%s is documented twice", key)
		}
		documented[key] = true
		if byDefault == "" || !strings.Contains(meaning, "Example: `") {
			t.Errorf("%s: default %q, meaning %q: want a default and an example", key, byDefault, meaning)
		}
	}
	for _, s := range schema() {
		if !documented[s.path] {
			t.Errorf("%s is not documented in docs/config.md", s.path)
		}
		delete(documented, s.path)
	}
	for key := range documented {
		t.Errorf("docs/config.md describes %s, which does not exist", key)
	}
}

// The defaults in the table are those of the program.
func TestDocumentedDefaults(t *testing.T) {
	text := readDoc(t, "config.md")
	cfg, _, err := load(t, "apps: [{name: a, backend: {process: {command: x, ready: {tcp: \"h:1\"}}}}, "+
		"{name: b, backend: {docker: {image: x, health_check: {cmd: [x]}}}}, {name: c, backend: {systemd: {unit: x}}}]", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range flat(cfg.show(), "") {
		key := regexp.MustCompile(`\[\d+\]`).ReplaceAllString(e.key, "[]")
		m := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(key) + "` \\| (.*?) \\|").FindStringSubmatch(text)
		if m == nil {
			t.Errorf("%s has no row", key)
			continue
		}
		// Some defaults follow from the machine or from another key, and are put in words.
		if value := fmt.Sprint(e.value); strings.HasPrefix(m[1], "`") && !strings.Contains(m[1], " ") && m[1] != "`hook_timeout`" && m[1] != "`"+value+"`" {
			t.Errorf("%s: the table says %s, the program %s", key, m[1], value)
		}
	}
}

// flat lists all values of a document by their full keys.
func flat(d document, path string) (out []entry) {
	for _, e := range d {
		at := keyPath(path, e.key)
		switch v := e.value.(type) {
		case document:
			out = append(out, flat(v, at)...)
		case []document:
			for i, item := range v {
				out = append(out, flat(item, fmt.Sprintf("%s[%d]", at, i))...)
			}
		default:
			out = append(out, entry{at, v})
		}
	}
	return out
}

// Every example of a configuration in the docs is one.
func TestDocumentedExamplesLoad(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readDoc(t, "config.md"), -1)
	if len(blocks) == 0 {
		t.Fatal("no examples")
	}
	for _, b := range blocks {
		if _, _, err := load(t, b[1], nil, nil); err != nil {
			t.Errorf("%s%v", b[1], err)
		}
	}
}

// Every variable that the docs mention exists.
func TestDocumentedVariables(t *testing.T) {
	known := map[string]bool{"GCHOST_": true}
	for _, name := range append(ownVariables(), notConfig()...) {
		known[name] = true
	}
	for _, s := range schema() {
		known[s.variable()] = s.reachable()
	}
	for _, doc := range []string{"config.md", "cli.md"} {
		for _, name := range regexp.MustCompile(`GCHOST_[A-Z_]*`).FindAllString(readDoc(t, doc), -1) {
			if !known[name] {
				t.Errorf("docs/%s mentions %s, which does not exist", doc, name)
			}
		}
	}
}

// Every command and flag is documented, and so are the exit codes.
func TestCommandsAreDocumented(t *testing.T) {
	text := readDoc(t, "cli.md")
	p := &program{runners: runners()}
	root := p.root()
	headings := map[string]string{} // command -> text below its heading
	for _, part := range strings.Split(text, "\n### ")[1:] {
		head, body, _ := strings.Cut(part, "\n")
		headings[strings.Trim(head, "`")] = body
	}
	for _, c := range leaves(root) {
		body, ok := headings[c.UseLine()]
		if !ok {
			t.Errorf("docs/cli.md has no heading `%s`", c.UseLine())
		}
		delete(headings, c.UseLine())
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && !strings.Contains(body, "\n| `--"+f.Name+"` |") {
				t.Errorf("docs/cli.md: %s: no row for --%s", c.UseLine(), f.Name)
			}
		})
	}
	for h := range headings {
		if h != "gchost completion" && h != "gchost guard" {
			t.Errorf("docs/cli.md describes `%s`, which does not exist", h)
		}
	}
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(text, "\n| `--"+f.Name+"` |") {
			t.Errorf("docs/cli.md: no row for the global flag --%s", f.Name)
		}
	})
	for _, m := range regexp.MustCompile(`(?m)^  (\d+) `).FindAllStringSubmatch(exitHelp, -1) {
		if !strings.Contains(text, "\n| "+m[1]+" | ") {
			t.Errorf("docs/cli.md: no row for exit code %s", m[1])
		}
	}
}

func leaves(c *cobra.Command) (out []*cobra.Command) {
	for _, sub := range c.Commands() {
		if sub.HasSubCommands() {
			out = append(out, leaves(sub)...)
		} else {
			out = append(out, sub)
		}
	}
	return out
}

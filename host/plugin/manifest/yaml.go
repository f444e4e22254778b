package manifest

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// maxDepth is how deep sections and lists may lie in each other.
const maxDepth = 32

// maxNodes is how many keys and values a manifest may have.
const maxNodes = 20_000

// reader notes the mistakes of a manifest while it is read.
type reader struct {
	faults Faults
	nodes  int
}

func (r *reader) fault(n *yaml.Node, key, format string, args ...any) {
	line := 0
	if n != nil {
		line = n.Line
	}
	r.faults = append(r.faults, Fault{line, key, fmt.Sprintf(format, args...)})
}

// document parses the text and returns its one section, nil after a fault.
func (r *reader) document(data []byte) *yaml.Node {
	if len(data) > MaxManifest {
		r.fault(nil, "", "has %d bytes: the most is %d", len(data), MaxManifest)
		return nil
	}
	d := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc, more yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		r.fault(nil, "", "is empty: see docs/plugins.md for what belongs there")
		return nil
	case err != nil:
		r.grammar(err)
		return nil
	}
	switch err := d.Decode(&more); {
	case err == nil:
		r.fault(&more, "", "a second document begins here: only one is read")
		return nil
	case !errors.Is(err, io.EOF):
		r.grammar(err)
		return nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		r.fault(root, "", "is %s, want keys with values, as in \"name: webhook\"", kindOf(root))
		return nil
	}
	if !r.plain(root, "", 0) {
		return nil
	}
	return root
}

// grammar notes what the YAML parser says.
func (r *reader) grammar(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if m := regexp.MustCompile(`^line (\d+): (.*)$`).FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = m[2]
	}
	r.faults = append(r.faults, Fault{Line: line, Text: "not YAML: " + text})
}

// plain refuses what a manifest has no use for and what makes YAML dangerous:
// aliases, tags, great depth, repeated keys, text that does not print.
func (r *reader) plain(n *yaml.Node, key string, depth int) bool {
	if r.nodes++; r.nodes > maxNodes {
		if r.nodes == maxNodes+1 {
			r.fault(n, "", "has more than %d keys and values", maxNodes)
		}
		return false
	}
	switch {
	case depth > maxDepth:
		r.fault(n, key, "lies more than %d levels deep", maxDepth)
		return false
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.fault(n, key, "uses & or * of YAML: write the value out")
		return false
	case n.Style&yaml.TaggedStyle != 0:
		r.fault(n, key, "uses the tag %.20q: leave it out", n.Tag)
		return false
	case n.Kind == yaml.ScalarNode && !printable(n.Value):
		r.fault(n, key, "has a character that does not print")
		return false
	}
	good := true
	switch n.Kind {
	case yaml.SequenceNode:
		for i, item := range n.Content {
			good = r.plain(item, fmt.Sprintf("%s[%d]", key, i), depth+1) && good
		}
	case yaml.MappingNode:
		seen := map[string]int{}
		for i := 0; i < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			good = r.key(k, key, seen) && r.plain(v, join(key, k.Value), depth+1) && good
		}
	}
	return good
}

// key checks one key of a section.
func (r *reader) key(k *yaml.Node, path string, seen map[string]int) bool {
	if !r.plain(k, path, 0) {
		return false
	}
	if k.Kind != yaml.ScalarNode || k.Tag != "!!str" || len(k.Value) > 128 {
		r.fault(k, path, "a key here is not a word: write it in quotes, 128 bytes at most")
		return false
	}
	if first := seen[k.Value]; first > 0 {
		r.fault(k, join(path, k.Value), "given twice, first in line %d: keep one", first)
		return false
	}
	seen[k.Value] = k.Line
	return true
}

func printable(s string) bool {
	for _, c := range s {
		if !unicode.IsPrint(c) && c != '\n' && c != '\t' || c == unicode.ReplacementChar {
			return false
		}
	}
	return true
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// kindOf says in plain words what a value is.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a section"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "empty"
	case n.Tag == "!!str":
		return "text"
	case n.Tag == "!!bool":
		return "true or false"
	case n.Tag == "!!timestamp":
		return "a date"
	}
	return "a number"
}

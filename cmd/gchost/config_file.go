package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
)

// maxFile is the longest configuration file, in bytes.
const maxFile = 1 << 20

// searchPath lists where a configuration file is looked for when none is
// named. The first that exists is read.
func searchPath(m Machine) (paths []string) {
	if m.Home != "" {
		paths = append(paths, filepath.Join(m.Home, ".go-cluster.yaml"))
	}
	return append(paths, "/etc/gchost/gchost.yaml")
}

// findFile returns the file to read: the named one, or the first of the search
// path that exists, or "" for none.
func findFile(named string, search []string) (string, error) {
	paths := search
	if named != "" {
		paths = []string{named}
	}
	for _, p := range paths {
		info, err := os.Stat(p)
		switch {
		case named == "" && errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return "", fmt.Errorf("read configuration: %w", err)
		case info.IsDir():
			return "", fmt.Errorf("read configuration: %s is a folder: name a file", p)
		case info.Size() > maxFile:
			return "", fmt.Errorf("read configuration: %s has %d bytes: the longest allowed is %d", p, info.Size(), maxFile)
		}
		return p, nil
	}
	return "", nil
}

// yamlFile is a koanf.Parser that reads one document of YAML strictly: keys
// are not repeated, and nothing stands behind the document.
type yamlFile struct {
	text []byte // what was parsed, for the lines of faults
}

// Unmarshal parses a file.
func (y *yamlFile) Unmarshal(b []byte) (map[string]any, error) {
	y.text = b
	if n := secondDocument(b); n > 0 {
		return nil, Faults{{order: n, Text: "a second document begins here: only one is read"}}
	}
	m, err := yaml.Parser().Unmarshal(b)
	if err != nil {
		return nil, y.faults(err)
	}
	return m, nil
}

// Marshal writes YAML.
func (y *yamlFile) Marshal(m map[string]any) ([]byte, error) { return yaml.Parser().Marshal(m) }

// secondDocument returns the line at which a second YAML document begins, or 0.
// A marker in the first column is one wherever it stands.
func secondDocument(b []byte) int {
	begun := false
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		marker := line == "---" || strings.HasPrefix(line, "--- ") || line == "..."
		switch {
		case marker && begun && line != "...":
			return n
		case marker:
			begun = begun || line != "---"
		case strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "%"):
			begun = true
		}
	}
	return 0
}

// faults takes the errors of the YAML parser apart: it reports all repeated
// keys at once, and one fault of the grammar.
func (y *yamlFile) faults(err error) Faults {
	var out Faults
	at := regexp.MustCompile(`line (\d+): (.*)$`)
	repeated := regexp.MustCompile(`^mapping key "(.*)" already defined at line (\d+)$`)
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimRight(line, "\n")
		m := at.FindStringSubmatch(line)
		if m == nil {
			if line != "yaml: unmarshal errors:" {
				out = append(out, Fault{Text: strings.TrimPrefix(line, "yaml: ")})
			}
			continue
		}
		n, _ := strconv.Atoi(m[1])
		f := Fault{order: n, Text: "not YAML: " + m[2]}
		if r := repeated.FindStringSubmatch(m[2]); r != nil {
			first, _ := strconv.Atoi(r[2])
			f.Key = y.keyAt(r[1], first, n)
			f.Text = "given twice, first in line " + r[2] + ": keep one"
		} else if strings.HasPrefix(m[2], "cannot unmarshal") {
			f.Text = "the file must be keys with values, as in \"platform: prod\""
		}
		out = append(out, f)
	}
	return out
}

// keyAt returns the full path of the key that stands in line first, as far as
// the file up to the line before its repetition tells.
func (y *yamlFile) keyAt(key string, first, repeated int) string {
	f := newFinder(y.text)
	for path := range f.upTo(repeated - 1) {
		if (path == key || strings.HasSuffix(path, "."+key)) && f.line(path) == first {
			return path
		}
	}
	return key
}

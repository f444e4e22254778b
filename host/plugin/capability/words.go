package capability

import (
	"errors"
	"strings"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// all covers everything where it stands alone.
const all = "*"

// maxWord is the longest key, subject or method, in bytes.
const maxWord = 255

func join(errs []error) error { return errors.Join(errs...) }

func letterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// checkParts wants parts of letters, digits and the others, joined by single
// dots.
func checkParts(word, others string) error {
	if len(word) > maxWord {
		return fault("%.40q... has %d bytes: the most is %d", word, len(word), maxWord)
	}
	for part := range strings.SplitSeq(word, ".") {
		if part == "" {
			return fault("%q is empty or has an empty part", word)
		}
		for i := range len(part) {
			if c := part[i]; !letterOrDigit(c) && strings.IndexByte(others, c) < 0 {
				return fault("%q has %q: allowed are A-Z a-z 0-9 and %s, in parts joined by single dots", word, c, others)
			}
		}
	}
	return nil
}

// keyBytes are what a key has beside letters, digits and dots.
const keyBytes = "-_/="

// checkKey refuses what no bucket holds, and what would be another key where
// keys are paths.
func checkKey(key string) error {
	if err := checkParts(key, keyBytes); err != nil {
		return err
	}
	for _, trick := range []string{"//", "/.", "./"} {
		if strings.Contains(key, trick) || strings.HasPrefix(key, "/") {
			return fault("%q has a slash beside another one or a dot, or at its begin", key)
		}
	}
	return nil
}

// checkPrefix checks the prefix of a capability for keys.
func checkPrefix(c *Capability) error {
	if c.what == all {
		return nil
	}
	if strings.HasSuffix(c.what, "/") || strings.HasSuffix(c.what, ".") {
		return checkKey(c.what[:len(c.what)-1])
	}
	return checkKey(c.what)
}

// below says whether a prefix, as a capability has it, covers a key or path.
func below(prefix, key, separators string) bool {
	if prefix == all || prefix == key {
		return true
	}
	return prefix != "" && strings.IndexByte(separators, prefix[len(prefix)-1]) >= 0 && strings.HasPrefix(key, prefix)
}

const keySeparators = "./"

// checkSubject checks the pattern of a capability for events.
func checkSubject(c *Capability) error {
	parts := strings.Split(c.what, ".")
	for i, p := range parts {
		if p == all || p == ">" && i == len(parts)-1 {
			parts[i] = "x"
		}
	}
	return checkParts(strings.Join(parts, "."), "-_")
}

// covers says whether a pattern covers a subject.
func covers(pattern, subject string) bool {
	want, got := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, w := range want {
		if w == ">" {
			return len(got) > i
		}
		if i >= len(got) || w != all && w != got[i] {
			return false
		}
	}
	return len(want) == len(got)
}

// meet says whether two patterns have a subject in common.
func meet(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := 0; ; i++ {
		switch {
		case i == len(as) || i == len(bs):
			return len(as) == len(bs)
		case as[i] == ">" || bs[i] == ">":
			return true
		case as[i] != bs[i] && as[i] != all && bs[i] != all:
			return false
		}
	}
}

// checkMethod checks the name of a method of an app.
func checkMethod(m string) error {
	if m == "" || len(m) > 128 {
		return fault("the method has %d bytes: 1 to 128 are allowed", len(m))
	}
	for i := range len(m) {
		if !letterOrDigit(m[i]) && strings.IndexByte("._-/:", m[i]) < 0 {
			return fault("the method %q has %q: allowed are A-Z a-z 0-9 . _ - / :", m, m[i])
		}
	}
	return nil
}

func checkCall(c *Capability) error {
	app, method, ok := strings.Cut(c.what, "/")
	if !ok {
		return fault("the method is missing")
	}
	if err := pluginapi.CheckName("app", app); err != nil {
		return err
	}
	if method == all {
		return nil
	}
	return checkMethod(method)
}

func checkName(c *Capability) error { return pluginapi.CheckName(string(c.kind), c.what) }

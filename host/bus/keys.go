package bus

import (
	"fmt"
	"strings"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// maxKey is the longest key, pattern or blob name, in bytes.
const maxKey = 255

// checkKey refuses what is not a key: tokens of A-Z a-z 0-9 - _ joined by
// single dots.
func checkKey(key string) error { return checkTokens("key", key, false) }

// checkPattern allows a key whose tokens may be "*", and ">" as its last one.
func checkPattern(pattern string) error { return checkTokens("pattern", pattern, true) }

func checkTokens(kind, name string, wild bool) error {
	return tokens{kind, keyByte, "- _", wild}.check(name)
}

// tokens are the rules for a name that is made of parts joined by dots.
type tokens struct {
	kind   string // what the name is, for messages
	ok     func(byte) bool
	others string // what ok allows beside letters and digits
	wild   bool
}

func (t tokens) check(name string) error {
	bad := func(why string) error {
		return fmt.Errorf("%w: %s %.80q %s: it is made of A-Z a-z 0-9 %s in parts joined by single dots",
			pluginapi.ErrInvalid, t.kind, name, why, t.others)
	}
	if len(name) > maxKey {
		return bad(fmt.Sprintf("has %d bytes, more than %d", len(name), maxKey))
	}
	parts := strings.Split(name, ".")
	for i, part := range parts {
		if t.wild && (part == "*" || part == ">" && i == len(parts)-1) {
			continue
		}
		if part == "" {
			return bad("is empty or has an empty part")
		}
		for _, c := range []byte(part) {
			if !t.ok(c) {
				return bad(fmt.Sprintf("has %q", c))
			}
		}
	}
	return nil
}

func keyByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// wild says whether a pattern can match more than one key.
func wild(pattern string) bool { return strings.ContainsAny(pattern, "*>") }

// CheckSubject refuses what is not the subject of an event: 1 to 255 bytes, made
// of A-Z a-z 0-9 - _ in parts joined by single dots.
//
// # Errors
//
// [pluginapi.ErrInvalid], with what is wrong and what is allowed.
func CheckSubject(subject string) error { return checkTokens("subject", subject, false) }

// CheckSubjects allows, beside what CheckSubject does, "*" for any one part and
// ">" as the last part for one or more.
//
// # Errors
//
// [pluginapi.ErrInvalid], with what is wrong and what is allowed.
func CheckSubjects(pattern string) error { return checkTokens("subject", pattern, true) }

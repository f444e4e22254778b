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
	bad := func(why string) error {
		return fmt.Errorf("%w: %s %.80q %s: it is made of A-Z a-z 0-9 - _ in parts joined by single dots",
			pluginapi.ErrInvalid, kind, name, why)
	}
	if len(name) > maxKey {
		return bad(fmt.Sprintf("has %d bytes, more than %d", len(name), maxKey))
	}
	tokens := strings.Split(name, ".")
	for i, token := range tokens {
		if wild && (token == "*" || token == ">" && i == len(tokens)-1) {
			continue
		}
		if token == "" {
			return bad("is empty or has an empty part")
		}
		for _, c := range []byte(token) {
			if !keyByte(c) {
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

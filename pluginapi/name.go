package pluginapi

import "fmt"

// MaxName is the longest name of a platform, node, app or lock, in bytes.
const MaxName = 63

// CheckName says whether a name may be used as the name of a platform, node,
// app or lock. Allowed are 1 to 63 of the characters A-Z, a-z, 0-9, '-' and
// '_', the first one a letter or a digit. Everything else is refused, so that a
// name can be a token of a NATS subject, a part of a stream's name, a folder
// and a control group without being changed, and no two names can collide.
//
// kind is the word that the error uses for what is named ("app", "node id").
//
// # Errors
//
// An error that wraps [ErrInvalid] and says which character is wrong, where,
// and what is allowed.
func CheckName(kind, name string) error {
	if name == "" {
		return fmt.Errorf("%w: %s name is empty: give 1 to %d of A-Z a-z 0-9 - _", ErrInvalid, kind, MaxName)
	}
	if len(name) > MaxName {
		return fmt.Errorf("%w: %s name %.20q... has %d bytes: the longest allowed is %d", ErrInvalid, kind, name, len(name), MaxName)
	}
	for i, r := range name {
		if letterOrDigit(r) || i > 0 && (r == '-' || r == '_') {
			continue
		}
		return fmt.Errorf("%w: %s name %q has %q at byte %d: allowed are A-Z a-z 0-9, and - _ after the first character", ErrInvalid, kind, name, r, i)
	}
	return nil
}

func letterOrDigit(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

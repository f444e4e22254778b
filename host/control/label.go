package control

import (
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Limits of labels.
const (
	MaxLabels     = 64  // labels of one node
	MaxLabelKey   = 63  // bytes of a key
	MaxLabelValue = 255 // bytes of a value
)

// CheckLabelKey says whether a key may be used for a label: 1 to 63 of A-Z a-z
// 0-9 - _ . and /, the first one a letter or a digit.
//
// # Errors
//
// An error that wraps pluginapi.ErrInvalid.
func CheckLabelKey(key string) error {
	if key == "" || len(key) > MaxLabelKey {
		return fmt.Errorf("%w: label key %.20q has %d bytes: give 1 to %d", pluginapi.ErrInvalid, key, len(key), MaxLabelKey)
	}
	for i, r := range key {
		if alnum(r) || i > 0 && (r == '-' || r == '_' || r == '.' || r == '/') {
			continue
		}
		return fmt.Errorf("%w: label key %q has %q at byte %d: allowed are A-Z a-z 0-9, and - _ . / after the first character", pluginapi.ErrInvalid, key, r, i)
	}
	return nil
}

// CheckLabels says whether all keys and values may be used as labels of a node.
//
// # Errors
//
// An error that wraps pluginapi.ErrInvalid and names the first label at fault.
func CheckLabels(labels map[string]string) error {
	if len(labels) > MaxLabels {
		return fmt.Errorf("%w: %d labels: a node may have %d", pluginapi.ErrInvalid, len(labels), MaxLabels)
	}
	for key, value := range sorted(labels) {
		if err := CheckLabelKey(key); err != nil {
			return err
		}
		if err := checkLabelValue(key, value); err != nil {
			return err
		}
	}
	return nil
}

func checkLabelValue(key, value string) error {
	if len(value) > MaxLabelValue {
		return fmt.Errorf("%w: value of label %s has %d bytes: the longest allowed is %d", pluginapi.ErrInvalid, key, len(value), MaxLabelValue)
	}
	if !utf8.ValidString(value) {
		return fmt.Errorf("%w: value of label %s is not UTF-8", pluginapi.ErrInvalid, key)
	}
	for _, r := range value {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%w: value of label %s has the unprintable character %q", pluginapi.ErrInvalid, key, r)
		}
	}
	return nil
}

func alnum(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

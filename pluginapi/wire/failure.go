package wire

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Bounds of an [Error], in bytes. What is longer is cut.
const (
	MaxCode = 128
	MaxText = 1024
)

// Error is the text, with the code in front when the text does not have it.
func (m *Error) Error() string {
	switch {
	case m.Text == "" && m.Code == "":
		return "no reason given"
	case m.Text == "":
		return m.Code
	case strings.Contains(m.Text, m.Code):
		return m.Text
	}
	return m.Code + ": " + m.Text
}

// Unwrap returns the sentinel of the code, so that errors.Is works across the
// wire. It is nil for a word of the plugin's own, and for the sentinels by which
// the host speaks of a plugin's fate: no plugin can say of itself that it
// crashed.
func (m *Error) Unwrap() error {
	s := pluginapi.Error(m.Code)
	switch s {
	case pluginapi.ErrPluginCrashed, pluginapi.ErrPluginLimit, pluginapi.ErrPluginProtocol,
		pluginapi.ErrPluginNotFound, pluginapi.ErrPluginDisabled:
		return nil
	}
	if slices.Contains(pluginapi.Sentinels(), s) {
		return s
	}
	return nil
}

// FailureOf is what the other side is told of an error: its text, the code of
// the [Error] or of the sentinel that it wraps, and, where it is an Error,
// whether trying again may help. A deadline that has passed is
// [pluginapi.ErrTimeout].
func FailureOf(err error) Error {
	out := Error{Text: clip(err.Error(), MaxText)}
	var told *Error
	var sentinel pluginapi.Error
	switch {
	case errors.As(err, &told):
		out.Code, out.Retry = clip(told.Code, MaxCode), told.Retry
	case errors.As(err, &sentinel):
		out.Code = string(sentinel)
	case errors.Is(err, context.DeadlineExceeded):
		out.Code = string(pluginapi.ErrTimeout)
	}
	return out
}

// ReadFailure reads what the other side says of its failure. The error shares no
// memory with b.
//
// # Errors
//
// Always one: an *Error, or, for bytes that are none, a *DecodeError, which is
// [pluginapi.ErrPluginProtocol].
func ReadFailure(b []byte) error {
	var m Error
	if err := m.Decode(b); err != nil {
		return err
	}
	return &Error{Code: clip(m.Code, MaxCode), Text: clip(m.Text, MaxText), Retry: m.Retry}
}

// clip copies a text, at most n bytes of it, and mends what is not UTF-8.
func clip(s string, n int) string {
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return strings.ToValidUTF8(strings.Clone(s), "\ufffd")
}

package plugin

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// maxFault is the most of a plugin's text that an error carries, in bytes.
const maxFault = 1024

// Fault is the failure that a plugin answered. It is the sentinel of its code,
// where the code is one's.
type Fault struct {
	Code  string
	Text  string
	Retry bool // the plugin says that trying again may help
}

// DecodeFault reads a plugin's failure.
//
// # Errors
//
// Always one: a *Fault, or one that wraps ErrPluginProtocol for bytes that are
// none.
func DecodeFault(b []byte) error {
	var m wire.Error
	if err := m.Decode(b); err != nil {
		return fmt.Errorf("decode failure of plugin: %w: %w", pluginapi.ErrPluginProtocol, err)
	}
	return &Fault{Code: clip(m.Code, 128), Text: clip(m.Text, maxFault), Retry: m.Retry}
}

// Error is the plugin's text, with the code in front when the text does not
// say it.
func (f *Fault) Error() string {
	switch {
	case f.Text == "" && f.Code == "":
		return "the plugin gives no reason"
	case f.Text == "":
		return f.Code
	case strings.Contains(f.Text, f.Code):
		return f.Text
	}
	return f.Code + ": " + f.Text
}

// Unwrap returns the sentinel of the code; nil for a word of the plugin's own.
func (f *Fault) Unwrap() error {
	if s := pluginapi.Error(f.Code); slices.Contains(pluginapi.Sentinels(), s) {
		return s
	}
	return nil
}

// Refusal is what a plugin is told of an error of its host.
func Refusal(err error) wire.Error {
	m := wire.Error{Text: clip(err.Error(), maxFault)}
	var s pluginapi.Error
	if errors.As(err, &s) {
		m.Code = string(s)
	}
	return m
}

// clip cuts a text of others to a length, and to valid UTF-8.
func clip(s string, n int) string {
	s = strings.Clone(s[:min(len(s), n)]) // the whole message would stay in memory
	return strings.ToValidUTF8(s, "\uFFFD")
}

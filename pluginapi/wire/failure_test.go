package wire_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// across sends an error to the other side.
func across(err error) error {
	m := wire.FailureOf(err)
	return wire.ReadFailure(m.Append(nil))
}

// TestSentinelsCrossTheWire: errors.Is finds every sentinel on the other side,
// with the text that was around it; but no plugin decides its own fate.
func TestSentinelsCrossTheWire(t *testing.T) {
	fate := map[pluginapi.Error]bool{
		pluginapi.ErrPluginCrashed: true, pluginapi.ErrPluginLimit: true, pluginapi.ErrPluginProtocol: true,
		pluginapi.ErrPluginNotFound: true, pluginapi.ErrPluginDisabled: true,
	}
	for _, s := range pluginapi.Sentinels() {
		got := across(fmt.Errorf("open door: %w", s))
		if errors.Is(got, s) == fate[s] {
			t.Errorf("%v: errors.Is says %v", s, !fate[s])
		}
		if got.Error() != "open door: "+string(s) {
			t.Errorf("text %q", got)
		}
	}
}

func TestFailures(t *testing.T) {
	twice := across(across(fmt.Errorf("ring: %w", &wire.Error{Code: "teapot", Text: "short and stout", Retry: true})))
	var m *wire.Error
	if !errors.As(twice, &m) || *m != (wire.Error{Code: "teapot", Text: "ring: teapot: short and stout", Retry: true}) {
		t.Errorf("%#v", twice)
	}
	if err := across(errors.New("just so")); err.Error() != "just so" || errors.Unwrap(err) != nil {
		t.Errorf("%#v", err)
	}
	if err := across(context.DeadlineExceeded); !errors.Is(err, pluginapi.ErrTimeout) {
		t.Errorf("%#v", err)
	}
	if err := wire.ReadFailure([]byte{0xff}); !errors.Is(err, pluginapi.ErrPluginProtocol) {
		t.Errorf("%v", err)
	}
	if err := wire.ReadFailure(nil); err == nil || err.Error() == "" {
		t.Errorf("an empty failure is %v", err)
	}
	long := across(&wire.Error{Code: strings.Repeat("é", 100), Text: "x" + strings.Repeat("é", 1000)})
	if !errors.As(long, &m) || len(m.Code) != 128 || len(m.Text) != 1023 || !utf8.ValidString(m.Text) {
		t.Errorf("code of %d bytes, text of %d", len(m.Code), len(m.Text))
	}
}

// TestReadFailureCopies: the buffer of the answer may be used again.
func TestReadFailureCopies(t *testing.T) {
	b := (&wire.Error{Code: "a code", Text: "a text"}).Append(nil)
	err := wire.ReadFailure(b)
	clear(b)
	if err.Error() != "a code: a text" {
		t.Errorf("%q", err)
	}
}

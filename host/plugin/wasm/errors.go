package wasm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/sys"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// trap is why the host has ended a guest: host functions panic with it, wazero
// turns that into an end of the call.
type trap struct {
	kind error // a sentinel of pluginapi, or an error of a context
	text string
}

// Error says why.
func (t *trap) Error() string { return t.kind.Error() + ": " + t.text }

// Unwrap gives the sentinel.
func (t *trap) Unwrap() error { return t.kind }

// lateError is what a guest gets whose caller did not wait any longer: it is
// over its limit, and the caller's deadline is over too.
type lateError struct{ cause error }

func (e *lateError) Error() string   { return pluginapi.ErrPluginLimit.Error() }
func (e *lateError) Unwrap() []error { return []error{pluginapi.ErrPluginLimit, e.cause} }

// overdue is the trap for a call whose own context has ended.
func overdue(cause error, ran time.Duration) *trap {
	if errors.Is(cause, context.DeadlineExceeded) {
		return &trap{&lateError{cause}, fmt.Sprintf("the caller's deadline passed after %v", ran.Round(time.Millisecond))}
	}
	return &trap{cause, "the caller gave up"}
}

// crash says why a guest ended by itself: cause is wazero's error, tail is what
// the guest printed last.
func crash(cause error, tail string, m *memory) *trap {
	text := describeCrash(cause)
	kind := pluginapi.ErrPluginCrashed
	switch {
	case strings.Contains(text, "stack overflow"):
		kind = pluginapi.ErrPluginLimit
	case m.refused:
		kind = pluginapi.ErrPluginLimit
		text += fmt.Sprintf("; it was refused more memory than %d KiB, it had %d", m.limit>>10, len(m.buf)>>10)
	}
	if tail != "" {
		text += fmt.Sprintf("; it printed: %q", tail)
	}
	return &trap{kind, text}
}

// describeCrash makes one line of wazero's error: what happened, and where.
func describeCrash(cause error) string {
	var exit *sys.ExitError
	if errors.As(cause, &exit) {
		return fmt.Sprintf("it called proc_exit(%d)", exit.ExitCode())
	}
	const frames = 6
	what, trace, _ := strings.Cut(cause.Error(), "\nwasm stack trace:")
	what = strings.TrimSuffix(strings.TrimPrefix(what, "wasm error: "), " (recovered by wazero)")
	var where []string
	for line := range strings.Lines(trace) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), "(")
		name = strings.TrimPrefix(name, ".")
		if name != "" && !strings.HasPrefix(line, "\t\t") && len(where) < frames {
			where = append(where, clip(name, 80))
		}
	}
	if what = clip(what, 300); len(where) > 0 {
		what += " in " + strings.Join(where, " < ")
	}
	return what
}

// clip makes text that comes from a guest safe to print, and no longer than n.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

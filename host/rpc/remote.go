package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// RemoteError is an error that the called node has answered with. errors.Is
// says yes to each error whose text is its code: the sentinels of the platform,
// and what the called app has registered.
type RemoteError struct {
	App, Method string // what was called
	Node        string // who has answered
	Code        string // the name of the error; "" if it has none
	Text        string
	Refused     bool // the handler was not begun: nothing was done
	Running     bool // the handler had not ended: nobody knows what was done
}

// Error says what was called, where, and what came back.
func (e *RemoteError) Error() string {
	at := ""
	if e.Node != "" {
		at = " on " + e.Node
	}
	return fmt.Sprintf("call %s of app %s%s: %s", e.Method, e.App, at, e.Text)
}

// Is reports whether target is the error that crossed the wire. An error of the
// caller's own context is never the answer of another node.
func (e *RemoteError) Is(target error) bool {
	switch {
	case target == nil || target == context.Canceled || target == context.DeadlineExceeded:
		return false
	case target == pluginapi.ErrUnknownOutcome && e.Running:
		return true
	}
	return e.Code != "" && target.Error() == e.Code
}

// fault is an answer that is an error.
type fault struct {
	code  string
	state string
	text  string
}

// refuse is the answer to a question whose handler is not begun.
func refuse(sentinel pluginapi.Error, format string, args ...any) fault {
	return fault{string(sentinel), stateRefused, fmt.Sprintf("%s: "+format, append([]any{sentinel}, args...)...)}
}

func (f fault) header(node string) Header {
	h := Header{headError: {f.code}, headNode: {node}}
	if f.state != "" {
		h[headState] = []string{f.state}
	}
	return h
}

func (f fault) body() []byte {
	text := f.text
	if len(text) > maxErrorText {
		text = text[:maxErrorText] + "..."
	}
	return []byte(strings.ToValidUTF8(text, "?"))
}

// name returns the code of an error: the text of the registered error or the
// sentinel that it wraps.
func name(err error, named []error) string {
	for _, n := range named {
		if errors.Is(err, n) {
			return n.Error()
		}
	}
	for _, s := range pluginapi.Sentinels() {
		if errors.Is(err, s) {
			return string(s)
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return string(pluginapi.ErrTimeout)
	}
	return noName
}

// CheckErrorName says whether an error may be registered: its text is its name
// on the wire, 1 to 128 bytes of printable ASCII.
//
// # Errors
//
// One that wraps ErrInvalid.
func CheckErrorName(err error) error {
	if err == nil {
		return fmt.Errorf("%w: the error is nil", pluginapi.ErrInvalid)
	}
	s := err.Error()
	if s == "" || s == noName || len(s) > maxErrorName || s != strings.TrimSpace(s) || !printable(s) {
		return fmt.Errorf("%w: the error %.40q cannot be registered: its text is its name on the wire: 1 to %d bytes of printable ASCII, not %q", pluginapi.ErrInvalid, s, maxErrorName, noName)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: the error %q cannot be registered: it speaks of the caller's own context", pluginapi.ErrInvalid, s)
	}
	return nil
}

// readAnswer returns the body of an answer, or the error that it is.
func readAnswer(to Address, method string, h Header, data []byte) ([]byte, error) {
	if _, is := h[headError]; !is {
		return data, nil
	}
	r := reader{h: h}
	e := &RemoteError{App: to.App, Method: method, Node: to.Node}
	e.Code = r.word(headError, func(s string) error {
		if len(s) > maxErrorName || !printable(s) {
			return pluginapi.ErrInvalid
		}
		return nil
	})
	state := r.word(headState, func(string) error { return nil })
	if node := r.name(headNode, "node"); e.Node == "" && r.err == nil {
		e.Node = node
	}
	if e.Code == noName || r.err != nil {
		e.Code = ""
	}
	// A state that this version does not know says that nobody knows.
	e.Refused = state == stateRefused && r.err == nil
	e.Running = state != "" && !e.Refused || r.err != nil
	text := string(data)
	if len(text) > maxErrorText {
		text = text[:maxErrorText] + "..."
	}
	if e.Text = strings.ToValidUTF8(text, "?"); e.Text == "" {
		e.Text = "an error without a text, code " + fmt.Sprintf("%q", e.Code)
	}
	return nil, e
}

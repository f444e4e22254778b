package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// The verbs of the conversation.
const (
	verbStatus   = "status"
	verbNodes    = "nodes"
	verbCordon   = "cordon"
	verbLabel    = "label"
	verbApps     = "apps"
	verbStepDown = "stepdown"
	verbSnapshot = "snapshot"
)

// Verbs lists every verb that [Serve] answers, but for those of [PluginVerbs].
// Each is served on the subject that any node answers and on the one of its own
// node.
func Verbs() []string {
	return []string{verbStatus, verbNodes, verbCordon, verbLabel, verbApps, verbStepDown, verbSnapshot}
}

// Limits of the conversation, in bytes.
const (
	MaxRequest = 64 << 10
	MaxAnswer  = 1<<20 - 8<<10 // below the largest payload of a stock NATS server
	maxMessage = 4 << 10       // of an error
)

// ErrUnreachable says that no host could be asked: none runs, or none can be
// reached. A [Requester] returns it, wrapped with the reason.
const ErrUnreachable pluginapi.Error = "no host answers"

// CodeInternal is the code of an error that is no sentinel.
const CodeInternal = "internal"

// Code returns the wire code of an error: the text of the sentinel that it
// wraps, or [CodeInternal].
func Code(err error) string {
	for _, s := range codes() {
		if errors.Is(err, s) {
			return string(s)
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return string(pluginapi.ErrTimeout)
	}
	return CodeInternal
}

func codes() []pluginapi.Error { return append(pluginapi.Sentinels(), ErrUnreachable) }

type request struct {
	TimeoutMS int64           `json:"timeout_ms,omitempty"` // how long the asker waits; 0 means the default
	Args      json.RawMessage `json:"args,omitempty"`
}

type answer struct {
	OK    json.RawMessage `json:"ok,omitempty"`
	Error *fault          `json:"error,omitempty"`
}

type fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Arguments of the verbs that have some.
type (
	cordonArgs struct {
		Node string `json:"node"`
		On   bool   `json:"on"`
	}
	labelArgs struct {
		Node   string            `json:"node"`
		Set    map[string]string `json:"set,omitempty"`
		Remove []string          `json:"remove,omitempty"`
	}
	appArgs struct {
		App string `json:"app"`
	}
)

// remoteError is an error that a host answered with.
type remoteError struct {
	message  string
	sentinel error
}

func (e *remoteError) Error() string { return e.message }
func (e *remoteError) Unwrap() error { return e.sentinel }

func newFault(err error) *fault {
	message := err.Error()
	if len(message) > maxMessage {
		message = message[:maxMessage] + "..."
	}
	return &fault{Code(err), strings.ToValidUTF8(message, "?")}
}

func (f *fault) err() error {
	e := &remoteError{message: f.Message}
	for _, s := range codes() {
		if string(s) == f.Code {
			e.sentinel = s
		}
	}
	if e.message == "" {
		e.message = "a host answered with an error and no message, code " + fmt.Sprintf("%q", f.Code)
	}
	return e
}

// decodeStrict reads one JSON document and refuses fields it does not know and
// anything behind the document.
func decodeStrict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: read request: %w", pluginapi.ErrInvalid, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: read request: there is something behind the document", pluginapi.ErrInvalid)
	}
	return nil
}

// sorted ranges over a map in the order of its keys.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

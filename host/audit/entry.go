package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Bounds of an entry.
const (
	MaxData  = 16 << 10 // bytes of Data as JSON
	maxTrace = 128      // bytes of TraceID
	maxEntry = MaxData + 2048
)

// Entry is something that happened.
type Entry struct {
	Time     time.Time      `json:"ts"`       // by the clock of the node; zero: now
	NodeID   string         `json:"node"`     // the node that wrote it
	Category string         `json:"category"` // app, election, membership, placement, ...: one part of a subject
	Action   string         `json:"action"`   // one or more parts joined by dots, as in node.cordoned
	Data     map[string]any `json:"data,omitempty"`
	TraceID  string         `json:"trace_id,omitempty"`
}

// Encode checks an entry and returns its subject below the log's, and its bytes.
//
// # Errors
//
// ErrInvalid for a category, action, trace id or data that is not allowed;
// ErrTooLarge.
func Encode(e Entry) (subject string, data []byte, err error) {
	if err := check(e); err != nil {
		return "", nil, err
	}
	if data, err = json.Marshal(e.Data); err != nil {
		return "", nil, fmt.Errorf("%w: data of audit entry: %w", pluginapi.ErrInvalid, err)
	}
	if len(data) > MaxData {
		return "", nil, fmt.Errorf("%w: data of audit entry has %d bytes, the most is %d", pluginapi.ErrTooLarge, len(data), MaxData)
	}
	if data, err = json.Marshal(e); err != nil {
		return "", nil, fmt.Errorf("%w: audit entry: %w", pluginapi.ErrInvalid, err)
	}
	return e.Category + "." + e.Action, data, nil
}

func check(e Entry) error {
	if err := bus.CheckSubject(e.Category); err != nil {
		return fmt.Errorf("category of audit entry: %w", err)
	}
	if strings.Contains(e.Category, ".") {
		return fmt.Errorf("%w: category of audit entry %.80q has more than one part", pluginapi.ErrInvalid, e.Category)
	}
	if err := bus.CheckSubject(e.Action); err != nil {
		return fmt.Errorf("action of audit entry: %w", err)
	}
	if len(e.TraceID) > maxTrace {
		return fmt.Errorf("%w: trace id of audit entry has %d bytes, the most is %d", pluginapi.ErrTooLarge, len(e.TraceID), maxTrace)
	}
	if y := e.Time.Year(); y < 0 || y > 9999 {
		return fmt.Errorf("%w: time of audit entry is in the year %d", pluginapi.ErrInvalid, y)
	}
	return nil
}

// Decode reads an entry that somebody has stored under a subject below the
// log's.
//
// # Errors
//
// ErrInvalid when it is none, or is stored under another subject than its own.
func Decode(subject string, data []byte) (Entry, error) {
	var e Entry
	if len(data) > maxEntry {
		return Entry{}, fmt.Errorf("%w: audit entry has %d bytes, the most is %d", pluginapi.ErrInvalid, len(data), maxEntry)
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return Entry{}, fmt.Errorf("%w: audit entry: %w", pluginapi.ErrInvalid, err)
	}
	if err := check(e); err != nil {
		return Entry{}, err
	}
	if err := pluginapi.CheckName("node", e.NodeID); err != nil {
		return Entry{}, err
	}
	if subject != e.Category+"."+e.Action {
		return Entry{}, fmt.Errorf("%w: audit entry of %s.%s under %q", pluginapi.ErrInvalid, e.Category, e.Action, subject)
	}
	return e, nil
}

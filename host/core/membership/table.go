package membership

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Entry is a node in the table.
type Entry struct {
	Node     string    `json:"node"`
	Inc      uint64    `json:"inc"`
	JoinedAt time.Time `json:"joined_at"` // wall clock of the controller; for people
}

// Event is a join or a leave. It is told once on every node.
type Event struct {
	Version uint64 `json:"v"` // version of the table that it came with
	Left    bool   `json:"left,omitempty"`
	Node    string `json:"node"`
	Inc     uint64 `json:"inc"`
	Reason  string `json:"reason,omitempty"`
}

// Table is the stored table of members.
type Table struct {
	Version uint64          `json:"version"`
	Epoch   pluginapi.Epoch `json:"epoch"` // of the controller that wrote it
	Members []Entry         `json:"members"`
	Events  []Event         `json:"events,omitempty"` // the newest, oldest first
}

const (
	maxEvents  = 64
	maxMembers = 1000
	maxTable   = 512 << 10
	maxNumber  = 1 << 62 // of a version or an epoch, so that there is always a next one
)

// DecodeTable reads a table and refuses what no controller would have written.
func DecodeTable(value []byte) (Table, error) {
	var t Table
	if len(value) > maxTable {
		return t, fmt.Errorf("decode members: %d bytes are more than a table may have", len(value))
	}
	if err := json.Unmarshal(value, &t); err != nil {
		return t, fmt.Errorf("decode members: %w", err)
	}
	if t.Version > maxNumber || t.Epoch > maxNumber {
		return t, fmt.Errorf("decode members: version %d, epoch %d is out of range", t.Version, t.Epoch)
	}
	if len(t.Members) > maxMembers || len(t.Events) > maxEvents {
		return t, fmt.Errorf("decode members: %d members and %d events are more than a table may have", len(t.Members), len(t.Events))
	}
	for i, m := range t.Members {
		if err := pluginapi.CheckName("node", m.Node); err != nil {
			return t, fmt.Errorf("decode members: %w", err)
		}
		if i > 0 && t.Members[i-1].Node >= m.Node {
			return t, fmt.Errorf("decode members: %s is out of order", m.Node)
		}
	}
	for _, e := range t.Events {
		if err := pluginapi.CheckName("node", e.Node); err != nil {
			return t, fmt.Errorf("decode members: %w", err)
		}
	}
	return t, nil
}

// Find returns the entry of a node.
func (t Table) Find(node string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(t.Members, node, func(e Entry, n string) int {
		switch {
		case e.Node < n:
			return -1
		case e.Node > n:
			return 1
		}
		return 0
	})
	if !ok {
		return Entry{}, false
	}
	return t.Members[i], true
}

// Alive is a living session, for [Diff].
type Alive struct {
	Node string
	Inc  uint64
}

// Diff returns the table that follows t when the living sessions are alive
// (sorted by node), and whether it differs from t. A node in a new incarnation
// has left and joined. reason says why a session is over.
func Diff(t Table, alive []Alive, epoch pluginapi.Epoch, wall time.Time, reason func(Entry) string) (Table, bool) {
	next := Table{Version: t.Version + 1, Epoch: epoch}
	events := slices.Clone(t.Events)
	living := make(map[string]uint64, len(alive))
	for _, a := range alive {
		living[a.Node] = a.Inc
	}
	changed := false
	for _, m := range t.Members {
		if living[m.Node] != m.Inc {
			changed = true
			events = append(events, Event{Version: next.Version, Left: true, Node: m.Node, Inc: m.Inc, Reason: reason(m)})
		}
	}
	for _, a := range alive {
		if len(next.Members) == maxMembers {
			break
		}
		e, known := t.Find(a.Node)
		if !known || e.Inc != a.Inc {
			changed = true
			e = Entry{a.Node, a.Inc, wall.UTC()}
			events = append(events, Event{Version: next.Version, Node: a.Node, Inc: a.Inc})
		}
		next.Members = append(next.Members, e)
	}
	next.Events = events[max(0, len(events)-maxEvents):]
	return next, changed
}

// Follower tells each event of the tables it is shown exactly once.
type Follower struct {
	table Table
	known bool
}

// Table returns the newest table shown.
func (f *Follower) Table() Table { return f.table }

// See takes a table and returns the events that were not told yet. The first
// table tells every member in it as joined.
func (f *Follower) See(t Table) []Event {
	if f.known && t.Version <= f.table.Version {
		return nil
	}
	before, first := f.table, !f.known
	f.table, f.known = t, true
	if first {
		return difference(Table{}, t)
	}
	if complete := len(t.Events) < maxEvents || t.Events[0].Version <= before.Version; complete {
		var out []Event
		for _, e := range t.Events {
			if e.Version > before.Version {
				out = append(out, e)
			}
		}
		return out
	}
	return difference(before, t)
}

func difference(a, b Table) []Event {
	var out []Event
	for _, m := range a.Members {
		if e, ok := b.Find(m.Node); !ok || e.Inc != m.Inc {
			out = append(out, Event{Version: b.Version, Left: true, Node: m.Node, Inc: m.Inc})
		}
	}
	for _, m := range b.Members {
		if e, ok := a.Find(m.Node); !ok || e.Inc != m.Inc {
			out = append(out, Event{Version: b.Version, Node: m.Node, Inc: m.Inc})
		}
	}
	return out
}

package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// MaxEntries is the most that one query returns.
const MaxEntries = 1000

// defaultSince is how far a query goes back that does not say how far.
const defaultSince = time.Hour

// Filter says which entries are asked for; what is zero does not matter.
type Filter struct {
	Since    time.Time // default: an hour ago
	Until    time.Time // default: no end
	Category string
	Action   string
	NodeID   string
}

// subject is what to read below the log's subject.
func (f Filter) subject() (string, error) {
	if f.Category != "" && strings.Contains(f.Category, ".") {
		return "", fmt.Errorf("%w: category %.80q has more than one part", pluginapi.ErrInvalid, f.Category)
	}
	subject := cmp.Or(f.Category, "*") + "." + cmp.Or(f.Action, ">")
	if f.Action != "" && strings.ContainsAny(f.Action, "*>") {
		return "", fmt.Errorf("%w: action %.80q has a wildcard", pluginapi.ErrInvalid, f.Action)
	}
	if f.NodeID != "" {
		if err := pluginapi.CheckName("node", f.NodeID); err != nil {
			return "", err
		}
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && f.Until.Before(f.Since) {
		return "", fmt.Errorf("%w: until %v is before since %v", pluginapi.ErrInvalid, f.Until, f.Since)
	}
	return subject, bus.CheckSubjects(subject)
}

// matches says whether an entry is asked for. The subject was seen to by the
// log.
func (f Filter) matches(e Entry) bool {
	return !e.Time.Before(f.Since) && (f.Until.IsZero() || !e.Time.After(f.Until)) && (f.NodeID == "" || e.NodeID == f.NodeID)
}

// newest keeps the last MaxEntries of what is added.
type newest struct {
	entries []Entry
	next    int // where the oldest is, once there are MaxEntries
}

func (n *newest) add(e Entry) {
	if len(n.entries) < MaxEntries {
		n.entries = append(n.entries, e)
		return
	}
	n.entries[n.next] = e
	n.next = (n.next + 1) % MaxEntries
}

// list returns them, the newest first.
func (n *newest) list() []Entry {
	out := append(slices.Clone(n.entries[n.next:]), n.entries[:n.next]...)
	slices.Reverse(out)
	return out
}

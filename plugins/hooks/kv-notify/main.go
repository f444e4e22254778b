package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
)

var _ = newPlugin()

func main() {}

// hook is the plugin's configuration.
type hook struct {
	prefix string
	events []string
}

// newPlugin wants every kind of event; which ones are written is configuration.
func newPlugin() *sdk.Guest {
	h := &hook{}
	return sdk.Hook(sdk.About{Name: "kv-notify", Version: "1.0.0", Configure: h.configure}, h.handle)
}

// byDefault are events that tell what has happened already: nothing waits for
// the store.
func byDefault() []string {
	return []string{
		string(sdk.LeaderChange), string(sdk.MemberJoin), string(sdk.MemberLeave),
		string(sdk.HealthChange), string(sdk.MigrationComplete), string(sdk.PlacementInvalid),
	}
}

func (h *hook) configure(c *sdk.Config) error {
	h.prefix = c.Text("prefix", "events.last.")
	h.events = byDefault()
	if c.Has("events") {
		h.events = c.Texts("events")
	}
	if !strings.HasPrefix(h.prefix, "events.") || !strings.HasSuffix(h.prefix, ".") {
		return sdk.Fail(string(sdk.ErrInvalid), `prefix begins with "events." and ends with a dot`)
	}
	return nil
}

func (h *hook) handle(c *sdk.Call, e sdk.Event) error {
	if !slices.Contains(h.events, string(e.Kind)) {
		return nil
	}
	key, err := h.key(&e)
	if err != nil {
		return err
	}
	old, err := c.Get(key)
	switch {
	case errors.Is(err, sdk.ErrKeyNotFound):
	case err != nil:
		return err
	default:
		if later(c, old, &e) {
			return nil
		}
	}
	text, err := json.Marshal(e)
	if err != nil {
		return sdk.Fail("kv-notify", "encode event: "+err.Error())
	}
	return c.Put(key, text)
}

// key is that of the event's app, or of the node that it is about.
func (h *hook) key(e *sdk.Event) (string, error) {
	kind, name := "app.", e.App
	if name == "" {
		kind, name = "node.", e.Node
		if e.Member != nil {
			name = e.Member.NodeID
		}
	}
	ok := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
	}
	if name == "" || strings.IndexFunc(name, func(r rune) bool { return !ok(r) }) >= 0 {
		return "", sdk.Fail(string(sdk.ErrInvalid), "the event is about no app or node that has a name")
	}
	return h.prefix + kind + name, nil
}

// later says whether what is stored happened after e, or is e itself: events of
// several nodes, and those that are told again, come out of order. Of two of one
// leadership, and of those without one, the clock decides.
func later(c *sdk.Call, stored []byte, e *sdk.Event) bool {
	var s sdk.Event
	if err := json.Unmarshal(stored, &s); err != nil {
		c.Warn("what is stored is no event: it is written over", "error", err.Error())
		return false
	}
	if s.Epoch != 0 && e.Epoch != 0 && s.Epoch != e.Epoch {
		return s.Epoch > e.Epoch
	}
	return s.Time > e.Time || s.ID == e.ID && s.Time == e.Time && s.Kind == e.Kind
}

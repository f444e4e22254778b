package reference

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Hook is "recorder". It wants all kinds of events but [pluginapi.HookStop], for
// which it would always fail; what it does is decided by the app of the event.
type Hook struct{}

// Handle fails for the apps that are named for it.
func (Hook) Handle(ctx context.Context, e pluginapi.HookEvent) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.Kind == pluginapi.HookStop {
		return &wire.Error{Code: "unwanted", Text: "stop was not asked for"}
	}
	if e.App == AppEcho {
		return &wire.Error{Code: "echo", Text: Line(e)}
	}
	return outcome(e.App)
}

// AboutHook is what the hook says of itself.
func AboutHook() wire.Description {
	d := wire.Description{Contract: wire.ContractHook, Name: "recorder", Version: "1.0.0"}
	for _, k := range pluginapi.HookKinds() {
		if k != pluginapi.HookStop {
			d.Events = append(d.Events, string(k))
		}
	}
	return d
}

// Line writes an event on one line: its fields in the order of plugin.proto with
// "|" between them; lists with ",", labels as key=value sorted by key, numbers in
// decimal, times as milliseconds since 1970, booleans as true and false, and "-"
// where there is no member.
func Line(e pluginapi.HookEvent) string {
	var partitions []string
	for _, p := range e.Partitions {
		partitions = append(partitions, strconv.FormatInt(p, 10))
	}
	member := "-"
	if m := e.Member; m != nil {
		var labels []string
		for _, k := range slices.Sorted(maps.Keys(m.Labels)) {
			labels = append(labels, k+"="+m.Labels[k])
		}
		member = strings.Join([]string{
			m.NodeID, m.Platform, m.Address, strings.Join(labels, ","), millis(m.JoinedAt), millis(m.LastSeen),
			strings.Join(m.Apps, ","), strconv.FormatBool(m.IsHealthy),
		}, "|")
	}
	return strings.Join([]string{
		e.ID, string(e.Kind), e.Platform, e.Node, e.App, strconv.FormatUint(e.Epoch, 10),
		strconv.FormatInt(e.Attempt, 10), strconv.FormatInt(e.Time, 10), e.Leader, member,
		e.Check, e.Status, strings.Join(partitions, ","), e.From, e.To, e.Reason,
	}, "|")
}

func millis(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

package plugintest

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest/reference"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Hook is the suite for hooks. For one that acts on the world give a New whose
// hook acts on a world of the test's.
type Hook struct {
	New       func(t T) pluginapi.Hook
	Reference bool // it is reference.Hook, told only of what it wants
}

// Run runs the suite.
func (s Hook) Run(t *testing.T) {
	t.Helper()
	run(t, s.Checks())
}

// Checks lists the suite: the laws, and the reference checks if they apply.
func (s Hook) Checks() []Check {
	with := func(fn func(t T, h pluginapi.Hook)) func(T) {
		return func(t T) { t.Helper(); fn(t, s.New(t)) }
	}
	checks := []Check{
		{"every kind of event", with(hookEvery)},
		{"a kind of a later version", with(hookLater)},
		{"the event is not changed", with(hookReadsOnly)},
		{"many at a time", with(hookConcurrent)},
		{"a context that has ended", with(hookCancelled)},
	}
	if s.Reference {
		checks = append(checks,
			Check{"only the kinds that are wanted", with(hookFilters)},
			Check{"every field arrives", with(hookEcho)},
			Check{"failures keep their code", with(hookFails)},
		)
	}
	return checks
}

// events are one of each kind, with all that an event can have.
func events(app string) (all []pluginapi.HookEvent) {
	for _, k := range pluginapi.HookKinds() {
		e := pluginapi.HookEvent{ID: "id-" + string(k), Kind: k, Platform: "p", Node: "n", App: app, Epoch: 3, Attempt: 1, Time: 1_750_000_000_000}
		switch k {
		case pluginapi.HookLeaderChange:
			e.Leader = "other"
		case pluginapi.HookMemberJoin, pluginapi.HookMemberLeave:
			e.Member = member()
		case pluginapi.HookHealthChange:
			e.Check, e.Status = "disk", pluginapi.StatusFailing
		case pluginapi.HookOwn, pluginapi.HookRelease:
			e.Partitions = []int64{0, 1, 127, 128, 1 << 40}
		case pluginapi.HookMigrationStart, pluginapi.HookMigrationComplete:
			e.From, e.To, e.Reason = "n", "m", "drain"
		}
		all = append(all, e)
	}
	return all
}

func member() *pluginapi.Member {
	return &pluginapi.Member{
		NodeID: "m", Platform: "p", Address: "10.0.0.1:99", Labels: map[string]string{"zone": "b", "arch": "amd64", "empty": ""},
		JoinedAt: time.UnixMilli(1_750_000_000_123).UTC(), LastSeen: time.UnixMilli(1_750_000_009_999).UTC(), Apps: []string{"api", "db"}, IsHealthy: true,
	}
}

func hookEvery(t T, h pluginapi.Hook) {
	for _, e := range events("plain") {
		if err := h.Handle(t.Context(), e); err != nil {
			t.Errorf("%s: %v", e.Kind, err)
		}
	}
}

func hookLater(t T, h pluginapi.Hook) {
	ended(t, "an event of an unknown kind", func() {
		err := h.Handle(t.Context(), pluginapi.HookEvent{ID: "1", Kind: "of_a_later_version", App: "plain"})
		if errors.Is(err, pluginapi.ErrPluginCrashed) || errors.Is(err, pluginapi.ErrPluginProtocol) {
			t.Errorf("%v", err)
		}
	})
}

func hookReadsOnly(t T, h pluginapi.Hook) {
	want := events("plain")
	for i, e := range events("plain") {
		if err := h.Handle(t.Context(), e); err != nil {
			t.Fatalf("%s: %v", e.Kind, err)
		}
		if !reflect.DeepEqual(e, want[i]) {
			t.Errorf("%s: the event was changed: %+v", e.Kind, e)
		}
	}
}

func hookConcurrent(t T, h pluginapi.Hook) {
	together(t, "16 goroutines that tell events", 16, func(int) {
		for _, e := range events("plain") {
			if err := h.Handle(t.Context(), e); err != nil {
				t.Errorf("%s at the same time as others: %v", e.Kind, err)
			}
		}
	})
}

func hookCancelled(t T, h pluginapi.Hook) {
	e := events("plain")[0]
	ended(t, "an event with a context that has ended", func() { _ = h.Handle(over(t), e) }) // either answer is right
	if err := h.Handle(t.Context(), e); err != nil {
		t.Errorf("after a context that has ended: %v", err)
	}
}

func hookFilters(t T, h pluginapi.Hook) {
	for _, e := range events(reference.AppVeto) {
		err := h.Handle(t.Context(), e)
		if wanted := e.Kind != pluginapi.HookStop; errors.Is(err, pluginapi.ErrRejected) != wanted {
			t.Errorf("%s: %v", e.Kind, err)
		}
	}
	if err := h.Handle(t.Context(), pluginapi.HookEvent{Kind: pluginapi.HookStop}); err != nil {
		t.Errorf("told of a stop, which it does not want: %v", err)
	}
}

func hookEcho(t T, h pluginapi.Hook) {
	full := pluginapi.HookEvent{
		ID: "i", Kind: pluginapi.HookActive, Platform: "pl", Node: "no", App: reference.AppEcho, Epoch: 1<<64 - 1, Attempt: 2, Time: -5,
		Leader: "le", Member: member(), Check: "ch", Status: "st", Partitions: []int64{-1, 0, 1 << 62}, From: "fr", To: "to", Reason: "ré|son\n\x00",
	}
	none := pluginapi.HookEvent{Kind: pluginapi.HookActive, App: reference.AppEcho, Member: &pluginapi.Member{}}
	for _, e := range append(events(reference.AppEcho), full, none) {
		if e.Kind == pluginapi.HookStop {
			continue
		}
		var m *wire.Error
		err := h.Handle(t.Context(), e)
		if !errors.As(err, &m) || m.Code != "echo" || !strings.HasSuffix(m.Text, reference.Line(e)) {
			t.Errorf("%s: it got %v\nwant %s", e.Kind, err, reference.Line(e))
		}
	}
}

func hookFails(t T, h pluginapi.Hook) {
	for app, want := range failures() {
		want(t, app, h.Handle(t.Context(), events(app)[0]))
	}
	if err := h.Handle(t.Context(), events("plain")[0]); err != nil {
		t.Errorf("after failures: %v", err)
	}
}

// failures says for the apps that are named for it what their error must be.
func failures() map[string]func(t T, app string, err error) {
	return map[string]func(T, string, error){
		reference.AppVeto: func(t T, app string, err error) {
			if !errors.Is(err, pluginapi.ErrRejected) || !strings.Contains(err.Error(), "app veto") {
				t.Errorf("%s: %v, want ErrRejected and the text", app, err)
			}
		},
		reference.AppBusy: func(t T, app string, err error) {
			var m *wire.Error
			if !errors.Is(err, pluginapi.ErrBusy) || !errors.As(err, &m) || !m.Retry {
				t.Errorf("%s: %#v, want ErrBusy, to be tried again", app, err)
			}
		},
		reference.AppTeapot: func(t T, app string, err error) {
			var m *wire.Error
			if !errors.As(err, &m) || m.Code != "teapot" || m.Retry || !strings.Contains(m.Text, "short and stout") {
				t.Errorf("%s: %#v, want the code teapot and the text", app, err)
			}
		},
	}
}

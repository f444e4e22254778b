package main

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/host/plugin/trial"
	"github.com/ozanturksever/go-cluster/host/plugin/trial/trialtest"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
	"github.com/ozanturksever/go-cluster/sdk-wasm/sdktest"
)

func hookWith(t *testing.T, config string) *sdktest.Host {
	t.Helper()
	h := sdktest.New(t, newPlugin())
	if err := h.Configure(config); err != nil {
		t.Fatal(err)
	}
	return h
}

func change(epoch uint64, at int64, leader string) sdk.Event {
	return sdk.Event{ID: leader, Kind: sdk.LeaderChange, Platform: "p", Node: "n1", App: "shop", Epoch: epoch, Attempt: 1, Time: at, Leader: leader}
}

func stored(t *testing.T, text string) (e sdk.Event) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return e
}

func TestWrites(t *testing.T) {
	h := hookWith(t, `{}`)
	join := sdk.Event{ID: "j", Kind: sdk.MemberJoin, Node: "n1", Time: 5, Member: &pluginapi.Member{NodeID: "n2"}}
	for _, e := range []sdk.Event{change(7, 1000, "n2"), join, {ID: "h", Kind: sdk.HealthChange, Node: "n1", Check: "disk", Status: "failing"}} {
		if err := h.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if got := stored(t, h.KV["events.last.app.shop"]); !reflect.DeepEqual(got, change(7, 1000, "n2")) {
		t.Errorf("stored %+v", got)
	}
	if got := stored(t, h.KV["events.last.node.n2"]); got.ID != "j" || got.Member.NodeID != "n2" {
		t.Errorf("stored %+v", got)
	}
	if got := stored(t, h.KV["events.last.node.n1"]); got.Check != "disk" || len(h.KV) != 3 {
		t.Errorf("stored %+v of %d keys", got, len(h.KV))
	}
}

// Whatever the order in which two events come, the later one stays.
func TestTheLaterStays(t *testing.T) {
	for name, c := range map[string]struct{ first, second sdk.Event }{
		"a higher epoch with an earlier clock": {change(7, 2000, "a"), change(8, 1000, "b")},
		"the clock within an epoch":            {change(7, 1000, "a"), change(7, 1001, "b")},
		"the clock without an epoch":           {change(7, 1000, "a"), change(0, 1001, "b")},
	} {
		for _, order := range [][]sdk.Event{{c.first, c.second}, {c.second, c.first}, {c.second, c.first, c.second}} {
			h := hookWith(t, `{}`)
			for _, e := range order {
				if err := h.Event(e); err != nil {
					t.Fatal(err)
				}
			}
			if got := stored(t, h.KV["events.last.app.shop"]); got.Leader != "b" {
				t.Errorf("%s: told of %s first, %+v stays", name, order[0].Leader, got)
			}
		}
	}
}

// An event that is told again after it was done is not written again: a watcher
// would see a change that is none.
func TestToldAgain(t *testing.T) {
	h := hookWith(t, `{}`)
	e := change(7, 1000, "n2")
	if err := h.Event(e); err != nil {
		t.Fatal(err)
	}
	before := h.KV["events.last.app.shop"]
	e.Attempt = 2
	h.Denied = []string{wire.HostKVPut}
	if err := h.Event(e); err != nil || h.KV["events.last.app.shop"] != before {
		t.Errorf("told again: %v", err)
	}
}

func TestWants(t *testing.T) {
	for _, k := range pluginapi.HookKinds() {
		for config, want := range map[string]bool{`{}`: slices.Contains(byDefault(), string(k)), `{"events": ["stop"]}`: k == sdk.Stop, `{"events": []}`: false} {
			h := hookWith(t, config)
			if err := h.Event(sdk.Event{Kind: k, App: "shop"}); err != nil {
				t.Fatal(err)
			}
			if (len(h.KV) == 1) != want {
				t.Errorf("%s with %s is written: %v", k, config, !want)
			}
		}
	}
}

// Garbage in the store does not stop it; a store that cannot be read does.
func TestStore(t *testing.T) {
	h := hookWith(t, `{"prefix": "events.a.b."}`)
	h.KV["events.a.b.app.shop"] = "garbage"
	if err := h.Event(change(1, 1, "n1")); err != nil || stored(t, h.KV["events.a.b.app.shop"]).Leader != "n1" || len(h.Log) != 1 {
		t.Errorf("over garbage: %v, log %v", err, h.Log)
	}
	h.Denied = []string{wire.HostKVGet}
	if err := h.Event(change(2, 1, "n2")); !errors.Is(err, sdk.ErrNotGranted) {
		t.Errorf("a store that cannot be read: %v", err)
	}
}

// A name cannot lead to another key.
func TestHostileNames(t *testing.T) {
	for _, e := range []sdk.Event{
		{Kind: sdk.LeaderChange, App: "shop.x"}, {Kind: sdk.LeaderChange, App: ">"}, {Kind: sdk.LeaderChange, App: "a b"}, {Kind: sdk.LeaderChange},
		{Kind: sdk.MemberLeave, Node: "n1", Member: &pluginapi.Member{NodeID: "../n"}}, {Kind: sdk.MemberJoin, Node: "n1", Member: &pluginapi.Member{}},
	} {
		h := hookWith(t, `{}`)
		if err := h.Event(e); !errors.Is(err, sdk.ErrInvalid) || len(h.KV) != 0 {
			t.Errorf("%+v: %v, %v", e, err, h.KV)
		}
	}
}

func TestBadConfig(t *testing.T) {
	for _, config := range []string{`{"prefix": "other."}`, `{"prefix": "events.x"}`, `{"prefix": ""}`, `{"events": "active"}`} {
		if err := sdktest.New(t, newPlugin()).Configure(config); err == nil {
			t.Errorf("%s is taken", config)
		}
	}
}

// TestModule: as WebAssembly, in the runtime of a node, with the capabilities of
// its manifest, it passes the suites and writes.
func TestModule(t *testing.T) {
	w := &trial.World{}
	p := trialtest.Open(t, trialtest.Build(t, "."), "", w)
	trialtest.Conform(t, p, trial.Suite{})
	i, err := p.LoadWith(t.Context(), []byte(`{"prefix": "events.now."}`))
	if err != nil {
		t.Fatal(err)
	}
	h, err := adapt.NewHook(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []sdk.Event{change(8, 1000, "b"), change(7, 2000, "a")} {
		if err := h.Handle(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	text, err := w.Services().KV.Get(t.Context(), "events.now.app.shop")
	if err != nil || stored(t, string(text)).Leader != "b" {
		t.Errorf("%s, %v", text, err)
	}
}

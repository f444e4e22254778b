package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/host/plugin/trial"
	"github.com/ozanturksever/go-cluster/host/plugin/trial/trialtest"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
	"github.com/ozanturksever/go-cluster/sdk-wasm/sdktest"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func hookAt(t *testing.T, config, now string) *sdktest.Host {
	t.Helper()
	h := sdktest.New(t, newPlugin())
	h.Time = at(t, now)
	if err := h.Configure(config); err != nil {
		t.Fatal(err)
	}
	return h
}

func move() sdk.Event {
	return sdk.Event{ID: "1", Kind: sdk.MigrationStart, App: "shop", From: "n1", To: "n2", Reason: "drain"}
}

const (
	nights  = `"windows": [{"starts": "0 22 * * mon-fri", "lasts": "6h"}]`
	berlin  = `"zone": "Europe/Berlin"`
	outside = `"allow": "outside"`
)

// 2030-01-07 is a Monday.
func TestWindows(t *testing.T) {
	for _, c := range []struct {
		config, now string
		allowed     bool
	}{
		{nights, "2030-01-07T21:59:59Z", false},
		{nights, "2030-01-07T22:00:00Z", true},
		{nights, "2030-01-08T03:59:59Z", true}, // the next day
		{nights, "2030-01-08T04:00:00Z", false},
		{nights, "2030-01-12T02:00:00Z", true},  // Saturday, since Friday
		{nights, "2030-01-12T23:00:00Z", false}, // Saturday
		{nights + `,` + outside, "2030-01-07T23:00:00Z", false},
		{nights + `,` + outside, "2030-01-07T12:00:00Z", true},
		{nights + `,` + berlin, "2030-01-07T20:59:59Z", false},
		{nights + `,` + berlin, "2030-01-07T21:00:00Z", true}, // winter: one hour ahead
		{nights + `,` + berlin, "2030-07-01T20:00:00Z", true}, // summer: two
		{nights + `,` + berlin, "2030-07-01T19:59:00Z", false},
		{`"windows": [{"starts": "0 0 * * sat", "lasts": "48h"}, {"starts": "30 12 1 * *", "lasts": "10m"}]`, "2030-01-13T23:59:00Z", true},
		{`"windows": [{"starts": "0 0 * * sat", "lasts": "48h"}, {"starts": "30 12 1 * *", "lasts": "10m"}]`, "2030-02-01T12:39:00Z", true},
		{`"windows": [{"starts": "0 0 * * sat", "lasts": "48h"}, {"starts": "30 12 1 * *", "lasts": "10m"}]`, "2030-02-01T12:40:00Z", false},
		{`"windows": [{"starts": "30 2 * * *", "lasts": "30m"}],` + berlin, "2030-03-31T01:15:00Z", false}, // 02:30 is jumped over
		{`"windows": [{"starts": "30 2 * * *", "lasts": "10m"}],` + berlin, "2030-10-27T00:35:00Z", true},  // 02:35 of summer
		{`"windows": [{"starts": "30 2 * * *", "lasts": "10m"}],` + berlin, "2030-10-27T01:35:00Z", true},  // and of winter
	} {
		err := hookAt(t, "{"+c.config+"}", c.now).Event(move())
		if c.allowed != (err == nil) || err != nil && !errors.Is(err, sdk.ErrRejected) {
			t.Errorf("%s at %s: %v, want allowed: %v", c.config, c.now, err, c.allowed)
		}
	}
}

// What is not asked for is let through, at any hour.
func TestOthers(t *testing.T) {
	const noon = "2030-01-07T12:00:00Z"
	for _, c := range []struct {
		config string
		event  sdk.Event
		passes bool
	}{
		{`{` + nights + `}`, sdk.Event{Kind: sdk.Active, App: "shop"}, true},
		{`{` + nights + `, "events": ["active"]}`, sdk.Event{Kind: sdk.Active, App: "shop"}, false},
		{`{` + nights + `, "events": ["active"]}`, move(), true},
		{`{` + nights + `, "apps": ["db"]}`, move(), true},
		{`{` + nights + `, "apps": ["db", "shop"]}`, move(), false},
		{`{` + nights + `, "otherwise": "warn"}`, move(), true},
	} {
		h := hookAt(t, c.config, noon)
		if err := h.Event(c.event); c.passes != (err == nil) {
			t.Errorf("%s, %s: %v", c.config, c.event.Kind, err)
		}
		if warned := len(h.Log) == 1 && strings.Contains(h.Log[0].Text, "not allowed outside of the windows, and it is Mon 12:00 UTC"); warned != strings.Contains(c.config, "warn") {
			t.Errorf("%s: log %v", c.config, h.Log)
		}
	}
	h := hookAt(t, `{`+nights+`}`, noon)
	h.Denied = []string{wire.HostClock}
	if err := h.Event(move()); !errors.Is(err, sdk.ErrNotGranted) {
		t.Errorf("without a clock: %v", err)
	}
}

func TestCron(t *testing.T) {
	for text, says := range map[string]map[string]bool{
		"*/15 * * * *":     {"2030-01-07T10:30:00Z": true, "2030-01-07T10:31:00Z": false},
		"5-20/5 * * * *":   {"2030-01-07T10:20:00Z": true, "2030-01-07T10:25:00Z": false, "2030-01-07T10:00:00Z": false},
		"50/5 * * * *":     {"2030-01-07T10:55:00Z": true, "2030-01-07T10:45:00Z": false},
		"0 8,18 * * *":     {"2030-01-07T18:00:00Z": true, "2030-01-07T09:00:00Z": false},
		"0 0 * jan,DEC *":  {"2030-12-07T00:00:00Z": true, "2030-02-07T00:00:00Z": false},
		"0 0 * * 7":        {"2030-01-06T00:00:00Z": true, "2030-01-07T00:00:00Z": false}, // Sunday
		"0 0 * * 0":        {"2030-01-06T00:00:00Z": true},
		"0 0 13 * fri":     {"2030-01-13T00:00:00Z": true, "2030-01-11T00:00:00Z": true, "2030-01-12T00:00:00Z": false}, // one is enough
		"0 0 */10 * mon":   {"2030-01-21T00:00:00Z": true, "2030-01-07T00:00:00Z": false},                               // a star: both
		"  0   0 1  1  * ": {"2030-01-01T00:00:00Z": true},
	} {
		c, err := parseCron(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		for when, want := range says {
			if got := c.matches(at(t, when)); got != want {
				t.Errorf("%q at %s: %v", text, when, got)
			}
		}
	}
	for _, text := range []string{
		"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 * ", "* * * * 8", "5-1 * * * *",
		"*/0 * * * *", "*/x * * * *", "a * * * *", "* * * foo *", "1,,2 * * * *", "-1 * * * *", "1- * * * *", "1/ * * * *", "99999999999999999999 * * * *",
	} {
		if c, err := parseCron(text); err == nil {
			t.Errorf("%q is taken: %+v", text, c)
		}
	}
}

func TestBadConfig(t *testing.T) {
	for config, says := range map[string]string{
		`{}`: "windows: give at least one",
		`{"windows": [{"starts": "0 22 * *", "lasts": "6h"}]}`:     "windows[0].starts",
		`{"windows": [{"starts": "0 22 * * *"}]}`:                  "windows[0].lasts",
		`{"windows": [{"starts": "0 22 * * *", "lasts": "59s"}]}`:  "1m to 168h",
		`{"windows": [{"starts": "0 22 * * *", "lasts": "169h"}]}`: "1m to 168h",
		`{"windows": [{"starts": 5, "lasts": "1h"}]}`:              "a string is expected",
		`{` + nights + `, "zone": "Mars/Olympus"}`:                 "Mars/Olympus",
		`{` + nights + `, "zone": "Local"}`:                        "Local",
		`{` + nights + `, "allow": "never"}`:                       "inside",
		`{` + nights + `, "otherwise": "fail"}`:                    "reject",
	} {
		if err := sdktest.New(t, newPlugin()).Configure(config); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v does not say %q", config, err, says)
		}
	}
}

// TestModule: as WebAssembly, in the runtime of a node, it passes the suites, has
// time zones without a file, and is quick enough for its limit with the longest
// windows that there can be.
func TestModule(t *testing.T) {
	w := &trial.World{Now: func() time.Time { return at(t, "2030-07-01T20:30:00Z") }}
	p := trialtest.Open(t, trialtest.Build(t, "."), `{"windows": [{"starts": "* * * * *", "lasts": "1m"}]}`, w)
	trialtest.Conform(t, p, trial.Suite{})
	never := strings.Repeat(`{"starts": "0 0 30 feb *", "lasts": "168h"},`, 16)
	for config, allowed := range map[string]bool{
		`{` + nights + `,` + berlin + `}`:             true,
		`{` + nights + `}`:                            false,
		`{"windows": [` + never[:len(never)-1] + `]}`: false,
	} {
		i, err := p.LoadWith(t.Context(), []byte(config))
		if err != nil {
			t.Fatal(err)
		}
		h, err := adapt.NewHook(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Handle(t.Context(), move()); allowed != (err == nil) || err != nil && !errors.Is(err, pluginapi.ErrRejected) {
			t.Errorf("%.80s: %v, want allowed: %v", config, err, allowed)
		}
	}
}

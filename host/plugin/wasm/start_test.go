package wasm

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// TestBadStarts: a guest that does not come to life is no plugin, whatever it
// does instead, and Load says why.
func TestBadStarts(t *testing.T) {
	r := newRuntime(t, Config{})
	r.maxStart = 100 * time.Millisecond
	for _, c := range []struct {
		name string
		code []byte
		want error
		text string
	}{
		{"endless", forever(), pluginapi.ErrPluginLimit, "start: plugin over its limit: it ran longer than the 100ms"},
		{"trap", code(opUnreachable), pluginapi.ErrPluginCrashed, "unreachable"},
		{"exit", call(fnProcExit, c32(0)), pluginapi.ErrPluginCrashed, "proc_exit(0)"},
		{"output", call(fnOutputWrite, c32(0), c32(1)), pluginapi.ErrPluginProtocol, "output_write outside of a call"},
		{"host call", code(call(fnHostCall, c32(0), c32(1), c32(0), c32(0)), opDrop), pluginapi.ErrPluginProtocol, "host_call outside of a call"},
		{"recursion", call(fnCount + 3), pluginapi.ErrPluginLimit, ""},
	} {
		for _, how := range []string{"_initialize", "start function"} {
			t.Run(c.name+" in "+how, func(t *testing.T) {
				f := function{export: "_initialize", signature: "->", code: c.code}
				m := hook().with(f, function{signature: "->", code: call(fnCount + 3)})
				if how == "start function" {
					m.funcs[2].export, m.begin = "begin", "begin"
				}
				bad(t, r, m.bytes(), c.want, c.text)
			})
		}
		t.Run(c.name+" in configure", func(t *testing.T) {
			if c.want != pluginapi.ErrPluginProtocol {
				m := hook().with(function{export: "gc_configure", signature: "i->i", code: code(c.code, c32(0))},
					function{signature: "->", code: call(fnCount + 3)})
				bad(t, r, m.bytes(), c.want, "")
			}
		})
	}
}

func bad(t *testing.T, r *Runtime, wasm []byte, want error, text string) {
	t.Helper()
	_, err := r.Load(testContext(t), artifact(t, wasm), plugin.Options{Limits: plugin.Limits{Call: 100 * time.Millisecond}})
	if !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
		t.Fatalf("got %v; want %v with %q", err, want, text)
	}
	if len(r.entries) > 0 || len(r.instances) > 0 {
		t.Fatalf("left behind: %v, %v", r.entries, r.instances)
	}
}

// TestStart: from _initialize a guest may log, and reads an empty input.
func TestStart(t *testing.T) {
	var log journal
	m := hook().with(function{export: "_initialize", signature: "->", code: code(
		call(fnInputRead, c32(buffer), c32(10)), block(opIf, opUnreachable),
		call(fnLog, c32(4), c32(0), c32(5)))})
	m.data = "awake"
	i := load(t, newRuntime(t, Config{}), m.bytes(), plugin.Options{Logger: log.logger()})
	answers(t, i)
	if got := log.String(); !strings.Contains(got, "level=WARN msg=awake from=log") {
		t.Fatal(got)
	}
}

// TestConfigure: each guest has its configuration before its first work, the
// ones made after a crash too; what it says against it is Load's error.
func TestConfigure(t *testing.T) {
	r := newRuntime(t, Config{})
	sum := code(call(fnInputRead, c32(buffer), get(0)), opDrop, // keeps the length of its configuration at 0
		c32(0), get(0), opStore, 2, 0, c32(0))
	m := hook(code(opUnreachable)).with(function{export: "gc_configure", signature: "i->i", code: sum},
		function{export: "gc_status", signature: "i->i", code: answerCode(c32(0), opLoad, 2, 0)})
	config := wire.Configure{Platform: "p", Node: "n", App: "a", Config: []byte(`{"k":1}`), Seed: 7}
	i := load(t, r, m.bytes(), plugin.Options{Configure: config, Limits: plugin.Limits{Guests: 1}})
	for range 2 {
		out, err := i.Call(testContext(t), "status", nil)
		if err != nil || len(out) != 4 || int(out[0]) != len(config.Append(nil)) {
			t.Fatalf("%v, %v", out, err)
		}
		if _, err := i.Call(testContext(t), "event", nil); !errors.Is(err, pluginapi.ErrPluginCrashed) {
			t.Fatal(err)
		}
	}
	no := wire.Error{Code: "invalid argument", Text: "k must be even"}
	says := hook().with(function{export: "gc_configure", signature: "i->i",
		code: code(call(fnOutputWrite, c32(0), c32(uint32(len(no.Append(nil))))), c32(1))})
	says.data = string(no.Append(nil))
	_, err := r.Load(testContext(t), artifact(t, says.bytes()), plugin.Options{})
	if !errors.Is(err, pluginapi.ErrInvalid) || !strings.Contains(err.Error(), "configure: invalid argument: k must be even") {
		t.Fatal(err)
	}
}

// TestErrors: the plugin's own errors come as their sentinels, the guest goes on
// living, and unknown operations are told apart.
func TestErrors(t *testing.T) {
	r := newRuntime(t, Config{})
	for _, c := range []struct {
		code string
		want error
	}{
		{"rejected", pluginapi.ErrRejected}, {"stale table", pluginapi.ErrStale}, {"my own word", nil}, {"plugin crashed", nil},
	} {
		e := wire.Error{Code: c.code, Text: "because", Retry: true}
		m := hook(code(call(fnOutputWrite, c32(0), c32(uint32(len(e.Append(nil))))), c32(1), 0x0f))
		m.data = string(e.Append(nil))
		i := load(t, r, m.bytes(), plugin.Options{})
		_, err := i.Call(context.Background(), "event", nil)
		var told *wire.Error
		if !errors.As(err, &told) || told.Code != c.code || !told.Retry || c.want != nil && !errors.Is(err, c.want) || errors.Is(err, pluginapi.ErrPluginCrashed) {
			t.Fatalf("%s: %v", c.code, err)
		}
		if _, err := i.Call(context.Background(), "start", nil); !errors.Is(err, pluginapi.ErrNoMethod) || !strings.Contains(err.Error(), "gc_start") {
			t.Fatal(err)
		}
		if s := i.Stats(); s.Restarts != 0 || s.Errors != 1 || s.Crashes != 0 {
			t.Fatalf("%+v", s)
		}
	}
}

package wasm

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// goLoader loads testdata/guest under one of the contracts, anew for each check.
// The first instance stays, so that the code does.
func goLoader(t *testing.T, contract wire.Contract, o plugin.Options) func(plugintest.T) *instance {
	t.Helper()
	r := newRuntime(t, Config{CacheDir: goCache(t)})
	a := artifact(t, goModule(t))
	a.Contract = contract
	if o.Configure.Config == nil {
		o.Configure.Config = []byte(contract)
	}
	if _, err := r.Load(t.Context(), a, o); err != nil { // the race detector makes compiling slow
		t.Fatal(err)
	}
	return func(t plugintest.T) *instance {
		t.Helper()
		i, err := r.Load(t.Context(), a, o)
		if err != nil {
			t.Fatalf("load: %v", err)
		}
		t.Cleanup(func() { _ = i.Close(context.WithoutCancel(t.Context())) }) // the runtime's Close says what went wrong
		return i.(*instance)
	}
}

// must fails the check when its plugin was not made.
func must[V any](t plugintest.T, v V, err error) V {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return v
}

// TestConformance: the reference plugins, compiled by Go for WebAssembly, pass
// the suites of their contracts.
func TestConformance(t *testing.T) {
	patient := plugin.Options{Limits: plugin.Limits{Call: patience, Guests: 3}}
	t.Run("placement", func(t *testing.T) {
		fresh := goLoader(t, wire.ContractPlacement, patient)
		plugintest.Policy{New: func(t plugintest.T) pluginapi.Policy {
			p, err := adapt.NewPolicy(t.Context(), fresh(t))
			return must(t, p, err)
		}, Reference: true}.Run(t)
		plugintest.Operations{New: func(t plugintest.T) plugintest.Caller { return fresh(t) }, Contract: wire.ContractPlacement}.Run(t)
	})
	t.Run("hook", func(t *testing.T) {
		fresh := goLoader(t, wire.ContractHook, patient)
		plugintest.Hook{New: func(t plugintest.T) pluginapi.Hook {
			p, err := adapt.NewHook(t.Context(), fresh(t))
			return must(t, p, err)
		}, Reference: true}.Run(t)
		plugintest.Operations{New: func(t plugintest.T) plugintest.Caller { return fresh(t) }, Contract: wire.ContractHook}.Run(t)
	})
	t.Run("backend", func(t *testing.T) {
		fresh := goLoader(t, wire.ContractBackend, patient)
		plugintest.Backend{New: func(t plugintest.T) pluginapi.Backend {
			p, err := adapt.NewBackend(t.Context(), fresh(t))
			return must(t, p, err)
		}, Reference: true}.Run(t)
		plugintest.Operations{New: func(t plugintest.T) plugintest.Caller { return fresh(t) }, Contract: wire.ContractBackend}.Run(t)
	})
}

// attempt has the guest try something, and returns what it says came of it.
func attempt(t *testing.T, i plugin.Instance, what string) (string, error) {
	t.Helper()
	event := wire.Event{HookEvent: pluginapi.HookEvent{ID: "1", Kind: pluginapi.HookActive, App: "try " + what}}
	_, err := i.Call(testContext(t), wire.OpEvent, event.Append(nil))
	var told *wire.Error
	if errors.As(err, &told) && told.Code == "tried" {
		return strings.TrimPrefix(told.Text, "tried: "), nil
	}
	return "", err
}

// TestGoGuest: what Go's own library finds in a guest: no arguments, no files,
// a clock, random numbers, output that goes to the log, and the text of a panic
// in the error.
func TestGoGuest(t *testing.T) {
	var log journal
	o := plugin.Options{Logger: log.logger(), Limits: plugin.Limits{Guests: 1, Memory: 24 << 20, Call: patience}}
	i := goLoader(t, wire.ContractHook, o)(t)
	for what, want := range map[string]string{
		"args": "0 0", "read a file": "open /etc/passwd: Bad file number", "write a file": "open /tmp/x: Bad file number",
		"list a folder": "open /: Bad file number", "stdin": "0 EOF", "sleep": "true", "goroutines": "1", "garbage": "done", "print": "done",
	} {
		if got, err := attempt(t, i, what); got != want {
			t.Errorf("%s: %q, %v; want %q", what, got, err, want)
		}
	}
	if s := i.Stats(); s.Restarts != 0 {
		t.Errorf("a guest that only tried was replaced: %+v", s)
	}
	for _, line := range []string{`level=INFO msg="to stdout" from=stdout`, `level=WARN msg="to stderr, in two pieces" from=stderr`, `msg="without an end" from=stdout`} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("not in the log: %s\n%s", line, log.String())
		}
	}
	for what, c := range map[string]struct {
		want error
		text string
	}{
		"panic":    {pluginapi.ErrPluginCrashed, "panic: the guest has a bad day"},
		"exit":     {pluginapi.ErrPluginCrashed, `proc_exit(3); it printed: "I have enough"`},
		"deadlock": {pluginapi.ErrPluginCrashed, "all goroutines are asleep"},
		"allocate": {pluginapi.ErrPluginLimit, "refused more memory than 24576 KiB"},
	} {
		if _, err := attempt(t, i, what); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", what, err)
		}
		if got, err := attempt(t, i, "args"); got != "0 0" {
			t.Errorf("after %s: %q, %v", what, got, err)
		}
	}
}

// TestFixedWorld: for a policy, clocks and random numbers are the same on every
// node and in every call; for a hook they are real.
func TestFixedWorld(t *testing.T) {
	run := func(contract wire.Contract, seed uint64) (all []string) {
		// It always answers as a hook, whatever the host takes it for.
		o := plugin.Options{Configure: wire.Configure{Seed: seed, Config: []byte(wire.ContractHook)}, Limits: plugin.Limits{Guests: 1, Call: patience}}
		i := goLoader(t, contract, o)(t)
		for _, what := range []string{"time", "random", "random", "seed", "sleep"} {
			got, err := attempt(t, i, what)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, got)
		}
		return all
	}
	one, two, other := run(wire.ContractPlacement, 1), run(wire.ContractPlacement, 1), run(wire.ContractPlacement, 2)
	if strings.Join(one, " ") != strings.Join(two, " ") || one[1] != one[2] || one[1] == other[1] || one[0] != other[0] {
		t.Errorf("policies: %q, %q, and with another seed %q", one, two, other)
	}
	if !strings.HasPrefix(one[0], "946684800") || one[4] != "true" {
		t.Errorf("a policy's clock: %q", one)
	}
	real := run(wire.ContractHook, 1)
	if real[1] == real[2] || real[1] == one[1] || real[0] < "1700000000" {
		t.Errorf("a hook: %q", real)
	}
}

// TestGoSpins: an endless loop in Go ends in time, and the next call is answered.
func TestGoSpins(t *testing.T) {
	o := plugin.Options{Limits: plugin.Limits{Guests: 1, Call: 2 * time.Second}}
	i := goLoader(t, wire.ContractHook, o)(t)
	if _, err := attempt(t, i, "spin"); !errors.Is(err, pluginapi.ErrPluginLimit) {
		t.Error(err)
	}
	if _, err := attempt(t, i, "recurse"); err == nil || !errors.Is(err, pluginapi.ErrPluginLimit) && !errors.Is(err, pluginapi.ErrPluginCrashed) {
		t.Error(err)
	}
	if got, err := attempt(t, i, "args"); got != "0 0" {
		t.Error(got, err)
	}
}

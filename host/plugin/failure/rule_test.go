package failure_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/failure"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// TestDefaultsAreSafe is the table of docs/plugin-abi.md: what each kind does in
// the end, and that what gives something away never waits.
func TestDefaultsAreSafe(t *testing.T) {
	want := map[pluginapi.HookKind]failure.Outcome{
		pluginapi.HookActive: failure.Fail, pluginapi.HookStart: failure.Fail, pluginapi.HookOwn: failure.Fail, pluginapi.HookMigrationStart: failure.Fail,
		pluginapi.HookPassive: failure.Ignore, pluginapi.HookStop: failure.Ignore, pluginapi.HookRelease: failure.Ignore,
		pluginapi.HookLeaderChange: failure.Ignore, pluginapi.HookMemberJoin: failure.Ignore, pluginapi.HookMemberLeave: failure.Ignore,
		pluginapi.HookHealthChange: failure.Ignore, pluginapi.HookMigrationComplete: failure.Ignore, pluginapi.HookPlacementInvalid: failure.Ignore,
	}
	for _, k := range append(pluginapi.HookKinds(), "of_a_later_version") {
		r := failure.ForHook(k)
		if err := r.Check(); err != nil {
			t.Errorf("%s: %v", k, err)
		}
		if then, known := want[k]; known && r.Then != then || !known && r.Then != failure.Ignore {
			t.Errorf("%s: %s in the end", k, r.Then)
		}
		if total := waits(r); total > 40*time.Second || r.Then == failure.Fail && total > time.Second {
			t.Errorf("%s: it waits %v in all", k, total)
		}
	}
	for _, k := range []pluginapi.HookKind{pluginapi.HookPassive, pluginapi.HookStop, pluginapi.HookRelease} {
		if r := failure.ForHook(k); r.Retries != 0 {
			t.Errorf("%s is held up by %d retries", k, r.Retries)
		}
	}
	if r := failure.ForPlacement(); r.Then != failure.Fallback || r.Retries != 0 {
		t.Errorf("placement: %+v", r)
	}
}

// waits is how long a rule waits in all.
func waits(r failure.Rule) (total time.Duration) {
	for n := 1; ; n++ {
		d := r.After(n, pluginapi.ErrBusy)
		if !d.Again {
			return total
		}
		total += d.Wait
	}
}

func TestAfter(t *testing.T) {
	r := failure.Rule{Retries: 4, Wait: time.Second, MaxWait: 3 * time.Second, Then: failure.Fail}
	for n, want := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second} {
		if d := r.After(n+1, pluginapi.ErrPluginCrashed); !d.Again || d.Wait != want {
			t.Errorf("after call %d: %+v, want a wait of %v", n+1, d, want)
		}
	}
	if d := r.After(5, pluginapi.ErrPluginCrashed); d.Again || d.Then != failure.Fail {
		t.Errorf("after the last call: %+v", d)
	}
	if d := r.After(1, fmt.Errorf("no: %w", pluginapi.ErrRejected)); d.Again || d.Then != failure.Fail {
		t.Errorf("after a decision: %+v", d)
	}
	most := failure.Rule{Retries: failure.MaxRetries, Wait: time.Second, Then: failure.Ignore}
	if d := most.After(100, pluginapi.ErrBusy); d.Wait != time.Minute {
		t.Errorf("without a longest wait: %+v", d)
	}
	slow := failure.Rule{Retries: 3, Wait: 5 * time.Minute, Then: failure.Ignore}
	if d := slow.After(3, pluginapi.ErrBusy); d.Wait != 5*time.Minute {
		t.Errorf("with a first wait of 5 minutes: %+v", d)
	}
}

func TestCheckRefuses(t *testing.T) {
	for _, r := range []failure.Rule{
		{}, {Then: "panic"}, {Then: failure.Fail, Retries: -1}, {Then: failure.Fail, Retries: 101},
		{Then: failure.Fail, Wait: -1}, {Then: failure.Fail, Wait: 2 * time.Hour}, {Then: failure.Fail, MaxWait: 2 * time.Hour}, {Then: failure.Fail, MaxWait: -1},
	} {
		if err := r.Check(); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestMayHelp(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{errors.New("anything"), true},
		{pluginapi.ErrPluginCrashed, true},
		{context.DeadlineExceeded, true},
		{pluginapi.ErrCircuitOpen, true},
		{context.Canceled, false},
		{pluginapi.ErrInvalid, false},
		{fmt.Errorf("x: %w", pluginapi.ErrPluginDisabled), false},
		{&wire.Error{Code: "teapot"}, true},
		{&wire.Error{Code: string(pluginapi.ErrRejected)}, false},
		{&wire.Error{Code: string(pluginapi.ErrRejected), Retry: true}, true},
	} {
		if got := failure.MayHelp(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
	for err, want := range map[error]bool{
		pluginapi.ErrPluginCrashed: true, pluginapi.ErrPluginLimit: true, pluginapi.ErrPluginProtocol: true,
		pluginapi.ErrRejected: false, pluginapi.ErrTimeout: false, error(&wire.Error{Code: string(pluginapi.ErrPluginCrashed)}): false,
	} {
		if failure.IsFault(err) != want {
			t.Errorf("%v is a fault: %v", err, !want)
		}
	}
}

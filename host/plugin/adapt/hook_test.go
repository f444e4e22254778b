package adapt_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

func describing(d wire.Description) *scripted {
	return &scripted{do: func(_ context.Context, op string, _ []byte) ([]byte, error) {
		switch op {
		case wire.OpDescribe:
			return d.Append(nil), nil
		case wire.OpEvent:
			return nil, pluginapi.ErrRejected
		}
		return nil, pluginapi.ErrNoMethod
	}}
}

func TestHookIsToldOnlyWhatItWants(t *testing.T) {
	s := describing(wire.Description{Contract: wire.ContractHook, Events: []string{"active", "of_a_later_version"}})
	h, err := adapt.NewHook(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Handle(t.Context(), pluginapi.HookEvent{Kind: pluginapi.HookPassive}); err != nil {
		t.Errorf("not wanted: %v", err)
	}
	s.want(t, "describe")
	if err := h.Handle(t.Context(), pluginapi.HookEvent{Kind: pluginapi.HookActive}); !errors.Is(err, pluginapi.ErrRejected) {
		t.Errorf("wanted: %v", err)
	}
	all, err := adapt.NewHook(t.Context(), describing(wire.Description{}))
	if err != nil || !all.Wants(pluginapi.HookStop) || h.Wants(pluginapi.HookStop) || !h.Wants(pluginapi.HookActive) {
		t.Errorf("one that names none wants all: %v", err)
	}
}

func TestDescriptionsThatAreRefused(t *testing.T) {
	for name, s := range map[string]*scripted{
		"another contract": describing(wire.Description{Contract: wire.ContractBackend}),
		"too many events":  describing(wire.Description{Events: make([]string, 65)}),
		"no message":       {do: func(context.Context, string, []byte) ([]byte, error) { return []byte{1}, nil }},
	} {
		if _, err := adapt.NewHook(t.Context(), s); !errors.Is(err, pluginapi.ErrPluginProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := &scripted{do: func(context.Context, string, []byte) ([]byte, error) { return nil, pluginapi.ErrPluginCrashed }}
	if _, err := adapt.NewPolicy(t.Context(), broken); !errors.Is(err, pluginapi.ErrPluginCrashed) {
		t.Errorf("a crash: %v", err)
	}
	silent := &scripted{do: func(context.Context, string, []byte) ([]byte, error) { return nil, pluginapi.ErrNoMethod }}
	if _, err := adapt.NewPolicy(t.Context(), silent); err != nil {
		t.Errorf("one that does not describe itself: %v", err)
	}
}

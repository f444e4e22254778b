package plugintest

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Caller makes one call of a plugin; a plugin.Instance is one.
type Caller interface {
	Call(ctx context.Context, op string, in []byte) ([]byte, error)
}

// Operations is the suite for what lies below the contracts: how a plugin, run
// by its runtime, takes operations and bytes that are wrong.
type Operations struct {
	New      func(t T) Caller
	Contract wire.Contract
}

// Run runs the suite.
func (s Operations) Run(t *testing.T) {
	t.Helper()
	run(t, s.Checks())
}

// Checks lists the suite.
func (s Operations) Checks() []Check {
	with := func(fn func(t T, c Caller, k wire.Contract)) func(T) {
		return func(t T) { t.Helper(); fn(t, s.New(t), s.Contract) }
	}
	return []Check{
		{"it says what it is", with(describes)},
		{"an operation that it has not", with(lacks)},
		{"bytes that are no message", with(refusesGarbage)},
		{"fields of a later version", with(skipsFields)},
		{"an answer is the caller's own", with(answersApart)},
	}
}

func describe(t T, c Caller) []byte {
	t.Helper()
	b, err := c.Call(t.Context(), wire.OpDescribe, nil)
	if err != nil {
		t.Fatalf("describe: %v", err)
	}
	return b
}

func describes(t T, c Caller, contract wire.Contract) {
	var d wire.Description
	if err := d.Decode(describe(t, c)); err != nil || d.Contract != contract || d.Name == "" || d.Version == "" {
		t.Errorf("describe: %+v, %v, want contract %s, a name and a version", d, err, contract)
	}
}

func lacks(t T, c Caller, _ wire.Contract) {
	for _, op := range []string{"no_such_operation", "", "describe ", "gc_describe"} {
		if _, err := c.Call(t.Context(), op, nil); !errors.Is(err, pluginapi.ErrNoMethod) {
			t.Errorf("operation %q: %v, want ErrNoMethod", op, err)
		}
	}
	describe(t, c)
}

// operationsOf are those whose input is a message.
func operationsOf(contract wire.Contract) []string {
	return map[wire.Contract][]string{
		wire.ContractPlacement: {wire.OpCandidates, wire.OpRank},
		wire.ContractHook:      {wire.OpEvent},
		wire.ContractBackend:   {wire.OpStart, wire.OpStop},
	}[contract]
}

func refusesGarbage(t T, c Caller, contract wire.Contract) {
	for _, op := range operationsOf(contract) {
		for _, in := range [][]byte{{0xff}, {0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}, {0x03}, {0x0a, 0x05, 'a'}, bytes.Repeat([]byte{0xff}, 5000)} {
			_, err := c.Call(t.Context(), op, in)
			if err == nil {
				t.Errorf("%s takes %.20x", op, in)
			}
			if errors.Is(err, pluginapi.ErrPluginCrashed) || errors.Is(err, pluginapi.ErrPluginLimit) {
				t.Errorf("%s with %.20x: %v", op, in, err)
			}
		}
	}
	describe(t, c)
}

func skipsFields(t T, c Caller, contract wire.Contract) {
	later := []byte{0xfa, 0x7f, 0x03, 'n', 'e', 'w', 0xf8, 0x7f, 0x01} // fields 2047: bytes, and a number
	in := map[wire.Contract]struct {
		op string
		b  []byte
	}{
		wire.ContractPlacement: {wire.OpCandidates, (&wire.Candidates{Epoch: 1, Upserts: table(1, 3, 1).Candidates}).Append(nil)},
		wire.ContractHook:      {wire.OpEvent, (&wire.Event{HookEvent: events("plain")[0]}).Append(nil)},
		wire.ContractBackend:   {wire.OpStop, (&wire.Stop{GraceMS: 1000}).Append(nil)},
	}[contract]
	if _, err := c.Call(t.Context(), in.op, append(in.b, later...)); err != nil {
		t.Errorf("%s with fields of a later version: %v", in.op, err)
	}
}

func answersApart(t T, c Caller, _ wire.Contract) {
	first := describe(t, c)
	kept := bytes.Clone(first)
	second := describe(t, c)
	clear(second)
	if !bytes.Equal(first, kept) {
		t.Errorf("a later answer has changed an earlier one")
	}
}

package fuel

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
)

// wild are guests that do not end by themselves, or take very long.
func wild() map[string][]byte {
	const void, fill = typeVoid, 0x0b
	spin := []byte{opLoop, void, 0x0c, 0, opEnd, opLocalGet, 0}
	// A large range operation in a loop, with the operands before it.
	ranged := func(op ...byte) []byte {
		return cat([]byte{opLoop, void}, op, []byte{0x0c, 0, opEnd, opLocalGet, 0})
	}
	c := func(n int64) []byte { return appendS([]byte{0x41}, n) }
	return map[string][]byte{
		"empty loop": guest(spin...),
		"nested loops": guest(opLoop, void, opLoop, void, opLoop, void, 0x0c, 1, opEnd, opEnd, 0x0c, 0, opEnd,
			opLocalGet, 0),
		"loop with a result": guest(opLoop, 0x7f, 0x41, 1, opBrIf, 0, 0x41, 7, opEnd),
		"br_table": guest(opLoop, void, 0x02, void, opLocalGet, 0, 0x0e, 2, 0, 1, 1, opEnd, 0x0c, 0, opEnd,
			opLocalGet, 0),
		"br_if out of a block": guest(opLoop, void, 0x02, void, 0x41, 1, opBrIf, 1, opEnd, opEnd, opLocalGet, 0),
		"recursion that returns": wasm( // twice for each level, 2^30 calls: no stack overflow ends it
			section(1, vec(funcType(i32, i32))),
			section(3, vec([]byte{0})),
			section(7, vec(export("run", 0, 0))),
			section(10, vec(body(opLocalGet, 0, 0x45, opIf, 0x7f, 0x41, 1, 0x05, opLocalGet, 0, 0x41, 1, 0x6b, opCall, 0,
				opLocalGet, 0, 0x41, 1, 0x6b, opCall, 0, 0x6a, opEnd)))),
		"indirect recursion": wasm(
			section(1, vec(funcType(i32, i32))),
			section(3, vec([]byte{0})),
			section(4, vec([]byte{0x70, 0, 1})),
			section(7, vec(export("run", 0, 0))),
			section(9, vec([]byte{0, 0x41, 0, opEnd, 1, 0})),
			section(10, vec(body(opLocalGet, 0, 0x45, opIf, 0x7f, 0x41, 1, 0x05, opLocalGet, 0, 0x41, 1, 0x6b, 0x41, 0, 0x11, 0, 0,
				opLocalGet, 0, 0x41, 1, 0x6b, 0x41, 0, 0x11, 0, 0, 0x6a, opEnd)))),
		"memory.fill": guest(ranged(cat(c(0), c(1), c(1<<16), []byte{0xfc, fill, 0})...)...),
		"memory.copy": guest(ranged(cat(c(0), c(1<<15), c(1<<15), []byte{0xfc, 10, 0, 0})...)...),
		"table.fill":  guest(ranged(cat(c(0), []byte{0xd0, 0x70}, c(10), []byte{0xfc, 17, 0})...)...),
		"memory.grow": guest(ranged(cat(c(0), []byte{0x40, 0, 0x1a})...)...),
		"table.grow":  guest(ranged(cat([]byte{0xd0, 0x70}, c(1), []byte{0xfc, 15, 0, 0x1a})...)...),
	}
}

// TestEnds: whatever a guest does, it comes to ask for fuel, and it ends when
// there is none.
func TestEnds(t *testing.T) {
	for name, mod := range wild() {
		t.Run(name, func(t *testing.T) {
			m := &meter{slice: 1000, budget: 1_000_000}
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) // so that it fails, and does not hang
			defer cancel()
			g := start(t, newRuntime(t, m, wazero.NewRuntimeConfig().WithCloseOnContextDone(true)), instrument(t, mod, Options{}))
			_, err := g.ExportedFunction("run").Call(ctx, 30)
			if !errors.Is(err, errEmpty) {
				t.Fatalf("the guest ended with %v", err)
			}
			if m.given != m.budget {
				t.Errorf("%d units were given of %d", m.given, m.budget)
			}
		})
	}
}

// TestStartIsMetered: a start function asks for fuel before anything else, and
// an endless one does not hold up the one who makes the guest.
func TestStartIsMetered(t *testing.T) {
	mod := wasm(
		section(1, vec(funcType("", ""))),
		section(3, vec([]byte{0})),
		section(8, []byte{0}),
		section(10, vec(body(opLoop, typeVoid, 0x0c, 0, opEnd))),
	)
	m := &meter{slice: 1000, budget: 10_000}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	rt := newRuntime(t, m, wazero.NewRuntimeConfig().WithCloseOnContextDone(true))
	_, err := rt.Instantiate(ctx, instrument(t, mod, Options{}))
	if !errors.Is(err, errEmpty) || m.given != m.budget {
		t.Fatalf("the start ended with %v after %d units", err, m.given)
	}
}

// TestCharge: what is charged, to the unit.
func TestCharge(t *testing.T) {
	const pages = 65536
	fill := func(n int64) []byte {
		return guest(cat([]byte{0x41, 0, 0x41, 1}, appendS([]byte{0x41}, n), []byte{0xfc, 11, 0, opLocalGet, 0})...)
	}
	tests := []struct {
		name string
		mod  []byte
		arg  uint64
		want int64
	}{
		{"an entry pays for its instructions", guest(opLocalGet, 0), 5, 1 + 2},
		{"a long arm that is not taken", guest(cat([]byte{opLocalGet, 0, opIf, typeVoid}, bytes.Repeat([]byte{0x01}, 100),
			[]byte{opEnd, opLocalGet, 0})...), 0, 1 + 4},
		{"a long arm that is taken", guest(cat([]byte{opLocalGet, 0, opIf, typeVoid}, bytes.Repeat([]byte{0x01}, 100),
			[]byte{opEnd, opLocalGet, 0})...), 1, 1 + 4 + 101},
		{"both short arms of an if", guest(opLocalGet, 0, opIf, 0x7f, 0x41, 1, 0x05, 0x41, 2, opEnd), 1, 1 + 7},
		// Outside: loop, local.get, end. A round: local.get, i32.const, i32.sub, local.tee, br_if, end.
		{"a loop pays for each round", guest(opLoop, typeVoid, opLocalGet, 0, 0x41, 1, 0x6b, 0x22, 0, opBrIf, 0, opEnd, opLocalGet, 0),
			10, 1 + 3 + 10*(1+6)},
		{"a range operation pays by its length", fill(pages), 0, 1 + 6 + pages/8},
		{"an empty range operation", fill(0), 0, 1 + 6},
		{"locals", wasm(section(1, vec(funcType(i32, i32))), section(3, vec([]byte{0})), section(7, vec(export("run", 0, 0))),
			section(10, vec(sized([]byte{1, 0x80, 0x08, 0x7e, opLocalGet, 0, opEnd})))), 1, 1 + 2 + 1024/8},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// With slices of one unit, what was asked for is what was used.
			m := &meter{slice: 1, budget: -1}
			g := start(t, newRuntime(t, m, wazero.NewRuntimeConfig()), instrument(t, test.mod, Options{}))
			for range 2 { // the second call finds what the first has left: nothing
				m.given = 0
				if _, err := g.ExportedFunction("run").Call(context.Background(), test.arg); err != nil {
					t.Fatal(err)
				}
				if m.given != test.want {
					t.Errorf("%d units were used, expected are %d", m.given, test.want)
				}
			}
		})
	}
}

// TestTablesAreBounded: table.grow allocates beyond the limit on memory.
func TestTablesAreBounded(t *testing.T) {
	grow := guest(0xd0, 0x70, opLocalGet, 0, 0xfc, 15, 0)
	m := &meter{slice: 1 << 40, budget: -1}
	g := start(t, newRuntime(t, m, wazero.NewRuntimeConfig()), instrument(t, grow, Options{Entries: 100}))
	for _, step := range []struct{ by, was uint64 }{{90, 10}, {1, 1<<32 - 1}, {0, 100}} {
		got, err := g.ExportedFunction("run").Call(context.Background(), step.by)
		if err != nil || got[0]&(1<<32-1) != step.was {
			t.Errorf("growing by %d gives %v, %v; expected is %d", step.by, got, err, step.was)
		}
	}
}

// TestNamesStay: a trap's trace names the functions of the original, also behind
// the import.
func TestNamesStay(t *testing.T) {
	mod := cat(wasm(
		section(1, vec(funcType("", ""))),
		section(2, vec(imp("env", "noop", 0, 0))),
		section(3, vec([]byte{0}, []byte{0})),
		section(7, vec(export("run", 0, 1))),
		section(10, vec(body(opCall, 0, opCall, 2), body(0x00))),
	),
		custom("producers", []byte("somebody")),
		custom("name", section(0, name("guest")), section(1, vec(
			append([]byte{0}, name("noop")...), append([]byte{1}, name("outer")...), append([]byte{2}, name("inner")...)))))
	rt := newRuntime(t, &meter{slice: 1000, budget: -1}, wazero.NewRuntimeConfig())
	_, err := rt.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func() {}).Export("noop").Instantiate(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	out := instrument(t, mod, Options{})
	_, err = start(t, rt, out).ExportedFunction("run").Call(context.Background())
	if err == nil || !strings.Contains(err.Error(), "guest.inner()\n\tguest.outer()") {
		t.Errorf("the trap says %v", err)
	}
	if strings.Contains(string(out), "producers") {
		t.Error("another custom section was kept")
	}
}

// TestWithoutFunctions: there is nothing to meter.
func TestWithoutFunctions(t *testing.T) {
	mod := wasm(section(5, vec([]byte{0, 1})), section(7, vec(export("memory", 2, 0))), custom("kept"))
	out := instrument(t, mod, Options{})
	if string(out) != string(mod) {
		t.Errorf("%x became %x", mod, out)
	}
}

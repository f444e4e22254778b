package fuel

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
)

// one is a module with one function of type () -> (), in which sections can be
// exchanged for others, by their id.
func one(change map[byte][]byte) []byte {
	parts := map[byte][]byte{
		1:  vec(funcType("", "")),
		3:  vec([]byte{0}),
		5:  vec([]byte{0, 1}),
		10: vec(body(0x01)),
	}
	for id, b := range change {
		parts[id] = b
	}
	var list [][]byte
	for _, id := range order {
		if b := parts[id]; b != nil {
			list = append(list, section(id, b))
		}
	}
	return wasm(list...)
}

func code(ops ...byte) []byte { return one(map[byte][]byte{10: vec(body(ops...))}) }

// TestRefusals: each module is refused, with what and where.
func TestRefusals(t *testing.T) {
	long := func(b byte) []byte { return []byte{b | 0x80, 0x80, 0x80, 0x80, 0x80, 0} }
	tests := []struct {
		name string
		mod  []byte
		o    Options
		want string // part of the error
	}{
		// The meter's own members: with one function, nothing imported, one type and
		// no global, they are functions 0, 2 and 3 of the new form, global 0, types 1 to 3.
		{"the counter is read", code(0x23, 0, 0x1a), Options{}, "code section, byte 0x1d: global 0 is named, there are 0"},
		{"the counter is set", code(0x42, 100, 0x24, 0), Options{}, "global 0"},
		{"the counter is exported", one(map[byte][]byte{7: vec(export("g", 3, 0))}), Options{}, "export section"},
		{"the counter as a constant", one(map[byte][]byte{6: vec([]byte{0x7e, 0, 0x23, 0, opEnd})}), Options{}, "imported global 0"},
		{"the counter's offset", one(map[byte][]byte{11: vec([]byte{0, 0x23, 0, opEnd, 0})}), Options{}, "data section"},
		{"top up is called", code(opCall, 1), Options{}, "function 1 is named, there are 1"},
		{"pay is called", code(0x41, 0, opCall, 2, 0x1a), Options{}, "function 2"},
		{"a reference to top up", code(0xd2, 1, 0x1a), Options{}, "function 1"},
		{"top up is exported", one(map[byte][]byte{7: vec(export("f", 0, 1))}), Options{}, "function 1"},
		{"top up is the start", one(map[byte][]byte{8: {1}}), Options{}, "start section"},
		{"top up in a table", one(map[byte][]byte{4: vec([]byte{0x70, 0, 1}), 9: vec([]byte{0, 0x41, 0, opEnd, 1, 1})}), Options{}, "element section"},
		{"top up in a passive segment", one(map[byte][]byte{9: vec([]byte{1, 0, 1, 1})}), Options{}, "element section"},
		{"top up in an expression", one(map[byte][]byte{9: vec([]byte{5, 0x70, 1, 0xd2, 1, opEnd})}), Options{}, "element section"},
		{"top up in a global", one(map[byte][]byte{6: vec([]byte{0x70, 0, 0xd2, 1, opEnd})}), Options{}, "global section"},
		{"the refill's type of a function", one(map[byte][]byte{3: vec([]byte{1})}), Options{}, "type 1 is named, there are 1"},
		{"the refill's type of a block", code(0x02, 1, opEnd, 0x1a), Options{}, "type 1"},
		{"the refill's type of an import", one(map[byte][]byte{2: vec(imp("a", "b", 0, 1))}), Options{}, "type 1"},
		{"the refill's type of a call", one(map[byte][]byte{4: vec([]byte{0x70, 0, 1}), 10: vec(body(0x41, 0, 0x11, 1, 0))}), Options{}, "type 1"},
		{"a table that is not there", code(0x41, 0, 0x11, 0, 0), Options{}, "table 0"},
		{"the meter is imported", one(map[byte][]byte{2: vec(imp(MeterModule, "x", 0, 0))}), Options{}, "it imports from gchost_meter"},
		{"a name of the meter", one(map[byte][]byte{7: vec(export("gc_meter_fuel", 0, 0))}), Options{}, `it exports "gc_meter_fuel"`},

		{"not WebAssembly", []byte("#!/bin/sh\n"), Options{}, "it does not begin as WebAssembly does; name a .wasm file"},
		{"empty", nil, Options{}, "does not begin"},
		{"a component", []byte("\x00asm\x0d\x00\x01\x00"), Options{}, "components are not taken"},
		{"a section twice", wasm(section(1, vec(funcType("", ""))), section(1, vec())), Options{}, "type section is twice there"},
		{"sections in a wrong order", wasm(section(3, vec()), section(1, vec())), Options{}, "not in its place"},
		{"data count behind code", wasm(section(10, vec()), section(12, []byte{0})), Options{}, "not in its place"},
		{"a section of exceptions", wasm(section(13, vec())), Options{}, "section 13 is not known"},
		{"a section ends too early", one(nil)[:16], Options{}, "bytes are announced"},
		{"a section has bytes too many", one(map[byte][]byte{1: append(vec(funcType("", "")), 0)}), Options{}, "1 bytes too many"},
		{"functions without code", wasm(section(1, vec(funcType("", ""))), section(3, vec([]byte{0}))), Options{}, "functions without code"},
		{"code without functions", one(map[byte][]byte{3: vec()}), Options{}, "1 bodies for 0 functions"},
		{"more functions than bodies", one(map[byte][]byte{3: vec([]byte{0}, []byte{0})}), Options{}, "1 bodies for 2 functions"},

		{"a long number", code(cat([]byte{opCall}, long(0))...), Options{}, "more than 32 bits"},
		{"a number of 33 bits", code(0x0c, 0x80, 0x80, 0x80, 0x80, 0x10), Options{}, "more than 32 bits"},
		{"a long signed number", code(0x41, 0x80, 0x80, 0x80, 0x80, 0x08, 0x1a), Options{}, "more than 32 bits"},
		{"a long type of a block", code(0x02, 0xc0, 0x7f, opEnd), Options{}, "value type 0xc0"},
		{"endless types", wasm(section(1, []byte{0xff, 0xff, 0xff, 0xff, 0x0f})), Options{}, "4294967295 types"},
		{"endless labels", code(0x0e, 0xff, 0xff, 0xff, 0xff, 0x0f), Options{}, "too early"},
		{"endless locals", one(map[byte][]byte{10: vec(sized([]byte{2, 0xff, 0xff, 0x02, 0x7f, 0xff, 0xff, 0x02, 0x7f, opEnd}))}), Options{}, "locals, allowed are 50000"},
		{"endless entries", one(map[byte][]byte{4: vec(cat([]byte{0x70, 0}, appendU(nil, 1<<20)))}), Options{}, "entries, allowed are 262144"},
		{"many tables", one(map[byte][]byte{4: vec([]byte{0x70, 0, 1}, []byte{0x70, 0, 1})}), Options{Tables: 1}, "2 tables, allowed are 1"},
		{"many functions", one(map[byte][]byte{3: vec([]byte{0}, []byte{0})}), Options{Functions: 1}, "2 functions, allowed are 1"},
		{"a large module", one(nil), Options{Module: 10}, "allowed are 10"},
		{"a large function", one(nil), Options{Body: 2}, "function 0 has 3 bytes, allowed are 2"},

		{"a bomb of loops", code(bytes.Repeat([]byte{opLoop, typeVoid, opEnd}, 100)...), Options{Module: 400}, "more than 800 bytes"},

		{"a function without end", one(map[byte][]byte{10: vec(sized([]byte{0, 0x01}))}), Options{}, "does not end"},
		{"code behind the end", code(opEnd), Options{}, "1 bytes too many"},
		{"threads", code(0xfe, 0x03, 0), Options{}, "instruction 0xfe is not of WebAssembly 2.0; build it for WebAssembly 2.0, without threads"},
		{"a shared memory", one(map[byte][]byte{5: vec([]byte{3, 1, 1})}), Options{}, "without threads"},
		{"memory of 64 bits", one(map[byte][]byte{5: vec([]byte{4, 1})}), Options{}, "memory64"},
		{"two memories", one(map[byte][]byte{5: vec([]byte{0, 1}, []byte{0, 1})}), Options{}, "multi-memory"},
		{"access to another memory", code(0x41, 0, 0x28, 0x42, 0, 0, 0x1a), Options{}, "multi-memory"},
		{"exceptions", code(0x06, 0x40, opEnd), Options{}, "without exceptions"},
		{"tail calls", code(0x12, 0), Options{}, "without tail calls"},
		{"garbage collection", code(0xfb, 0), Options{}, "without typed references"},
		{"relaxed SIMD", code(0xfd, 0x80, 0x02), Options{}, "without relaxed SIMD"},
		{"computed constants", one(map[byte][]byte{6: vec([]byte{0x7f, 0, 0x41, 1, 0x41, 1, 0x6a, opEnd})}), Options{}, "extended-const"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Instrument(test.mod, test.o)
			var r *Refusal
			if !errors.As(err, &r) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, expected is %q", err, test.want)
			}
			if r.Mend == "" {
				t.Error("it does not say how to mend it")
			}
		})
	}
}

// TestSound: the module that the refusals are variations of is not refused.
func TestSound(t *testing.T) {
	rt := newRuntime(t, &meter{slice: 100, budget: -1}, wazero.NewRuntimeConfig())
	for _, mod := range [][]byte{
		one(nil),
		one(map[byte][]byte{6: vec([]byte{0x70, 0, 0xd2, 0, opEnd}), 7: vec(export("f", 0, 0)), 8: {0}}),
		one(map[byte][]byte{4: vec([]byte{0x70, 0, 1}), 9: vec([]byte{0, 0x41, 0, opEnd, 1, 0}, []byte{1, 0, 1, 0},
			[]byte{5, 0x70, 1, 0xd2, 0, opEnd}), 10: vec(body(0x41, 0, 0x11, 0, 0))}),
		code(0x02, 0, opEnd, 0x41, 0x80, 0x80, 0x80, 0x80, 0x78, 0x1a),
	} {
		if _, err := rt.CompileModule(context.Background(), instrument(t, mod, Options{})); err != nil {
			t.Errorf("%x: %v", mod, err)
		}
	}
}

// FuzzInstrument: it never panics, and what it makes is valid exactly if what it
// was made of is.
func FuzzInstrument(f *testing.F) {
	for _, mod := range wild() {
		f.Add(mod)
	}
	f.Add(one(map[byte][]byte{4: vec([]byte{0x70, 0, 1}), 6: vec([]byte{0x70, 0, 0xd2, 0, opEnd}),
		9: vec([]byte{0, 0x41, 0, opEnd, 1, 0}), 12: {1}, 10: vec(body(0x41, 0, 0x11, 0, 0)), 11: vec([]byte{1, 1, 'x'})}))
	f.Add(cat(one(nil), custom("name", section(1, vec(append([]byte{0}, name("f")...))))))
	if os.Getenv("FUEL_SPEC") == "all" {
		files, err := filepath.Glob(filepath.Join(specDir(f), "v2", "testdata", "*.wasm"))
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			if mod, err := os.ReadFile(file); err == nil && len(mod) < 4096 {
				f.Add(mod)
			}
		}
	}
	config := wazero.NewRuntimeConfigInterpreter() // its compiler is quick, the validator is the same
	rt := newRuntime(f, &meter{slice: 100, budget: -1}, config)
	valid := func(mod []byte) bool {
		c, err := rt.CompileModule(context.Background(), mod)
		if err == nil {
			c.Close(context.Background())
		}
		return err == nil
	}
	f.Fuzz(func(t *testing.T, mod []byte) {
		before := string(mod)
		out, err := Instrument(mod, Options{})
		if string(mod) != before {
			t.Fatal("the argument was changed")
		}
		if err != nil {
			return
		}
		// A custom section is nothing that a module can be invalid by, but wazero reads
		// some of them. Those that are written here have to be sound.
		if string(out) == before {
			return
		}
		if was, is := valid(withoutCustom(mod)), valid(out); was != is {
			t.Errorf("valid before: %v, after: %v\n%x\n%x", was, is, mod, out)
		}
	})
}

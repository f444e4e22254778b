package wasm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// badModule is a file that is no plugin, or not this one.
type badModule struct {
	name     string
	wasm     []byte
	contract wire.Contract // hook
	limits   plugin.Limits
	text     string
}

func without(m module, export string) []byte {
	for n := range m.funcs {
		if m.funcs[n].export == export {
			m.funcs[n].export = "other"
		}
	}
	return m.bytes()
}

func importing(imports ...string) []byte {
	m := module{imports: imports, memory: [2]uint32{1, 1}}
	return m.with(function{export: "gchost_abi_v1", signature: "->"},
		function{export: "gc_event", signature: "i->i", code: c32(0)}).bytes()
}

func badModules() []badModule {
	good := hook().bytes()
	hidden, bomb, fat, foreign, greedy := hook(), hook(), hook(), hook(), hook()
	hidden.hidden = true
	bomb.tables = []uint32{1 << 26}
	fat.memory = [2]uint32{1 << 10, 1 << 10}
	greedy.memory = [2]uint32{1 << 16, 1 << 16}
	foreign.extra = make([]byte, 2<<20)
	// an imported global: type i32, constant
	global := code([]byte("\x00asm\x01\x00\x00\x00"), section(1, [][]byte{typeOf("->")}), section(2, [][]byte{code(text("env"), text("g"), 3, 0x7f, 0)}),
		section(3, [][]byte{{0}}), section(10, [][]byte{{2, 0, opEnd}}))
	return []badModule{
		{name: "empty", wasm: []byte{}, text: "module"},
		{name: "no WebAssembly", wasm: []byte("#!/bin/sh\necho hello\n"), text: "module"},
		{name: "truncated", wasm: good[:len(good)-7], text: "the file is damaged"},
		{name: "truncated in the header", wasm: good[:6], text: "module"},
		{name: "nothing in it", wasm: good[:8], text: "no plugin of gchost"},
		{name: "no marker", wasm: without(hook(), "gchost_abi_v1"), text: "does not export gchost_abi_v1"},
		{name: "newer ABI", wasm: module{memory: [2]uint32{1, 1}}.with(function{export: "gchost_abi_v2", signature: "->"}).bytes(),
			text: "wrong ABI version 2, this host speaks 1"},
		{name: "marker of another type", wasm: module{memory: [2]uint32{1, 1}}.with(function{export: "gchost_abi_v1", signature: "->i", code: c32(0)}).bytes(),
			text: "gchost_abi_v1 is of type ->i"},
		{name: "no gc_event", wasm: without(hook(), "gc_event"), text: "a hook must export a function gc_event (i32) -> i32"},
		{name: "gc_event of another type", wasm: module{memory: [2]uint32{1, 1}}.with(function{export: "gchost_abi_v1", signature: "->"},
			function{export: "gc_event", signature: "ii->i", code: c32(0)}).bytes(), text: "it exports one of type ii->i"},
		{name: "a hook as policy", wasm: good, contract: wire.ContractPlacement, text: "a placement must export a function gc_candidates"},
		{name: "a hook as backend", wasm: good, contract: wire.ContractBackend, text: "a backend must export a function gc_start"},
		{name: "no such contract", wasm: good, contract: "toaster", text: `there is no contract "toaster"`},
		{name: "memory not exported", wasm: hidden.bytes(), text: "does not export its memory"},
		{name: "a program", wasm: hook().with(function{export: "_start", signature: "->"}).bytes(), text: "it is a program with a _start"},
		{name: "_initialize of another type", wasm: hook().with(function{export: "_initialize", signature: "i->"}).bytes(), text: "_initialize is of type i->"},
		{name: "unknown module", wasm: importing("env.abort ->"), text: `imports from a module "env"`},
		{name: "unknown function", wasm: importing("gchost.reboot ->"), text: "imports gchost.reboot"},
		{name: "unknown WASI", wasm: importing("wasi_snapshot_preview1.thread_spawn ->"), text: "wasi_snapshot_preview1.thread_spawn"},
		{name: "function of another type", wasm: importing("gchost.log ii->"), text: "imports gchost.log as ii->, and it is iii->"},
		{name: "floats", wasm: importing("gchost.log fFi->"), text: "imports gchost.log as ??i->"},
		{name: "the meter", wasm: importing("gchost_meter.refill ->I"), text: "gchost_meter"},
		{name: "a global", wasm: global, text: "imports env.g, which is no function"},
		{name: "table bomb", wasm: bomb.bytes(), text: "table"},
		{name: "more memory than its limit", wasm: fat.bytes(), limits: plugin.Limits{Memory: 1 << 20}, text: "it needs 65536 KiB of memory at least, and its limit is 1024"},
		{name: "all memory there is", wasm: greedy.bytes(), text: "it needs 4194304 KiB of memory at least"},
		{name: "too large", wasm: foreign.bytes(), text: "it has more than 1048576 bytes"},
		{name: "negative limit", wasm: good, limits: plugin.Limits{Guests: -1}, text: "limit guests is -1"},
	}
}

// TestBadModules: what is no plugin is refused with what, where and how to mend
// it, and leaves nothing behind.
func TestBadModules(t *testing.T) {
	r := newRuntime(t, Config{CacheDir: t.TempDir(), MaxModule: 1 << 20})
	for _, m := range badModules() {
		t.Run(m.name, func(t *testing.T) {
			a := artifact(t, m.wasm)
			if m.contract != "" {
				a.Contract = m.contract
			}
			_, err := r.Load(testContext(t), a, plugin.Options{Limits: m.limits})
			refused(t, err, m.text)
			if m.limits == (plugin.Limits{}) && m.name != "all memory there is" {
				_, err = r.Prepare(testContext(t), a)
				refused(t, err, m.text)
			}
			if len(r.entries) > 0 || len(r.instances) > 0 {
				t.Fatalf("left behind: %v, %v", r.entries, r.instances)
			}
		})
	}
	if err := r.Keep(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(r.cache); err != nil || len(left) > 0 {
		t.Fatalf("left in the cache: %v, %v", left, err)
	}
}

func refused(t *testing.T, err error, text string) {
	t.Helper()
	if !errors.Is(err, pluginapi.ErrInvalid) || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "guest") {
		t.Fatalf("got %v; want %q", err, text)
	}
}

// TestArtifact: the file is the one that was promised, or nothing is loaded.
func TestArtifact(t *testing.T) {
	r := newRuntime(t, Config{})
	a := artifact(t, hook().bytes())
	changed := a
	changed.Digest[0] ^= 1
	_, err := r.Load(testContext(t), changed, plugin.Options{})
	refused(t, err, "its digest is")
	gone := a
	gone.Path = filepath.Join(t.TempDir(), "gone.wasm")
	if _, err := r.Load(testContext(t), gone, plugin.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// TestPrepare: what is found out about a module, and nothing of it runs.
func TestPrepare(t *testing.T) {
	r := newRuntime(t, Config{})
	m := hook().with(function{export: "gc_configure", signature: "i->i", code: c32(0)},
		function{export: "gc_odd", signature: "->", code: nil},
		function{export: "_initialize", signature: "->", code: code(opUnreachable)})
	m.memory = [2]uint32{3, 0}
	info, err := r.Prepare(context.Background(), artifact(t, m.bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Operations) != 2 || info.Operations[0] != "configure" || info.Operations[1] != "event" || !info.Asks || info.Memory != 3*pageSize || info.Cached {
		t.Fatalf("%+v", info)
	}
}

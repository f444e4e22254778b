package wasm

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// A small assembler: modules of these tests are written as bytes, because
// compilers do not make modules that lie.

type (
	module struct {
		imports []string // module.name signature
		funcs   []function
		memory  [2]uint32 // pages: at least, at most; at most 0: no bound
		hidden  bool      // the memory is not exported
		tables  []uint32  // entries at least
		begin   string    // export that is the start function
		data    string    // at address 0
		extra   []byte    // a custom section, to make the module another one
	}
	function struct {
		export    string
		signature string // as hostFunc: ii->i
		locals    uint32 // i32
		wide      uint32 // i64, behind them
		code      []byte
	}
)

const (
	opUnreachable, opBlock, opLoop, opIf, opEnd, opBr, opBrIf, opCall, opDrop = 0x00, 0x02, 0x03, 0x04, 0x0b, 0x0c, 0x0d, 0x10, 0x1a

	opGet, opSet, opGrow, opConst, opConst64, opEqz, opAdd, opDiv = 0x20, 0x21, 0x40, 0x41, 0x42, 0x45, 0x6a, 0x6d

	opI64Shr, opWrap, opLoad, opStore, void = 0x88, 0xa7, 0x28, 0x36, 0x40
)

func uleb(v uint32) (b []byte) {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

func sleb(v int64) (b []byte) {
	for {
		c := byte(v & 0x7f)
		if v >>= 7; v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// code joins opcodes (ints) and code that is put together already.
func code(parts ...any) (b []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case []byte:
			b = append(b, p...)
		default:
			panic(fmt.Sprintf("code of %T", p))
		}
	}
	return b
}

func c32(v uint32) []byte { return code(opConst, sleb(int64(int32(v)))) }
func get(n uint32) []byte { return code(opGet, uleb(n)) }
func set(n uint32) []byte { return code(opSet, uleb(n)) }
func block(kind int, body ...any) []byte {
	return code(kind, void, code(body...), opEnd)
}

// forever repeats the code without an end.
func forever(body ...any) []byte { return block(opLoop, code(body...), opBr, 0) }

func sized(b []byte) []byte { return append(uleb(uint32(len(b))), b...) }
func text(s string) []byte  { return sized([]byte(s)) }
func section(id byte, items [][]byte) []byte {
	if len(items) == 0 {
		return nil
	}
	body := uleb(uint32(len(items)))
	for _, i := range items {
		body = append(body, i...)
	}
	return append([]byte{id}, sized(body)...)
}

func typeOf(signature string) []byte {
	params, results, _ := strings.Cut(signature, "->")
	b := []byte{0x60}
	for _, list := range []string{params, results} {
		var types []byte
		for _, l := range list {
			types = append(types, map[rune]byte{'i': 0x7f, 'I': 0x7e, 'f': 0x7d, 'F': 0x7c}[l])
		}
		b = append(b, sized(types)...)
	}
	return b
}

// bytes assembles the module. Every function has a type of its own.
func (m module) bytes() []byte {
	var types, imports, funcs, tables, memories, exports, bodies, data [][]byte
	for _, imp := range m.imports {
		name, signature, _ := strings.Cut(imp, " ")
		from, name, _ := strings.Cut(name, ".")
		imports = append(imports, code(text(from), text(name), 0, uleb(uint32(len(types)))))
		types = append(types, typeOf(signature))
	}
	start := []byte(nil)
	for n, f := range m.funcs {
		index := uint32(len(m.imports) + n)
		funcs = append(funcs, uleb(uint32(len(types))))
		types = append(types, typeOf(f.signature))
		if f.export != "" {
			exports = append(exports, code(text(f.export), 0, uleb(index)))
		}
		if f.export == m.begin && m.begin != "" {
			start = append([]byte{8}, sized(uleb(index))...)
		}
		locals := []byte{0}
		if f.locals > 0 {
			locals = code(1, uleb(f.locals), 0x7f)
		}
		if f.wide > 0 {
			locals = code(2, uleb(f.locals), 0x7f, uleb(f.wide), 0x7e)
		}
		bodies = append(bodies, sized(code(locals, f.code, opEnd)))
	}
	for _, entries := range m.tables {
		tables = append(tables, code(0x70, 0, uleb(entries)))
	}
	memories = [][]byte{code(0, uleb(m.memory[0]))}
	if m.memory[1] > 0 {
		memories = [][]byte{code(1, uleb(m.memory[0]), uleb(m.memory[1]))}
	}
	if !m.hidden {
		exports = append(exports, code(text("memory"), 2, 0))
	}
	if m.data != "" {
		data = [][]byte{code(0, c32(0), opEnd, text(m.data))}
	}
	out := []byte("\x00asm\x01\x00\x00\x00")
	if m.extra != nil {
		out = append(out, append([]byte{0}, sized(code(text("extra"), m.extra))...)...)
	}
	return code(out, section(1, types), section(2, imports), section(3, funcs), section(4, tables), section(5, memories),
		section(7, exports), start, section(10, bodies), section(11, data))
}

// What the guests of these tests import, by index.
const (
	fnInputRead = iota
	fnOutputWrite
	fnLog
	fnHostCall
	fnReplyRead
	fnFdWrite
	fnRandomGet
	fnPollOneoff
	fnProcExit
	fnClockTimeGet
	fnPathOpen
	fnFdPrestatGet
	fnCount // the first function of the module itself
)

func usualImports() []string {
	return []string{"gchost.input_read ii->i", "gchost.output_write ii->", "gchost.log iii->", "gchost.host_call iiii->I",
		"gchost.reply_read ii->i", "wasi_snapshot_preview1.fd_write iiii->i", "wasi_snapshot_preview1.random_get ii->i",
		"wasi_snapshot_preview1.poll_oneoff iiii->i", "wasi_snapshot_preview1.proc_exit i->",
		"wasi_snapshot_preview1.clock_time_get iIi->i", "wasi_snapshot_preview1.path_open iiiiiIIii->i",
		"wasi_snapshot_preview1.fd_prestat_get ii->i"}
}

func call(fn uint32, args ...any) []byte { return code(code(args...), opCall, uleb(fn)) }

// buffer is where the guests read their input to.
const buffer = 4096

// echo answers with the input; local 0 is its length.
func echo() []byte {
	return code(call(fnInputRead, c32(buffer), get(0)), set(0), call(fnOutputWrite, c32(buffer), get(0)), c32(0))
}

// answerCode answers with the value that some code leaves on the stack, as four
// bytes.
func answerCode(value ...any) []byte {
	return code(c32(buffer), code(value...), opStore, 2, 0, call(fnOutputWrite, c32(buffer), c32(4)), c32(0))
}

// hook is a guest with one page of memory that runs code when it is called
// without an input, and echoes its input otherwise.
func hook(misdeed ...any) module {
	return module{
		imports: usualImports(), memory: [2]uint32{1, 0},
		funcs: []function{
			{export: "gchost_abi_v1", signature: "->"},
			{export: "gc_event", signature: "i->i", locals: 4,
				code: code(get(0), opEqz, block(opIf, misdeed...), echo())},
		},
	}
}

func (m module) with(f ...function) module {
	m.funcs = append(m.funcs[:len(m.funcs):len(m.funcs)], f...)
	return m
}

// artifact writes a module to a file.
func artifact(t testing.TB, wasm []byte) plugin.Artifact {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plugin.wasm")
	if err := os.WriteFile(path, wasm, 0o600); err != nil {
		t.Fatal(err)
	}
	return plugin.Artifact{Name: "guest", Version: "1.0.0", Contract: wire.ContractHook, Path: path, Digest: sha256.Sum256(wasm)}
}

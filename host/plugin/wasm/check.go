package wasm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Names of what a module exports.
const (
	exportPrefix = "gc_"
	exportMarker = "gchost_abi_v"
	exportInit   = "_initialize"
	exportMain   = "_start"
	exportMemory = "memory"
)

// offered is every module that a plugin may import from.
func offered() map[string][]hostFunc {
	return map[string][]hostFunc{moduleHost: abiFuncs(), moduleWASI: wasiFuncs(), moduleMeter: meterFuncs()}
}

// needs is what a module of a contract must export.
func needs(contract wire.Contract) ([]string, error) {
	switch contract {
	case wire.ContractPlacement:
		return []string{wire.OpCandidates, wire.OpRank}, nil
	case wire.ContractHook:
		return []string{wire.OpEvent}, nil
	case wire.ContractBackend:
		return []string{wire.OpStart, wire.OpStop, wire.OpStatus}, nil
	}
	return nil, fmt.Errorf("there is no contract %q", clip(string(contract), 64))
}

// inspect holds a module against the ABI and its contract.
func inspect(m wazero.CompiledModule, a plugin.Artifact) (Info, error) {
	required, err := needs(a.Contract)
	if err != nil {
		return Info{}, flaw(a, err.Error(), "it is placement, hook or backend")
	}
	exports := m.ExportedFunctions()
	if what, mend := checkMarker(exports); what != "" {
		return Info{}, flaw(a, what, mend)
	}
	info := Info{}
	for name, def := range exports {
		if op, ok := strings.CutPrefix(name, exportPrefix); ok && letters(def) == "i->i" {
			info.Operations = append(info.Operations, op)
		}
	}
	slices.Sort(info.Operations)
	for _, op := range required {
		if !slices.Contains(info.Operations, op) {
			return info, flaw(a, fmt.Sprintf("a %s must export a function %s%s (i32) -> i32", a.Contract, exportPrefix, op), missing(exports, op))
		}
	}
	memory := m.ExportedMemories()[exportMemory]
	if memory == nil {
		return info, flaw(a, "it does not export its memory", "export it under the name memory")
	}
	info.Memory = int64(memory.Min()) * pageSize
	if what := checkStart(exports); what != "" {
		return info, flaw(a, what, "build it as a reactor (go build -buildmode=c-shared, clang -mexec-model=reactor)")
	}
	for _, def := range m.ImportedFunctions() {
		from, name, _ := def.Import()
		if what := checkImport(from, name, letters(def)); what != "" {
			return info, flaw(a, what, "see docs/plugin-abi.md for what a host offers")
		}
		info.Asks = info.Asks || from == moduleHost && name == "host_call"
	}
	return info, nil
}

// missing says what is there in place of an operation.
func missing(exports map[string]api.FunctionDefinition, op string) string {
	if def := exports[exportPrefix+op]; def != nil {
		return "it exports one of type " + letters(def)
	}
	return "it has none: implement it, or install it under another contract"
}

// checkMarker looks for the ABI that a module was made for.
func checkMarker(exports map[string]api.FunctionDefinition) (what, mend string) {
	mine := fmt.Sprint(exportMarker, wire.Version)
	if def := exports[mine]; def != nil {
		if letters(def) != "->" {
			return fmt.Sprintf("its export %s is of type %s", mine, letters(def)), "it takes and returns nothing"
		}
		return "", ""
	}
	for _, name := range slices.Sorted(maps.Keys(exports)) {
		if other, ok := strings.CutPrefix(name, exportMarker); ok {
			return fmt.Sprintf("wrong ABI version %s, this host speaks %d", clip(other, 32), wire.Version),
				"build it with the SDK of this host's version"
		}
	}
	return "it is WebAssembly, but no plugin of gchost: it does not export " + mine, "build it with the SDK, or export that function"
}

// checkStart refuses programs that must run before they can be called.
func checkStart(exports map[string]api.FunctionDefinition) string {
	init := exports[exportInit]
	switch {
	case init != nil && letters(init) != "->":
		return "its export " + exportInit + " is of type " + letters(init) + ", it must take and return nothing"
	case init == nil && exports[exportMain] != nil:
		return "it is a program with a " + exportMain + ", not a library with an " + exportInit
	}
	return ""
}

// checkImport says what is wrong with an import of a function, "" for nothing.
func checkImport(from, name, signature string) string {
	funcs, ok := offered()[from]
	if !ok {
		return fmt.Sprintf("it imports from a module %q that there is not", clip(from, 64))
	}
	at := slices.IndexFunc(funcs, func(f hostFunc) bool { return f.name == name })
	if at < 0 {
		return fmt.Sprintf("it imports %s.%s, which there is not", from, clip(name, 64))
	}
	if want := funcs[at].params + "->" + funcs[at].results; signature != want {
		return fmt.Sprintf("it imports %s.%s as %s, and it is %s (i: i32, I: i64)", from, name, signature, want)
	}
	return ""
}

// letters writes a signature as hostFunc does: i is i32, I is i64.
func letters(def api.FunctionDefinition) string {
	var b strings.Builder
	write := func(types []api.ValueType) {
		for _, t := range types {
			switch t {
			case api.ValueTypeI32:
				b.WriteByte('i')
			case api.ValueTypeI64:
				b.WriteByte('I')
			default:
				b.WriteByte('?')
			}
		}
	}
	write(def.ParamTypes())
	b.WriteString("->")
	write(def.ResultTypes())
	return b.String()
}

// checkImports looks for imports that are no functions. The module was read
// strictly before (package fuel): what does not parse here is an error all the
// same.
func checkImports(module []byte) error {
	const sectionImport, kindFunc = 2, 0
	bad := errors.New("its import section cannot be read")
	rest := module[min(8, len(module)):]
	for len(rest) > 0 {
		id := rest[0]
		size, n := binary.Uvarint(rest[1:])
		if n <= 0 || size > uint64(len(rest)-1-n) {
			return bad
		}
		body := rest[1+n:][:size]
		rest = rest[1+n:][size:]
		if id != sectionImport {
			continue
		}
		count, n := binary.Uvarint(body)
		if n <= 0 {
			return bad
		}
		body = body[n:]
		for range count {
			from, name := cutName(&body), cutName(&body)
			if len(body) < 2 {
				return bad
			}
			if kind := body[0]; kind != kindFunc {
				return fmt.Errorf("it imports %s.%s, which is no function", clip(from, 64), clip(name, 64))
			}
			_, n := binary.Uvarint(body[1:])
			if n <= 0 {
				return bad
			}
			body = body[1+n:]
		}
	}
	return nil
}

// cutName takes a name off the front of b; of what is broken, nothing is left.
func cutName(b *[]byte) string {
	size, n := binary.Uvarint(*b)
	if n <= 0 || size > uint64(len(*b)-n) {
		*b = nil
		return ""
	}
	name := (*b)[n:][:size]
	*b = (*b)[n:][size:]
	return string(name)
}

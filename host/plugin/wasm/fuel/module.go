package fuel

import "slices"

// The sections, by their ids.
const (
	secCustom byte = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	sections
)

// order is the order of the sections in a file; each is there once or not.
var order = [...]byte{
	secType, secImport, secFunction, secTable, secMemory, secGlobal, secExport,
	secStart, secElement, secDataCount, secCode, secData,
}

var sectionNames = [sections]string{
	"custom", "type", "import", "function", "table", "memory", "global", "export",
	"start", "element", "code", "data", "data count",
}

// module is a module on its way. The counts are those of the original, imported
// ones first; each is final when the section that defines it is read.
type module struct {
	limits   Options
	mod      []byte
	sections [sections]reader // without custom; an absent one has no b
	names    reader           // the last custom section "name"
	metered  bool             // it has functions, so it gets the import
	out      []byte
	part     []byte // the section that is being written

	types, functions, tables, memories, globals uint32
	importedFunctions, importedGlobals          uint32
	elements                                    uint32
	scan                                        scan
}

func (m *module) has(id byte) bool { return m.sections[id].b != nil }

// split finds the sections of a module.
func split(mod []byte) (*module, error) {
	if len(mod) < 8 || string(mod[:4]) != "\x00asm" {
		return nil, &Refusal{What: "it does not begin as WebAssembly does", Mend: "name a .wasm file"}
	}
	if string(mod[4:8]) != "\x01\x00\x00\x00" {
		return nil, &Refusal{Offset: 4, What: "it is not a core module of version 1",
			Mend: "components are not taken: build a core module, for WASI preview 1 if it needs WASI"}
	}
	m := &module{mod: mod}
	last := -1 // place in order of the last section
	r := reader{b: mod, at: 8, end: len(mod)}
	for r.more() {
		from := r.at
		id := r.byte()
		size := r.u32()
		start := r.at
		r.skip(uint64(size))
		if r.fault != nil {
			break
		}
		body := reader{b: mod, at: start, end: r.at}
		if id == secCustom {
			body.section = sectionNames[id]
			if string(body.name()) == "name" {
				m.names = body
			}
			if body.fault != nil {
				return nil, body.fault
			}
			continue
		}
		place := slices.Index(order[:], id)
		if place < 0 {
			r.fail(from, "build it for WebAssembly 2.0, without exceptions", "section %d is not known", id)
			break
		}
		if place <= last {
			r.fail(from, rebuild, "the %s section is twice there or not in its place", sectionNames[id])
			break
		}
		last = place
		body.section = sectionNames[id]
		m.sections[id] = body
	}
	return m, r.err()
}

// rewrite reads every section in its order, and writes the metered module if
// there is something to meter.
func (m *module) rewrite() error {
	if m.has(secFunction) {
		r := m.sections[secFunction]
		m.metered = r.u32() > 0
	}
	if m.metered {
		m.out = append(make([]byte, 0, len(m.mod)+len(m.mod)/8+512), m.mod[:8]...)
	}
	for _, id := range order {
		r := &m.sections[id]
		m.part = m.part[:0]
		switch {
		case m.has(id):
			m.section(id, r)
			r.done()
		case m.metered:
			m.absent(id, r)
		}
		if r.fault != nil {
			return r.fault
		}
		if m.metered && len(m.part) > 0 {
			m.write(id, m.part)
		}
	}
	if m.metered {
		m.writeNames()
	}
	return nil
}

func (m *module) write(id byte, body []byte) {
	m.out = append(m.out, id)
	m.out = appendU(m.out, uint32(len(body)))
	m.out = append(m.out, body...)
}

// section reads a section and writes its new form to m.part.
func (m *module) section(id byte, r *reader) {
	from := r.at
	switch id {
	case secType:
		m.readTypes(r)
	case secImport:
		m.readImports(r)
	case secFunction:
		m.readFunctions(r)
	case secTable:
		m.readTables(r)
	case secMemory:
		m.readMemories(r)
	case secGlobal:
		m.readGlobals(r)
	case secExport:
		m.readExports(r)
	case secStart:
		m.putFunction(r.index("function", m.functions))
	case secElement:
		m.readElements(r)
	case secCode:
		m.readCode(r)
	case secData, secDataCount:
		if id == secData {
			m.readData(r)
		} else {
			r.u32()
		}
		m.part = append(m.part[:0], m.mod[from:r.at]...)
	}
}

// absent writes a section that the module does not have, if the meter needs it.
func (m *module) absent(id byte, r *reader) {
	switch id {
	case secType:
		m.putMeterTypes(0, nil)
	case secImport:
		m.putMeterImport(0, nil)
	case secGlobal:
		m.putMeterGlobal(0, nil)
	case secCode:
		r.section = sectionNames[id]
		r.fail(len(m.mod), rebuild, "there are functions without code")
	}
}

package fuel

import (
	"bytes"
	"strings"
)

// maxMembers bounds the lists that cost little but must not be endless.
const maxMembers = 1 << 20

// list copies what r reads while it does read, as it is.
func (m *module) list(r *reader, read func()) []byte {
	from := r.at
	read()
	return m.mod[from:r.at]
}

func valueType(r *reader) {
	at := r.at
	switch c := r.byte(); c {
	case 0x7f, 0x7e, 0x7d, 0x7c, 0x7b, 0x70, 0x6f:
	default:
		r.fail(at, newer("typed references"), "value type %#x is not known", c)
	}
}

func refType(r *reader) byte {
	at := r.at
	c := r.byte()
	if c != 0x70 && c != 0x6f {
		r.fail(at, newer("typed references"), "reference type %#x is not known", c)
	}
	return c
}

func (m *module) readTypes(r *reader) {
	n := r.count("types", maxMembers)
	l := m.list(r, func() {
		for i := uint32(0); i < n && r.fault == nil; i++ {
			if at := r.at; r.byte() != typeFunc && r.fault == nil {
				r.fail(at, newer("garbage collection"), "type %d is not that of a function", i)
			}
			for range 2 {
				for k := r.u32(); k > 0 && r.fault == nil; k-- {
					valueType(r)
				}
			}
		}
	})
	m.types = n
	if m.metered {
		m.putMeterTypes(n, l)
	}
}

func (m *module) readImports(r *reader) {
	n := r.count("imports", maxMembers)
	l := m.list(r, func() {
		for i := uint32(0); i < n && r.fault == nil; i++ {
			m.readImport(r)
		}
	})
	m.importedFunctions, m.importedGlobals = m.functions, m.globals
	if m.metered {
		m.putMeterImport(n, l)
	}
}

func (m *module) readImport(r *reader) {
	from := r.at
	if string(r.name()) == MeterModule {
		r.fail(from, "leave it out: the host adds the meter", "it imports from %s", MeterModule)
	}
	r.name()
	at := r.at
	switch kind := r.byte(); kind {
	case kindFunc:
		r.index("type", m.types)
		m.functions++
	case kindTable:
		refType(r)
		limits(r)
		m.tables++
	case kindMem:
		limits(r)
		m.memories++
	case kindVar:
		globalType(r)
		m.globals++
	default:
		r.fail(at, newer("exceptions"), "import kind %#x is not known", kind)
	}
}

// limits reads the least and the most size of a table or a memory.
func limits(r *reader) (least, most uint32, bounded bool) {
	at := r.at
	flags := r.byte()
	if flags > 1 {
		r.fail(at, newer("threads, memory64"), "limits of kind %#x are not known", flags)
	}
	least, most = r.u32(), ^uint32(0)
	if flags == 1 {
		most = r.u32()
	}
	return least, most, flags == 1
}

func globalType(r *reader) {
	valueType(r)
	at := r.at
	if c := r.byte(); c > 1 {
		r.fail(at, newer("threads"), "mutability %#x of a global is not known", c)
	}
}

func (m *module) readFunctions(r *reader) {
	n := r.count("functions", max(0, m.limits.Functions-int(m.importedFunctions)))
	l := m.list(r, func() {
		for i := uint32(0); i < n && r.fault == nil; i++ {
			r.index("type", m.types)
		}
	})
	m.functions += n
	if m.metered {
		m.part = append(appendU(m.part, n+2), l...)
		m.part = appendU(m.part, m.topUpType())
		m.part = appendU(m.part, m.payType())
	}
}

// readTables gives each table a maximum: what a guest allocates by table.grow is
// beyond the limit on its memory.
func (m *module) readTables(r *reader) {
	n := r.count("tables", m.limits.Tables)
	m.part = appendU(m.part, n)
	for i := uint32(0); i < n && r.fault == nil; i++ {
		from := r.at
		kind := refType(r)
		least, most, _ := limits(r)
		if uint64(least) > uint64(m.limits.Entries) {
			r.fail(from, "build it for size", "table %d has %d entries, allowed are %d", i, least, m.limits.Entries)
		}
		if least <= most { // else it is not valid, and has to stay so
			most = min(most, uint32(m.limits.Entries))
		}
		m.part = append(m.part, kind, 1)
		m.part = appendU(appendU(m.part, least), most)
	}
	m.tables += n
}

func (m *module) readMemories(r *reader) {
	from := r.at
	n := r.count("memories", maxMembers)
	for i := uint32(0); i < n && r.fault == nil; i++ {
		limits(r)
	}
	m.memories += n
	if m.memories > 1 {
		r.fail(from, newer("multi-memory"), "there are %d memories, allowed is 1", m.memories)
	}
	m.part = append(m.part, m.mod[from:r.at]...)
}

func (m *module) readGlobals(r *reader) {
	n := r.count("globals", maxMembers)
	head := len(m.part)
	for i := uint32(0); i < n && r.fault == nil; i++ {
		from := r.at
		globalType(r)
		m.part = append(m.part, m.mod[from:r.at]...)
		m.readConst(r)
	}
	m.globals += n
	if m.metered {
		l := bytes.Clone(m.part[head:])
		m.part = m.part[:head]
		m.putMeterGlobal(n, l)
	}
}

// readConst reads the expression of a constant: one instruction and the end. It
// may name the globals that are imported.
func (m *module) readConst(r *reader) {
	from := r.at
	switch op := r.byte(); op {
	case 0x41:
		r.signed(32)
	case 0x42:
		r.signed(64)
	case 0x43:
		r.skip(4)
	case 0x44:
		r.skip(8)
	case 0x23:
		r.index("imported global", m.importedGlobals)
	case 0xd0:
		refType(r)
	case 0xd2:
		i := r.index("function", m.functions)
		m.part = append(m.part, op)
		m.putFunction(i)
		from = r.at
	case 0xfd:
		if at := r.at; r.u32() != 12 {
			r.fail(at, newer("extended-const"), "an instruction that is no constant")
		}
		r.skip(16)
	default:
		r.fail(from, newer("extended-const"), "instruction %#x is no constant", op)
	}
	if at := r.at; r.byte() != opEnd {
		r.fail(at, newer("extended-const"), "a constant of several instructions")
	}
	m.part = append(m.part, m.mod[from:r.at]...)
}

func (m *module) readExports(r *reader) {
	n := r.count("exports", maxMembers)
	m.part = appendU(m.part, n)
	for i := uint32(0); i < n && r.fault == nil; i++ {
		from := r.at
		name := string(r.name())
		if strings.HasPrefix(name, "gc_meter") {
			r.fail(from, "rename it: such names are kept for the meter", "it exports %q", name[:min(len(name), 64)])
		}
		kindAt := r.at
		kind := r.byte()
		m.part = append(m.part, m.mod[from:r.at]...)
		switch kind {
		case kindFunc:
			m.putFunction(r.index("function", m.functions))
		case kindTable:
			m.part = appendU(m.part, r.index("table", m.tables))
		case kindMem:
			m.part = appendU(m.part, r.index("memory", m.memories))
		case kindVar:
			m.part = appendU(m.part, r.index("global", m.globals))
		default:
			r.fail(kindAt, newer("exceptions"), "export kind %#x is not known", kind)
		}
	}
}

// newer says how to do without a feature of later versions.
func newer(feature string) string {
	return "build it for WebAssembly 2.0, without " + feature
}

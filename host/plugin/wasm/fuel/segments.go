package fuel

import "unicode/utf8"

// readElements rewrites the segments of tables. The three low bits of a segment's
// flags say what it has: 1 that it is passive or declared, 2 that a table or a
// kind is named (or, with 1, that it is only declared), 4 that its entries are
// expressions and not indices.
func (m *module) readElements(r *reader) {
	n := r.count("element segments", maxMembers)
	m.part = appendU(m.part, n)
	for i := uint32(0); i < n && r.fault == nil; i++ {
		m.readElement(r)
	}
	m.elements = n
}

func (m *module) readElement(r *reader) {
	at := r.at
	flags := r.u32()
	if flags > 7 {
		r.fail(at, rebuild, "element segment of kind %#x", flags)
		return
	}
	passive, named, exprs := flags&1 != 0, flags&2 != 0, flags&4 != 0
	m.part = append(m.part, byte(flags))
	if !passive {
		if named {
			m.part = appendU(m.part, r.index("table", m.tables))
		} else if m.tables == 0 {
			r.fail(at, rebuild, "an element segment for table 0, and there is none")
		}
		m.readConst(r)
	}
	if passive || named {
		at := r.at
		if exprs {
			refType(r)
		} else if r.byte() != 0 {
			r.fail(at, rebuild, "element kind is not known")
		}
		m.part = append(m.part, m.mod[at:r.at]...)
	}
	k := r.u32()
	m.part = appendU(m.part, k)
	for ; k > 0 && r.fault == nil; k-- {
		if exprs {
			m.readConst(r)
		} else {
			m.putFunction(r.index("function", m.functions))
		}
	}
}

// readData checks the segments of memory; nothing in them is renumbered. What
// it leaves in m.part is thrown away.
func (m *module) readData(r *reader) {
	n := r.count("data segments", maxMembers)
	for i := uint32(0); i < n && r.fault == nil; i++ {
		at := r.at
		flags := r.u32()
		if flags > 2 {
			r.fail(at, rebuild, "data segment of kind %#x", flags)
		}
		if flags == 2 {
			r.index("memory", m.memories)
		}
		if flags != 1 {
			m.readConst(r)
		}
		r.skip(uint64(r.u32()))
	}
}

// The parts of a custom section "name" that are kept.
const (
	namesOfModule    = 0
	namesOfFunctions = 1
)

// writeNames keeps the names of functions, for the traces of traps. The section
// says nothing that matters: of a damaged one nothing is kept.
func (m *module) writeNames() {
	r := m.names
	b := appendName(nil, "name")
	for r.more() {
		id := r.byte()
		size := r.u32()
		part := reader{b: r.b, at: r.at, end: r.at}
		r.skip(uint64(size))
		if r.fault != nil {
			return
		}
		part.end = r.at
		switch id {
		case namesOfModule:
			from := part.at
			text(&part)
			part.done()
			b = appendU(append(b, id), size)
			b = append(b, part.b[from:part.end]...)
		case namesOfFunctions:
			l := m.functionNames(&part)
			b = appendU(append(b, id), uint32(len(l)))
			b = append(b, l...)
		}
		if part.fault != nil {
			return
		}
	}
	if m.names.b != nil {
		m.write(secCustom, b)
	}
}

func (m *module) functionNames(r *reader) []byte {
	n := r.u32()
	b := appendU(nil, n)
	next := uint32(0)
	for ; n > 0 && r.fault == nil; n-- {
		at := r.at
		i := r.index("function", m.functions)
		if i < next {
			r.fail(at, rebuild, "names are out of order")
		}
		next = i + 1
		b = appendU(b, m.renumber(i))
		from := r.at
		text(r)
		b = append(b, r.b[from:r.at]...)
	}
	r.done()
	return b
}

// text reads a name that is for people.
func text(r *reader) {
	if at := r.at; !utf8.Valid(r.name()) {
		r.fail(at, rebuild, "a name is not UTF-8")
	}
}

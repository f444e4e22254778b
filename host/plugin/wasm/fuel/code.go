package fuel

// maxLocals is the most that a function may have; an entry pays for all of them,
// and compilers refuse more.
const maxLocals = 50_000

// edit is one change of a function's body: the bytes from at to end are replaced.
type edit struct {
	at, end int
	kind    editKind
	arg     uint32 // the region that is charged, or the new index
}

type editKind byte

const (
	editCharge editKind = iota // charge a region
	editIndex                  // write an index
	editPay                    // charge by the length on the stack
)

// scan is what is known of the body that is read. A region is what is paid for
// at one place: a function or a loop without the loops inside of it.
type scan struct {
	edits []edit
	cost  []int64  // of each region
	open  []uint32 // the region of each open block, the function's own first
	done  bool     // the function's end was read
}

// readCode rewrites all bodies and adds those of the meter.
func (m *module) readCode(r *reader) {
	from := r.at
	n := r.u32()
	if defined := m.functions - m.importedFunctions; n != defined && r.fault == nil {
		r.fail(from, rebuild, "there are %d bodies for %d functions", n, defined)
	}
	if !m.metered {
		return
	}
	m.part = appendU(m.part, n+2)
	var body []byte
	for i := uint32(0); i < n && r.fault == nil; i++ {
		from := r.at
		size := r.u32()
		if uint64(size) > uint64(m.limits.Body) {
			r.fail(from, "split the function, or build it for size",
				"function %d has %d bytes, allowed are %d", m.importedFunctions+i, size, m.limits.Body)
		}
		start := r.at
		r.skip(uint64(size))
		b := reader{b: r.b, at: start, end: r.at, section: r.section, fault: r.fault}
		body = m.readBody(&b, body[:0])
		r.fault = b.fault
		m.putBody(body)
	}
	m.putBody(m.topUpBody())
	m.putBody(m.payBody())
}

func (m *module) putBody(b []byte) {
	m.part = append(appendU(m.part, uint32(len(b))), b...)
}

// readBody reads a function and appends its new form to dst.
func (m *module) readBody(r *reader, dst []byte) []byte {
	s := &m.scan
	from := r.at
	locals := readLocals(r)
	s.edits = append(s.edits[:0], edit{r.at, r.at, editCharge, 0})
	s.cost = append(s.cost[:0], 1+int64(locals)/8)
	s.open = append(s.open[:0], 0)
	s.done = false
	for r.more() && !s.done {
		m.instruction(r, s)
	}
	if !s.done {
		r.fail(r.at, rebuild, "a function does not end")
	}
	r.done()
	if r.fault != nil {
		return dst
	}
	for _, e := range s.edits {
		dst = append(dst, r.b[from:e.at]...)
		from = e.end
		switch e.kind {
		case editCharge:
			dst = m.appendCharge(dst, s.cost[e.arg])
		case editIndex:
			dst = appendU(dst, e.arg)
		case editPay:
			dst = appendU(append(dst, opCall), m.payIndex())
		}
	}
	return append(dst, r.b[from:r.end]...)
}

func readLocals(r *reader) uint64 {
	var n uint64
	for groups := r.u32(); groups > 0 && r.fault == nil; groups-- {
		from := r.at
		n += uint64(r.u32())
		if n > maxLocals {
			r.fail(from, "split the function", "a function has %d locals, allowed are %d", n, maxLocals)
		}
		valueType(r)
	}
	return n
}

// instruction reads one instruction and notes what has to be changed.
func (m *module) instruction(r *reader, s *scan) {
	at := r.at
	op := r.byte()
	imm := single(op)
	switch imm {
	case immRange:
		imm = immUnknown
		if sub := r.u32(); sub < uint32(len(ranged)) {
			imm = ranged[sub]
		}
	case immVector:
		imm = vector(r.u32())
	}
	region := s.open[len(s.open)-1]
	s.cost[region]++
	switch imm {
	case immUnknown:
		r.fail(at, newer(extension(op)), "instruction %#x is not of WebAssembly 2.0", op)
	case immNone:
	case immEnd:
		s.open = s.open[:len(s.open)-1]
		s.done = len(s.open) == 0
	case immBlock:
		m.blockType(r)
		s.open = append(s.open, region)
	case immLoop:
		m.blockType(r)
		region = uint32(len(s.cost))
		s.cost = append(s.cost, 1)
		s.open = append(s.open, region)
		s.edits = append(s.edits, edit{r.at, r.at, editCharge, region})
	case immCall, immRefFunc:
		from := r.at
		i := r.index("function", m.functions)
		s.edits = append(s.edits, edit{from, r.at, editIndex, m.renumber(i)})
	case immMemoryInit, immMemoryCopy, immMemoryFill, immTableInit, immTableCopy, immTableFill:
		s.edits = append(s.edits, edit{at, at, editPay, 0})
		m.rangeImmediate(r, imm)
	default:
		m.immediate(r, imm)
	}
}

// blockType is void, one value type, or the index of a type.
func (m *module) blockType(r *reader) {
	from := r.at
	switch t := r.signed(33); {
	case r.fault != nil:
	case t >= 0:
		if t >= int64(m.types) {
			r.fail(from, rebuild, "type %d is named, there are %d", t, m.types)
		}
	case r.at != from+1 || r.b[from] != typeVoid:
		r.at = from
		valueType(r)
	}
}

const oneMemory = "a memory other than the first"

func (m *module) rangeImmediate(r *reader, imm immediate) {
	switch imm {
	case immMemoryInit:
		r.u32()
		r.zero(oneMemory)
	case immMemoryCopy:
		r.zero(oneMemory)
		r.zero(oneMemory)
	case immMemoryFill:
		r.zero(oneMemory)
	case immTableInit:
		r.index("element segment", m.elements)
		r.index("table", m.tables)
	case immTableCopy:
		r.index("table", m.tables)
		r.index("table", m.tables)
	case immTableFill:
		r.index("table", m.tables)
	}
}

// immediate reads what nothing is changed in.
func (m *module) immediate(r *reader, imm immediate) {
	switch imm {
	case immNumber:
		r.u32()
	case immBranches:
		for n := r.u32(); n > 0 && r.fault == nil; n-- {
			r.u32()
		}
		r.u32()
	case immIndirect:
		r.index("type", m.types)
		r.index("table", m.tables)
	case immTypes:
		for n := r.u32(); n > 0 && r.fault == nil; n-- {
			valueType(r)
		}
	case immGlobal:
		r.index("global", m.globals)
	case immTable:
		r.index("table", m.tables)
	case immElementSegment:
		r.index("element segment", m.elements)
	case immMemory, immMemoryLane:
		from := r.at
		if r.u32() > 31 {
			r.fail(from, newer("multi-memory"), "alignment of an access is not known")
		}
		r.u32()
		if imm == immMemoryLane {
			r.byte()
		}
	case immMemoryIndex:
		r.zero(oneMemory)
	case immI32:
		r.signed(32)
	case immI64:
		r.signed(64)
	case imm4:
		r.skip(4)
	case imm8:
		r.skip(8)
	case imm16:
		r.skip(16)
	case immRefType:
		refType(r)
	case immLane:
		r.byte()
	}
}

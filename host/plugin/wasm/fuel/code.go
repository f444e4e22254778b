package fuel

// maxLocals is the most that a function may have; an entry pays for all of them,
// and compilers refuse more.
const maxLocals = 50_000

// ownCharge is how many instructions a run must have to be paid for where it
// begins. Less is not worth the check: a shorter one is paid for by the one that
// opens its block. A compiled Go function is one loop over all of its blocks; without
// this its header would pay for the whole function each time.
const ownCharge = 32

// edit is one change of a function's body: the bytes from at to end are replaced.
type edit struct {
	at, end int
	kind    editKind
	arg     uint32 // the run that is charged, or the new index
}

type editKind byte

const (
	editCharge editKind = iota // charge a run
	editIndex                  // write an index
	editPay                    // charge by the length on the stack
)

// scan is what is known of the body that is read.
//
// A run is a stretch of instructions that is entered at its beginning only: the
// first of a function, of a loop, of an arm of an if, or what follows an end. The
// first two are headers. Whoever comes to another one has come through its
// opener, the run in which its block was opened, and again through that before
// he comes to it a second time. So its opener can pay for it.
type scan struct {
	edits []edit
	runs  []run
	now   uint32   // the run that is read
	open  []uint32 // the run in which each open block was opened
	done  bool     // the function's end was read
}

type run struct {
	cost   int64
	header bool
	opener uint32 // lower than its own number, but for the function's first
}

// begin begins a run at a place.
func (s *scan) begin(at int, opener uint32, header bool) {
	s.now = uint32(len(s.runs))
	s.runs = append(s.runs, run{header: header, opener: opener})
	s.edits = append(s.edits, edit{at, at, editCharge, s.now})
}

// push opens a block, pop ends one and says where it was opened.
func (s *scan) push() { s.open = append(s.open, s.now) }

func (s *scan) pop() uint32 {
	last := len(s.open) - 1
	opener := s.open[last]
	s.open = s.open[:last]
	return opener
}

// settle has the openers pay for short runs. What a run pays for is known when
// all that come after it are settled.
func (s *scan) settle() {
	for i := len(s.runs) - 1; i >= 0; i-- {
		if r := &s.runs[i]; !r.header && r.cost < ownCharge {
			s.runs[r.opener].cost += r.cost
			r.cost = 0
		}
	}
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
		if most := 2 * m.limits.Module; len(m.part) > most {
			r.fail(from, "it has too many small loops", "metered the module would have more than %d bytes", most)
		}
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
	s.edits, s.runs, s.open, s.done = s.edits[:0], s.runs[:0], s.open[:0], false
	s.begin(r.at, 0, true)
	s.push()
	s.runs[0].cost = 1 + int64(locals)/8
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
	s.settle()
	for _, e := range s.edits {
		dst = append(dst, r.b[from:e.at]...)
		from = e.end
		switch e.kind {
		case editCharge:
			if cost := s.runs[e.arg].cost; cost > 0 {
				dst = m.appendCharge(dst, cost)
			}
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
	s.runs[s.now].cost++
	switch imm {
	case immUnknown:
		r.fail(at, newer(extension(op)), "instruction %#x is not of WebAssembly 2.0", op)
	case immNone:
	case immElse:
		s.begin(r.at, s.open[len(s.open)-1], false)
	case immEnd:
		opener := s.pop()
		if s.done = len(s.open) == 0; !s.done {
			s.begin(r.at, opener, false)
		}
	case immBlock:
		m.blockType(r)
		s.push()
	case immIf:
		m.blockType(r)
		s.push()
		s.begin(r.at, s.now, false)
	case immLoop:
		m.blockType(r)
		s.push()
		s.begin(r.at, s.now, true)
		s.runs[s.now].cost = 1
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

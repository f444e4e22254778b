package fuel

// Instructions and types that the meter is made of.
const (
	opLoop      = 0x03
	opIf        = 0x04
	opEnd       = 0x0b
	opBrIf      = 0x0d
	opCall      = 0x10
	opLocalGet  = 0x20
	opGlobalGet = 0x23
	opGlobalSet = 0x24
	opI64Const  = 0x42
	opI64LtS    = 0x53
	opI64Add    = 0x7c
	opI64Sub    = 0x7d
	opI64ShrU   = 0x88
	opExtendU   = 0xad // i64.extend_i32_u

	typeFunc  = 0x60
	typeVoid  = 0x40
	typeI32   = 0x7f
	typeI64   = 0x7e
	kindFunc  = 0
	kindTable = 1
	kindMem   = 2
	kindVar   = 3

	rangeShift = 3 // bytes or entries of a range operation to a unit, as a power of two
)

func appendU(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendS(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func appendName(b []byte, s string) []byte {
	return append(appendU(b, uint32(len(s))), s...)
}

// The meter's own members lie behind those of the module.

func (m *module) refillIndex() uint32 { return m.importedFunctions }
func (m *module) topUpIndex() uint32  { return m.functions + 1 }
func (m *module) payIndex() uint32    { return m.functions + 2 }
func (m *module) fuelIndex() uint32   { return m.globals }
func (m *module) refillType() uint32  { return m.types }
func (m *module) topUpType() uint32   { return m.types + 1 }
func (m *module) payType() uint32     { return m.types + 2 }

// putFunction writes the new index of a function.
func (m *module) putFunction(i uint32) {
	m.part = appendU(m.part, m.renumber(i))
}

func (m *module) renumber(i uint32) uint32 {
	if m.metered && i >= m.importedFunctions {
		return i + 1
	}
	return i
}

func (m *module) putMeterTypes(n uint32, list []byte) {
	m.part = append(appendU(m.part, n+3), list...)
	m.part = append(m.part,
		typeFunc, 0, 1, typeI64, // refill
		typeFunc, 0, 0, // top up
		typeFunc, 1, typeI32, 1, typeI32) // pay
}

func (m *module) putMeterImport(n uint32, list []byte) {
	m.part = append(appendU(m.part, n+1), list...)
	m.part = appendName(m.part, MeterModule)
	m.part = appendName(m.part, MeterRefill)
	m.part = appendU(append(m.part, kindFunc), m.refillType())
}

func (m *module) putMeterGlobal(n uint32, list []byte) {
	m.part = append(appendU(m.part, n+1), list...)
	m.part = append(m.part, typeI64, 1, opI64Const, 0, opEnd)
}

// appendTake takes what the instructions before it left on the stack away from
// the counter, and calls for more when that leaves less than nothing. What has
// to be on the stack is the counter, and then the units.
func (m *module) appendTake(b []byte) []byte {
	b = append(b, opI64Sub)
	b = appendU(append(b, opGlobalSet), m.fuelIndex())
	b = appendU(append(b, opGlobalGet), m.fuelIndex())
	b = append(b, opI64Const, 0, opI64LtS, opIf, typeVoid)
	b = appendU(append(b, opCall), m.topUpIndex())
	return append(b, opEnd)
}

// appendCharge takes a fixed number of units.
func (m *module) appendCharge(b []byte, units int64) []byte {
	b = appendU(append(b, opGlobalGet), m.fuelIndex())
	b = appendS(append(b, opI64Const), units)
	return m.appendTake(b)
}

// topUpBody asks the host for slices until the debt is paid.
func (m *module) topUpBody() []byte {
	b := []byte{0, opLoop, typeVoid}
	b = appendU(append(b, opGlobalGet), m.fuelIndex())
	b = appendU(append(b, opCall), m.refillIndex())
	b = appendU(append(b, opI64Add, opGlobalSet), m.fuelIndex())
	b = appendU(append(b, opGlobalGet), m.fuelIndex())
	return append(b, opI64Const, 0, opI64LtS, opBrIf, 0, opEnd, opEnd)
}

// payBody charges for the length of a range operation, which it is given and
// gives back.
func (m *module) payBody() []byte {
	b := appendU([]byte{0, opGlobalGet}, m.fuelIndex())
	b = append(b, opLocalGet, 0, opExtendU, opI64Const, rangeShift, opI64ShrU)
	b = m.appendTake(b)
	return append(b, opLocalGet, 0, opEnd)
}

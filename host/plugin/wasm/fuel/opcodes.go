package fuel

// immediate is what follows an opcode.
type immediate byte

const (
	immUnknown        immediate = iota // the opcode is not one of WebAssembly 2.0
	immNone                            //
	immEnd                             // none, and it ends a block
	immElse                            // none, and the other arm begins
	immBlock                           // type of the block
	immIf                              // type of the block, which is an if
	immLoop                            // type of the block, which is a loop
	immNumber                          // an index whose range the validator checks
	immBranches                        // labels, and one more
	immCall                            // function
	immRefFunc                         // function
	immIndirect                        // type, table
	immTypes                           // value types
	immGlobal                          // global
	immTable                           // table
	immMemory                          // alignment, offset
	immMemoryIndex                     // 0
	immI32                             // signed 32 bits
	immI64                             // signed 64 bits
	imm4                               // 4 bytes
	imm8                               // 8 bytes
	imm16                              // 16 bytes
	immRefType                         // reference type
	immLane                            // a byte
	immMemoryLane                      // alignment, offset, a byte
	immRange                           // the opcodes of prefix 0xfc
	immVector                          // the opcodes of prefix 0xfd
	immMemoryInit                      // data segment, 0; a range operation
	immMemoryCopy                      // 0, 0; a range operation
	immMemoryFill                      // 0; a range operation
	immTableInit                       // element segment, table; a range operation
	immTableCopy                       // table, table; a range operation
	immTableFill                       // table; a range operation
	immElementSegment                  // element segment
)

// opcodes says what follows the opcodes of one byte, but for the two spans in
// [single].
var opcodes = [256]immediate{
	0x00: immNone, 0x01: immNone, // unreachable, nop
	0x02: immBlock, 0x03: immLoop, 0x04: immIf, 0x05: immElse, 0x0b: immEnd, // block, loop, if, else, end
	0x0c: immNumber, 0x0d: immNumber, 0x0e: immBranches, 0x0f: immNone, // br, br_if, br_table, return
	0x10: immCall, 0x11: immIndirect,
	0x1a: immNone, 0x1b: immNone, 0x1c: immTypes, // drop, select
	0x20: immNumber, 0x21: immNumber, 0x22: immNumber, // locals
	0x23: immGlobal, 0x24: immGlobal, 0x25: immTable, 0x26: immTable,
	0x3f: immMemoryIndex, 0x40: immMemoryIndex, // memory.size, memory.grow
	0x41: immI32, 0x42: immI64, 0x43: imm4, 0x44: imm8,
	0xd0: immRefType, 0xd1: immNone, 0xd2: immRefFunc,
	0xfc: immRange, 0xfd: immVector,
}

// ranged says what follows the opcodes of prefix 0xfc.
var ranged = [...]immediate{
	0: immNone, 1: immNone, 2: immNone, 3: immNone, 4: immNone, 5: immNone, 6: immNone, 7: immNone,
	8: immMemoryInit, 9: immNumber, 10: immMemoryCopy, 11: immMemoryFill,
	12: immTableInit, 13: immElementSegment, 14: immTableCopy,
	15: immTableFill /* table.grow */, 16: immTable, 17: immTableFill,
}

// lastVector is the highest opcode of prefix 0xfd; those above it are of relaxed SIMD.
const lastVector = 255

func vector(op uint32) immediate {
	switch {
	case op <= 11 || op == 92 || op == 93:
		return immMemory
	case op == 12 || op == 13:
		return imm16
	case op >= 21 && op <= 34:
		return immLane
	case op >= 84 && op <= 91:
		return immMemoryLane
	case op <= lastVector:
		return immNone
	}
	return immUnknown
}

// single says what follows an opcode of one byte.
func single(op byte) immediate {
	switch {
	case op >= 0x45 && op <= 0xc4: // comparisons, arithmetic, conversions
		return immNone
	case op >= 0x28 && op <= 0x3e: // loads and stores
		return immMemory
	}
	return opcodes[op]
}

// extension names the proposal that an unknown opcode is of.
func extension(op byte) string {
	switch op {
	case 0x06, 0x07, 0x08, 0x09, 0x0a, 0x18, 0x19, 0x1f:
		return "exceptions"
	case 0x12, 0x13:
		return "tail calls"
	case 0x14, 0x15, 0xd3, 0xd4, 0xd5, 0xd6, 0xfb:
		return "typed references"
	case 0xfd:
		return "relaxed SIMD"
	case 0xfe:
		return "threads"
	}
	return "what is newer"
}

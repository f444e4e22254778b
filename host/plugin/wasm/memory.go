package wasm

import (
	"context"
	"reflect"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

const (
	// maxStack is how many bytes of stack a guest may use. wazero allows 100 MB,
	// for each export, and never gives them back.
	maxStack = 16 << 20
	// keptStack is how many bytes of stack a guest may keep between calls.
	keptStack = 1 << 20
)

// memory is the linear memory of one guest: up to its limit, and no further,
// whatever the module says of itself.
type memory struct {
	buf     []byte
	limit   uint64
	refused bool // in the call that runs it wanted more
}

// withMemory gives the guest that is made with the context this memory.
func withMemory(ctx context.Context, m *memory) context.Context {
	return experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(func(_, _ uint64) experimental.LinearMemory { return m }))
}

// Reallocate makes the memory longer. nil is a refusal, which the guest sees.
func (m *memory) Reallocate(size uint64) []byte {
	if size > m.limit {
		m.refused = true
		return nil
	}
	if size > uint64(cap(m.buf)) {
		room := min(m.limit, max(size, uint64(len(m.buf))/4*5))
		buf := make([]byte, len(m.buf), room)
		copy(buf, m.buf)
		m.buf = buf
	}
	m.buf = m.buf[:size]
	return m.buf
}

// Free lets go of it.
func (m *memory) Free() { m.buf = nil }

// stackOf is how many bytes of stack wazero has for a function that it compiled.
// It does not tell, so this looks at the field itself; were it gone, the answer
// would be 0, and a test would say so.
func stackOf(fn api.Function) int {
	v := reflect.ValueOf(fn)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return 0
	}
	stack := v.Elem().FieldByName("stack")
	if stack.Kind() != reflect.Slice {
		return 0
	}
	return stack.Len() * int(stack.Type().Elem().Size())
}

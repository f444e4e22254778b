package fuel

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Parts of modules, put together by hand.

func cat(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// vec is a list with its length before it.
func vec(items ...[]byte) []byte { return append(appendU(nil, uint32(len(items))), cat(items...)...) }

// sized is bytes with their length before them.
func sized(parts ...[]byte) []byte {
	b := cat(parts...)
	return append(appendU(nil, uint32(len(b))), b...)
}

func name(s string) []byte                    { return sized([]byte(s)) }
func section(id byte, parts ...[]byte) []byte { return append([]byte{id}, sized(parts...)...) }
func custom(n string, parts ...[]byte) []byte { return section(0, name(n), cat(parts...)) }
func wasm(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), cat(sections...)...)
}
func export(n string, kind, index byte) []byte   { return append(name(n), kind, index) }
func imp(mod, field string, rest ...byte) []byte { return cat(name(mod), name(field), rest) }

// body is a function without locals.
func body(code ...byte) []byte { return sized([]byte{0}, code, []byte{opEnd}) }

func funcType(params, results string) []byte {
	return cat([]byte{typeFunc}, sized([]byte(params)), sized([]byte(results)))
}

const (
	i32 = "\x7f"
	i64 = "\x7e"
)

// guest is a module with one function of type (i32) -> (i32), exported as "run",
// and one page of memory.
func guest(code ...byte) []byte {
	return wasm(
		section(1, vec(funcType(i32, i32), funcType("", ""))),
		section(3, vec([]byte{0})),
		section(4, vec([]byte{0x70, 0, 10})),
		section(5, vec([]byte{0, 1})),
		section(7, vec(export("run", 0, 0))),
		section(10, vec(body(code...))),
	)
}

// instrument gives the metered form, which must not be refused.
func instrument(t testing.TB, mod []byte, o Options) []byte {
	t.Helper()
	out, err := Instrument(mod, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// errEmpty is how the meter of a test ends a guest.
var errEmpty = errors.New("no fuel is left")

// meter is a host's side: it hands out slices until the budget is used up.
type meter struct {
	slice, budget int64 // budget < 0: without end
	given         int64
	last          time.Time // of the last refill
	longest       time.Duration
}

func (m *meter) refill() int64 {
	now := time.Now()
	if !m.last.IsZero() {
		m.longest = max(m.longest, now.Sub(m.last))
	}
	m.last = now
	if m.budget >= 0 && m.given+m.slice > m.budget {
		panic(errEmpty)
	}
	m.given += m.slice
	return m.slice
}

// newRuntime is a runtime with the meter in it.
func newRuntime(t testing.TB, m *meter, c wazero.RuntimeConfig) wazero.Runtime {
	t.Helper()
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, c.WithMemoryLimitPages(1024))
	t.Cleanup(func() { rt.Close(ctx) })
	_, err := rt.NewHostModuleBuilder(MeterModule).NewFunctionBuilder().
		WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) { stack[0] = uint64(m.refill()) }),
			nil, []api.ValueType{api.ValueTypeI64}).Export(MeterRefill).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// start makes a guest of a module.
func start(t testing.TB, rt wazero.Runtime, mod []byte) api.Module {
	t.Helper()
	g, err := rt.InstantiateWithConfig(context.Background(), mod, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// withoutCustom is a module without its custom sections, or as it is if it has
// no sections that can be told apart.
func withoutCustom(mod []byte) []byte {
	if len(mod) < 8 {
		return mod
	}
	out := append([]byte(nil), mod[:8]...)
	for at := 8; at < len(mod); {
		n, used := binary.Uvarint(mod[at+1:])
		end := uint64(at+1+used) + n
		if used <= 0 || n > uint64(len(mod)) || end > uint64(len(mod)) {
			return mod
		}
		if mod[at] != 0 {
			out = append(out, mod[at:end]...)
		}
		at = int(end)
	}
	return out
}

package fuel

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// TestNothingRunsUnpaid makes functions of random control flow, whose only
// other instruction calls the test. However they jump, and however the short
// runs were put together: never has more run than was paid.
func TestNothingRunsUnpaid(t *testing.T) {
	ctx := context.Background()
	m := &meter{slice: 1}
	rt := newRuntime(t, m, wazero.NewRuntimeConfigInterpreter()) // 150 modules: its compiler is the quicker one
	var ticks int64
	var coin *rand.Rand
	tick := func(_ context.Context, stack []uint64) {
		ticks++
		if 2*ticks-1 > m.given { // a call and what takes its result, which is still to come
			panic(errors.New("unpaid"))
		}
		stack[0] = coin.Uint64N(8)
	}
	_, err := rt.NewHostModuleBuilder("env").NewFunctionBuilder().
		WithGoFunction(api.GoFunc(tick), nil, []api.ValueType{api.ValueTypeI32}).Export("tick").Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ended, stopped := 0, 0
	for seed := range uint64(150) {
		g := flow{rand: rand.New(rand.NewPCG(seed, 1))}
		g.block(1, 5)
		mod := wasm(
			section(1, vec(funcType("", i32), funcType("", ""))),
			section(2, vec(imp("env", "tick", 0, 0))),
			section(3, vec([]byte{1})),
			section(7, vec(export("run", 0, 1))),
			section(10, vec(body(g.code...))),
		)
		guest := start(t, rt, instrument(t, mod, Options{}))
		coin = rand.New(rand.NewPCG(seed, 2))
		ticks, m.given, m.budget = 0, 0, 1_000
		switch _, err := guest.ExportedFunction("run").Call(ctx); {
		case err == nil:
			ended++
		case errors.Is(err, errEmpty):
			stopped++
		default:
			t.Fatalf("seed %d: after %d calls, with %d units paid: %v", seed, ticks, m.given, err)
		}
		if err := guest.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d ended, %d were stopped", ended, stopped)
	if ended < 50 || stopped < 8 {
		t.Error("these functions are too much alike")
	}
}

// flow writes a function; a tick leaves a random number on the stack.
type flow struct {
	rand *rand.Rand
	code []byte
}

// block writes some statements, in so many open blocks, with so much depth left.
func (f *flow) block(open, depth int) {
	for range 1 + f.rand.IntN(5) {
		f.statement(open, depth)
	}
}

func (f *flow) statement(open, depth int) {
	emit := func(b ...byte) { f.code = append(f.code, b...) }
	label := func() byte { return byte(f.rand.IntN(open)) }
	choice := f.rand.IntN(10)
	if depth == 0 && choice > 4 {
		choice = 0
	}
	switch choice {
	case 0, 1:
		for range 1 + f.rand.IntN(2*ownCharge) { // short ones and long ones
			emit(opCall, 0, 0x1a)
		}
	case 2:
		emit(opCall, 0, opBrIf, label())
	case 3:
		emit(opCall, 0, 0x0e, 3, label(), label(), label(), label())
	case 4:
		if f.rand.IntN(3) == 0 {
			emit(0x0c, label())
		}
	case 5, 6, 7:
		emit([]byte{0x02, opLoop, 0x02}[choice-5], typeVoid)
		f.block(open+1, depth-1)
		emit(opEnd)
	default:
		emit(opCall, 0, opIf, typeVoid)
		f.block(open+1, depth-1)
		if choice == 9 {
			emit(0x05)
			f.block(open+1, depth-1)
		}
		emit(opEnd)
	}
}

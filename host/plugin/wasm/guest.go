package wasm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// keptOutput is how many bytes of a guest's buffer for answers outlive a call.
const keptOutput = 64 << 10

// guest is one running copy of a plugin. Who has taken it from the instance is
// the only one to touch it.
type guest struct {
	inst   *instance
	mod    api.Module
	ops    map[string]api.Function
	handle plugin.Guest
	lent   atomic.Bool // the handle may be used
	busy   atomic.Bool // a call runs

	ctx     guestContext
	call    callState
	stack   [1]uint64
	output  []byte
	printed printed
	random  *rand.ChaCha8
	slept   time.Duration // by which its clock is ahead, where clocks do not run

	memory memory
	deep   int // bytes of stack after the deepest of its calls

	warm    uint64 // bytes of its memory when it was made
	size    uint64 // and after its last call
	counted uint64 // of it, in the figures of the instance
	calls   int
	dead    error // why it will be thrown away
	tally   tally
}

// tally is what a guest has done since its instance has last counted it.
type tally struct{ calls, errors, crashes, limits uint64 }

// count adds the end of a guest. A breach of the protocol is a crash; a caller
// who gave up is neither.
func (t *tally) count(why *trap) {
	switch {
	case errors.Is(why, pluginapi.ErrPluginLimit):
		t.limits++
	case errors.Is(why, pluginapi.ErrPluginCrashed), errors.Is(why, pluginapi.ErrPluginProtocol):
		t.crashes++
	}
}

// callState is what belongs to one call.
type callState struct {
	ctx   context.Context
	limit time.Duration
	fn    api.Function // nil while the start function runs
	began time.Time    // zero until the guest first comes back to its host
	works bool         // it is an operation, not the start of the guest
	input []byte       // that the guest has not read yet
	reply []byte       // of the last host_call, what has not been read yet
	asked int          // host calls
	work  int          // bytes that the host has handled since it last looked at the clock
	trap  *trap        // why the host has ended it
}

type (
	guestKey  struct{} // leads from the context of a host function to the guest
	insideKey struct{} // leads from the context of a host call to the instance
)

// guestContext is what wazero hands through to the host functions. It is not the
// context of the caller, which has no business in wazero.
type guestContext struct {
	context.Context
	guest *guest
}

// Value answers for the guest alone.
func (c *guestContext) Value(key any) any {
	if key == (guestKey{}) {
		return c.guest
	}
	return nil
}

// newGuest makes a guest and configures it. With an error the guest is dead.
func (i *instance) newGuest(ctx context.Context) (g *guest, err error) {
	g = &guest{inst: i, memory: memory{limit: uint64(i.limits.Memory)}}
	g.ctx = guestContext{context.Background(), g}
	g.handle.Call = g.lentCall
	if err := g.start(ctx); err != nil {
		return g, err
	}
	g.ops = make(map[string]api.Function, len(i.ops))
	for _, op := range i.ops {
		g.ops[op] = g.mod.ExportedFunction(exportPrefix + op)
	}
	if fn := g.ops[wire.OpConfigure]; fn != nil {
		if _, err := g.run(ctx, wire.OpConfigure, fn, i.configure, i.startLimit()); err != nil {
			return g, err
		}
	}
	g.warm = g.size
	return g, nil
}

// start brings the module to life: its start function, then _initialize.
func (g *guest) start(ctx context.Context) error {
	g.begin(ctx, g.inst.startLimit(), nil)
	mod, err := g.instantiate()
	if err == nil {
		g.mod = mod
		if init := mod.ExportedFunction(exportInit); init != nil {
			g.call.fn = init
			err = init.CallWithStack(&g.ctx, nil)
		}
	}
	return g.end("start", err)
}

// instantiate is InstantiateModule without its panics.
func (g *guest) instantiate() (mod api.Module, err error) {
	defer func() {
		if p := recover(); p != nil {
			mod, err = nil, fmt.Errorf("the runtime gave up: %v", p)
		}
	}()
	return g.inst.entry.engine.InstantiateModule(withMemory(&g.ctx, &g.memory), g.inst.entry.module,
		wazero.NewModuleConfig().WithName("").WithStartFunctions())
}

// discard frees the memory of a guest.
func (g *guest) discard() {
	if g.mod != nil {
		_ = g.mod.Close(&g.ctx) // it has no files: nothing is left that could go wrong
	}
}

// lentCall is the call of a guest that [instance.Do] has lent.
func (g *guest) lentCall(ctx context.Context, op string, in []byte) ([]byte, error) {
	if !g.lent.Load() {
		return nil, g.inst.fail(op, pluginapi.ErrInvalid, "the guest was given back: use it inside of Do only")
	}
	return g.do(ctx, op, in)
}

// do makes one call of the plugin.
func (g *guest) do(ctx context.Context, op string, in []byte) ([]byte, error) {
	if !g.busy.CompareAndSwap(false, true) {
		return nil, g.inst.fail(op, pluginapi.ErrBusy, "two calls of one guest at a time")
	}
	defer g.busy.Store(false)
	if g.dead != nil {
		return nil, g.dead
	}
	fn := g.ops[op]
	if fn == nil {
		return nil, g.inst.fail(op, pluginapi.ErrNoMethod, "the plugin does not export "+exportPrefix+clip(op, maxOpName))
	}
	if int64(len(in)) > g.inst.limits.Input {
		return nil, g.inst.fail(op, pluginapi.ErrTooLarge, fmt.Sprintf("%d bytes of input, at most %d are allowed", len(in), g.inst.limits.Input))
	}
	if err := ctx.Err(); err != nil {
		return nil, g.inst.failed(op, err)
	}
	g.calls++
	g.tally.calls++
	out, err := g.run(ctx, op, fn, in, g.inst.limits.Call)
	if err != nil {
		g.tally.errors++
	}
	return out, err
}

// run calls an export. An error that is not the plugin's own answer leaves the
// guest dead.
func (g *guest) run(ctx context.Context, op string, fn api.Function, in []byte, limit time.Duration) ([]byte, error) {
	g.begin(ctx, limit, in)
	g.call.works, g.call.fn = true, fn
	g.stack[0] = uint64(len(in))
	if err := g.end(op, fn.CallWithStack(&g.ctx, g.stack[:])); err != nil {
		return nil, err
	}
	switch code := uint32(g.stack[0]); code {
	case 0:
		return g.answer(), nil
	case 1:
		return nil, g.refusal(op)
	default:
		return nil, g.die(op, &trap{pluginapi.ErrPluginProtocol, fmt.Sprintf("it returned %d; 0 is an answer, 1 an error", int32(code))})
	}
}

func (g *guest) begin(ctx context.Context, limit time.Duration, in []byte) {
	g.call = callState{ctx: ctx, limit: limit, input: in}
	g.output = g.output[:0]
	g.printed.reset()
	g.random = nil
	g.memory.refused = false
}

// end says whether the code of the guest came to its end, and if not, why.
func (g *guest) end(op string, err error) error {
	why := g.call.trap
	g.flushPrinted()
	g.size = uint64(len(g.memory.buf))
	if !g.call.began.IsZero() && g.call.fn != nil { // a short call has no deep stack
		g.deep = max(g.deep, stackOf(g.call.fn))
	}
	if why == nil && err == nil {
		return nil
	}
	if why == nil {
		why = crash(err, g.printed.text(), &g.memory)
	}
	return g.die(op, why)
}

// die notes that the guest cannot be used any more, and what for it counts.
func (g *guest) die(op string, why *trap) error {
	g.tally.count(why)
	g.dead = g.inst.failed(op, why)
	return g.dead
}

// answer is the answer of the guest, the caller's own.
func (g *guest) answer() []byte {
	if len(g.output) == 0 {
		return nil
	}
	out := append([]byte(nil), g.output...)
	if cap(g.output) > keptOutput {
		g.output = nil
	}
	return out
}

// refusal is the plugin's own error.
func (g *guest) refusal(op string) error {
	err := wire.ReadFailure(g.output)
	if errors.Is(err, pluginapi.ErrPluginProtocol) {
		return g.die(op, &trap{pluginapi.ErrPluginProtocol, "its error cannot be read: " + err.Error()})
	}
	return g.inst.failed(op, err)
}

// tired says whether a guest that is well should be replaced all the same: its
// memory and its stack never shrink, and what has leaked stays.
func (g *guest) tired() bool {
	if g.inst.artifact.Contract == wire.ContractBackend {
		return false // its memory is all that is known of its service
	}
	return g.calls >= g.inst.runtime.maxCalls || g.deep > keptStack ||
		g.size > uint64(g.inst.limits.Memory)/2 && g.size > 2*g.warm
}

package wasm

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// The modules that a guest may import from.
const (
	moduleHost  = "gchost"
	moduleMeter = "gchost_meter"
	moduleWASI  = "wasi_snapshot_preview1"
)

const maxOpName = 64 // bytes of the name of an operation of the host

// hostFunc is one function that guests can call. Its signature is written with
// a letter for each value: i for i32, I for i64.
type hostFunc struct {
	name            string
	params, results string
	call            func(g *guest, mem api.Memory, stack []uint64)
}

// abiFuncs are the functions of module gchost, see docs/plugin-abi.md.
func abiFuncs() []hostFunc {
	return []hostFunc{
		{"input_read", "ii", "i", func(g *guest, mem api.Memory, stack []uint64) {
			stack[0] = g.pull(mem, &g.call.input, stack[0], stack[1])
		}},
		{"reply_read", "ii", "i", func(g *guest, mem api.Memory, stack []uint64) {
			stack[0] = g.pull(mem, &g.call.reply, stack[0], stack[1])
		}},
		{"output_write", "ii", "", outputWrite},
		{"log", "iii", "", logLine},
		{"host_call", "iiii", "I", hostCall},
	}
}

// meterFuncs is the function that package fuel makes a module import.
func meterFuncs() []hostFunc {
	return []hostFunc{{"refill", "", "I", func(g *guest, _ api.Memory, stack []uint64) { g.refill(stack) }}}
}

// provide makes a module of host functions for the guests of one instance.
func provide(ctx context.Context, r wazero.Runtime, module string, funcs []hostFunc) error {
	b := r.NewHostModuleBuilder(module)
	for _, f := range funcs {
		call := f.call
		b = b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
			g := ctx.Value(guestKey{}).(*guest)
			g.work(callCost)
			call(g, m.Memory(), stack)
		}), valueTypes(f.params), valueTypes(f.results)).Export(f.name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("provide module %s: %w", module, err)
	}
	return nil
}

func valueTypes(letters string) []api.ValueType {
	types := make([]api.ValueType, len(letters))
	for i, l := range letters {
		if types[i] = api.ValueTypeI32; l == 'I' {
			types[i] = api.ValueTypeI64
		}
	}
	return types
}

// view is what a guest points to, for as long as the host function runs. A guest
// that points outside of its memory is ended.
func (g *guest) view(mem api.Memory, what string, ptr, size uint64) []byte {
	b, ok := mem.Read(uint32(ptr), uint32(size))
	if !ok {
		g.trap(pluginapi.ErrPluginProtocol, fmt.Sprintf("%s: %d bytes at %#x are outside of its memory of %d bytes",
			what, uint32(size), uint32(ptr), mem.Size()))
	}
	g.work(len(b))
	return b
}

// pull gives the guest the next bytes of what it reads, and says how many.
func (g *guest) pull(mem api.Memory, rest *[]byte, ptr, size uint64) uint64 {
	n := min(uint64(uint32(size)), uint64(len(*rest)))
	copy(g.view(mem, "read", ptr, n), *rest)
	*rest = (*rest)[n:]
	return n
}

func outputWrite(g *guest, mem api.Memory, stack []uint64) {
	if !g.call.works {
		g.trap(pluginapi.ErrPluginProtocol, "output_write outside of a call")
	}
	if size, limit := uint64(len(g.output))+uint64(uint32(stack[1])), uint64(g.inst.limits.Output); size > limit {
		g.trap(pluginapi.ErrPluginLimit, fmt.Sprintf("its answer is longer than %d bytes", limit))
	}
	g.output = append(g.output, g.view(mem, "output_write", stack[0], stack[1])...)
}

func logLine(g *guest, mem api.Memory, stack []uint64) {
	text := g.view(mem, "log", stack[1], stack[2])
	g.inst.out.line(levelOf(int32(stack[0])), text, "log")
}

// levelOf maps what a guest says to one of slog's four levels.
func levelOf(level int32) slog.Level {
	switch {
	case level < int32(slog.LevelInfo):
		return slog.LevelDebug
	case level < int32(slog.LevelWarn):
		return slog.LevelInfo
	case level < int32(slog.LevelError):
		return slog.LevelWarn
	}
	return slog.LevelError
}

// hostCall asks the host for something. Its answer, or its refusal as a
// wire.Error, is kept for reply_read.
func hostCall(g *guest, mem api.Memory, stack []uint64) {
	if !g.call.works {
		g.trap(pluginapi.ErrPluginProtocol, "host_call outside of a call")
	}
	if g.call.asked++; g.call.asked > g.inst.limits.HostCalls {
		g.trap(pluginapi.ErrPluginLimit, fmt.Sprintf("it asked the host more than %d times in one call", g.inst.limits.HostCalls))
	}
	if n := uint32(stack[1]); n > maxOpName {
		g.trap(pluginapi.ErrPluginProtocol, fmt.Sprintf("host_call: the name of the operation has %d bytes, at most %d are allowed", n, maxOpName))
	}
	if n, limit := uint32(stack[3]), g.inst.limits.Output; int64(n) > limit {
		g.trap(pluginapi.ErrPluginLimit, fmt.Sprintf("it asks the host with %d bytes, at most %d are allowed", n, limit))
	}
	op := string(g.view(mem, "host_call", stack[0], stack[1]))
	in := append([]byte(nil), g.view(mem, "host_call", stack[2], stack[3])...)
	g.checkTime()
	reply, refused := g.ask(op, in)
	g.checkTime()
	if g.call.reply = reply; refused {
		stack[0] = 1<<32 | uint64(len(reply))
		return
	}
	stack[0] = uint64(len(reply))
}

// ask has the host do what a guest asks for, within the time that the call has
// left. The context that it gives says whose call it is: the plugin cannot call
// itself through the host.
func (g *guest) ask(op string, in []byte) (reply []byte, refused bool) {
	if g.inst.host == nil {
		return encodeError(fmt.Errorf("%w: %s: this plugin may not ask its host for anything", pluginapi.ErrNotGranted, clip(op, maxOpName))), true
	}
	end, _ := g.deadline(g.call.began)
	ctx, cancel := context.WithDeadline(context.WithValue(g.call.ctx, insideKey{}, g.inst), end)
	defer cancel()
	defer context.AfterFunc(g.inst.killed, cancel)()
	reply, err := g.inst.host.Call(ctx, op, in)
	if limit := g.inst.limits.Input; err == nil && int64(len(reply)) > limit {
		err = fmt.Errorf("%w: the answer has %d bytes, a guest takes %d", pluginapi.ErrTooLarge, len(reply), limit)
	}
	if err != nil {
		return encodeError(err), true
	}
	return reply, false
}

// encodeError is a refusal as the guest reads it.
func encodeError(err error) []byte {
	e := wire.FailureOf(err)
	return e.Append(nil)
}

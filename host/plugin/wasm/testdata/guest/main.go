//go:build wasip1

// The guest of the tests: the reference plugins, and a hook that tries what a
// guest has no business to do. Its configuration says which contract it has.
package main

import (
	"context"
	"unsafe"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/answer"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest/reference"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

//go:wasmimport gchost input_read
func inputRead(ptr unsafe.Pointer, size uint32) uint32

//go:wasmimport gchost output_write
func outputWrite(ptr unsafe.Pointer, size uint32)

//go:wasmexport gchost_abi_v1
func abi() {}

var (
	served *answer.Plugin
	input  []byte
)

func serve(op string, size uint32) uint32 {
	if uint32(cap(input)) < size {
		input = make([]byte, size)
	}
	input = input[:size]
	for at := uint32(0); at < size; {
		n := inputRead(unsafe.Pointer(&input[at]), size-at)
		if n == 0 {
			break
		}
		at += n
	}
	if op == wire.OpConfigure {
		configure(input)
		return 0
	}
	out, err := served.Do(context.Background(), op, input)
	if err != nil {
		failure := wire.FailureOf(err)
		write(failure.Append(nil))
		return 1
	}
	write(out)
	return 0
}

func write(b []byte) {
	if len(b) > 0 {
		outputWrite(unsafe.Pointer(&b[0]), uint32(len(b)))
	}
}

func configure(in []byte) {
	var c wire.Configure
	if err := c.Decode(in); err != nil {
		panic(err)
	}
	switch wire.Contract(c.Config) {
	case wire.ContractPlacement:
		served = &answer.Plugin{About: reference.AboutPolicy(), Policy: reference.Policy{}}
	case wire.ContractBackend:
		served = &answer.Plugin{About: reference.AboutBackend(), Backend: reference.NewBackend()}
	default:
		served = &answer.Plugin{About: reference.AboutHook(), Hook: prober{}}
	}
}

// prober is the reference hook, but for apps whose name begins with "try ".
type prober struct{}

func (prober) Handle(ctx context.Context, e pluginapi.HookEvent) error {
	if what, ok := cut(e.App); ok {
		return &wire.Error{Code: "tried", Text: try(what)}
	}
	return reference.Hook{}.Handle(ctx, e)
}

//go:wasmexport gc_describe
func describe(n uint32) uint32 { return serve(wire.OpDescribe, n) }

//go:wasmexport gc_configure
func config(n uint32) uint32 { return serve(wire.OpConfigure, n) }

//go:wasmexport gc_candidates
func candidates(n uint32) uint32 { return serve(wire.OpCandidates, n) }

//go:wasmexport gc_rank
func rank(n uint32) uint32 { return serve(wire.OpRank, n) }

//go:wasmexport gc_event
func event(n uint32) uint32 { return serve(wire.OpEvent, n) }

//go:wasmexport gc_bind
func bind(n uint32) uint32 { return serve(wire.OpBind, n) }

//go:wasmexport gc_start
func start(n uint32) uint32 { return serve(wire.OpStart, n) }

//go:wasmexport gc_stop
func stop(n uint32) uint32 { return serve(wire.OpStop, n) }

//go:wasmexport gc_status
func status(n uint32) uint32 { return serve(wire.OpStatus, n) }

func main() {}

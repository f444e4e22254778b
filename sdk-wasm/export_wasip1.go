//go:build wasip1

package sdk

import (
	"unsafe"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// The imports; see docs/plugin-abi.md.

//go:wasmimport gchost input_read
func inputRead(ptr unsafe.Pointer, size uint32) uint32

//go:wasmimport gchost output_write
func outputWrite(ptr unsafe.Pointer, size uint32)

//go:wasmimport gchost log
func hostLog(level int32, ptr unsafe.Pointer, size uint32)

//go:wasmimport gchost host_call
func hostCall(op unsafe.Pointer, opSize uint32, in unsafe.Pointer, inSize uint32) uint64

//go:wasmimport gchost reply_read
func replyRead(ptr unsafe.Pointer, size uint32) uint32

// imports is the host behind the imports, and what is kept between calls.
type imports struct {
	guest        *Guest
	input, reply []byte
	failure      []byte
}

// served is what the exports below serve.
var served imports

func serve(g *Guest) { served.guest = g }

// Call asks the host.
func (h *imports) Call(op string, in []byte) ([]byte, error) {
	r := hostCall(unsafe.Pointer(unsafe.StringData(op)), uint32(len(op)), unsafe.Pointer(unsafe.SliceData(in)), uint32(len(in)))
	h.reply = pull(h.reply, uint32(r), func(p unsafe.Pointer, n uint32) uint32 { return replyRead(p, n) })
	if r>>32 != 0 {
		return nil, wire.ReadFailure(h.reply)
	}
	return h.reply, nil
}

// Log hands a line to the host.
func (h *imports) Log(level Level, text string) {
	hostLog(int32(level), unsafe.Pointer(unsafe.StringData(text)), uint32(len(text)))
}

// pull reads so many bytes into the memory of buf. (An import itself is no value
// under TinyGo, so read is a function around it.)
func pull(buf []byte, size uint32, read func(unsafe.Pointer, uint32) uint32) []byte {
	if uint32(cap(buf)) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	for at := uint32(0); at < size; {
		n := read(unsafe.Pointer(&buf[at]), size-at)
		if n == 0 {
			return buf[:at]
		}
		at += n
	}
	return buf
}

// do does one operation: 0 with the answer, 1 with a failure.
func (h *imports) do(op string, size uint32) uint32 {
	h.input = pull(h.input, size, func(p unsafe.Pointer, n uint32) uint32 { return inputRead(p, n) })
	var out []byte
	err := error(pluginapi.ErrNoMethod)
	if h.guest != nil {
		out, err = h.guest.Do(h, op, h.input)
	}
	if err != nil {
		failure := wire.FailureOf(err)
		h.failure = failure.Append(h.failure[:0])
		out = h.failure
	}
	if len(out) > 0 {
		outputWrite(unsafe.Pointer(&out[0]), uint32(len(out)))
	}
	if err != nil {
		return 1
	}
	return 0
}

//go:wasmexport gchost_abi_v1
func abi() {}

//go:wasmexport gc_describe
func gcDescribe(n uint32) uint32 { return served.do(wire.OpDescribe, n) }

//go:wasmexport gc_configure
func gcConfigure(n uint32) uint32 { return served.do(wire.OpConfigure, n) }

//go:wasmexport gc_candidates
func gcCandidates(n uint32) uint32 { return served.do(wire.OpCandidates, n) }

//go:wasmexport gc_rank
func gcRank(n uint32) uint32 { return served.do(wire.OpRank, n) }

//go:wasmexport gc_event
func gcEvent(n uint32) uint32 { return served.do(wire.OpEvent, n) }

//go:wasmexport gc_bind
func gcBind(n uint32) uint32 { return served.do(wire.OpBind, n) }

//go:wasmexport gc_start
func gcStart(n uint32) uint32 { return served.do(wire.OpStart, n) }

//go:wasmexport gc_stop
func gcStop(n uint32) uint32 { return served.do(wire.OpStop, n) }

//go:wasmexport gc_status
func gcStatus(n uint32) uint32 { return served.do(wire.OpStatus, n) }

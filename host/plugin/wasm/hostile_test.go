package wasm

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// misdeed is something that a guest does, and what must come of it.
type misdeed struct {
	name   string
	code   []byte
	data   string
	memory [2]uint32
	limits plugin.Limits
	want   error
	text   string
	more   []function
}

// lie points to 16 bytes at the end of the address space.
func lie(args ...any) []byte { return code(code(args...), c32(0xfffffff8), c32(16)) }

func misdeeds() []misdeed {
	quick := plugin.Limits{Call: 100 * time.Millisecond}
	return []misdeed{
		{name: "trap", code: code(opUnreachable), want: pluginapi.ErrPluginCrashed, text: "unreachable in"},
		{name: "divide by zero", code: code(c32(1), c32(0), opDiv, opDrop), want: pluginapi.ErrPluginCrashed, text: "integer divide by zero"},
		{name: "read out of bounds", code: code(c32(0x7fffffff), opLoad, 2, 0, opDrop), want: pluginapi.ErrPluginCrashed, text: "out of bounds memory access"},
		{name: "endless loop", code: forever(), limits: quick, want: pluginapi.ErrPluginLimit, text: "ran longer than the 100ms"},
		{name: "recursion", code: call(fnCount+2, c32(0)), more: []function{{signature: "i->", code: call(fnCount+2, get(0))}},
			want: pluginapi.ErrPluginLimit, text: "stack"},
		{name: "memory bomb", code: forever(block(opBlock, c32(16), opGrow, 0, c32(0xffffffff), 0x47, opBrIf, 0, opUnreachable)),
			limits: plugin.Limits{Memory: 4 << 20}, want: pluginapi.ErrPluginLimit, text: "refused more memory than 4096 KiB, it had 3136"},
		{name: "proc_exit 0", code: call(fnProcExit, c32(0)), want: pluginapi.ErrPluginCrashed, text: "proc_exit(0)"},
		{name: "proc_exit 3", code: call(fnProcExit, c32(3)), want: pluginapi.ErrPluginCrashed, text: "proc_exit(3)"},
		{name: "odd return", code: code(c32(7), 0x0f), want: pluginapi.ErrPluginProtocol, text: "it returned 7"},
		{name: "negative return", code: code(c32(0xffffffff), 0x0f), want: pluginapi.ErrPluginProtocol, text: "it returned -1"},
		{name: "an error that is none", data: "\xff\xff\xff", code: code(call(fnOutputWrite, c32(0), c32(3)), c32(1), 0x0f),
			want: pluginapi.ErrPluginProtocol, text: "its error cannot be read"},
		{name: "lie to output_write", code: code(lie(), opCall, fnOutputWrite), want: pluginapi.ErrPluginProtocol, text: "outside of its memory"},
		{name: "lie to log", code: code(lie(c32(0)), opCall, fnLog), want: pluginapi.ErrPluginProtocol, text: "outside of its memory"},
		{name: "lie to host_call, name", code: code(lie(), c32(0), c32(0), opCall, fnHostCall, opDrop), want: pluginapi.ErrPluginProtocol, text: "outside of its memory"},
		{name: "lie to host_call, input", code: code(lie(c32(0), c32(4)), opCall, fnHostCall, opDrop), want: pluginapi.ErrPluginProtocol, text: "outside of its memory"},
		{name: "long name", code: code(call(fnHostCall, c32(0), c32(65), c32(0), c32(0)), opDrop), want: pluginapi.ErrPluginProtocol, text: "the name of the operation has 65 bytes"},
		{name: "huge question", code: code(call(fnHostCall, c32(0), c32(4), c32(0), c32(64<<10)), opDrop),
			limits: plugin.Limits{Output: 1000}, want: pluginapi.ErrPluginLimit, text: "asks the host with 65536 bytes"},
		{name: "lie to reply_read", code: code(call(fnHostCall, c32(0), c32(2), c32(0), c32(0)), opDrop, lie(), opCall, fnReplyRead, opDrop),
			want: pluginapi.ErrPluginProtocol, text: "outside of its memory"},
		{name: "500 MB of output", code: forever(call(fnOutputWrite, c32(0), c32(64<<10))), want: pluginapi.ErrPluginLimit, text: "longer than 1048576 bytes"},
		{name: "4 GB of output at once", code: call(fnOutputWrite, c32(0), c32(0xffffffff)), want: pluginapi.ErrPluginLimit, text: "longer than 1048576 bytes"},
		{name: "host calls", code: forever(call(fnHostCall, c32(0), c32(2), c32(0), c32(0)), opDrop),
			limits: plugin.Limits{HostCalls: 10}, want: pluginapi.ErrPluginLimit, text: "more than 10 times"},
		{name: "log flood", code: forever(call(fnLog, c32(0), c32(0), c32(1000))), limits: quick, want: pluginapi.ErrPluginLimit, text: "ran longer"},
		{name: "print flood", data: "\x08\x00\x00\x00\x00\x10\x00\x00", code: forever(call(fnFdWrite, c32(2), c32(0), c32(1), c32(100)), opDrop),
			limits: quick, want: pluginapi.ErrPluginLimit, text: "ran longer"},
		{name: "random flood", code: forever(call(fnRandomGet, c32(0), c32(4<<20)), opDrop), memory: [2]uint32{64, 64},
			limits: quick, want: pluginapi.ErrPluginLimit, text: "ran longer"},
		{name: "sleep", data: sleepFor(time.Hour), code: code(call(fnPollOneoff, c32(0), c32(100), c32(1), c32(200)), opDrop),
			limits: quick, want: pluginapi.ErrPluginLimit, text: "ran longer"},
	}
}

// sleepFor is a subscription of poll_oneoff.
func sleepFor(d time.Duration) string {
	b := make([]byte, sizeofSubscription)
	b[16] = clockMonotonic
	for n := range 8 {
		b[24+n] = byte(uint64(d) >> (8 * n))
	}
	return string(b)
}

// TestMisdeeds: whatever a guest does ends its call with the right sentinel, is
// counted, and the next call is answered by a new guest.
func TestMisdeeds(t *testing.T) {
	for _, interpreter := range []bool{false, true} {
		t.Run(map[bool]string{false: ModeCompiled, true: ModeInterpreted}[interpreter], func(t *testing.T) {
			r := newRuntime(t, Config{Interpreter: interpreter})
			for _, m := range misdeeds() {
				t.Run(m.name, func(t *testing.T) { testMisdeed(t, r, m) })
			}
		})
	}
}

func testMisdeed(t *testing.T, r *Runtime, m misdeed) {
	mod := hook(m.code).with(m.more...)
	mod.data = m.data
	if m.memory[0] > 0 {
		mod.memory = m.memory
	}
	m.limits.Guests = 1
	var log journal
	host := hostFuncOf(func(context.Context, string, []byte) ([]byte, error) { return make([]byte, 100), nil })
	i := load(t, r, mod.bytes(), plugin.Options{Limits: m.limits, Host: host, Logger: log.logger()})
	for n := range uint64(2) {
		out, err := i.Call(testContext(t), "event", nil)
		if !errors.Is(err, m.want) || out != nil || !strings.Contains(err.Error(), m.text) {
			t.Fatalf("got %q, %v; want %v with %q", out, err, m.want, m.text)
		}
		answers(t, i)
		s := i.Stats()
		limits, crashes := n+1, uint64(0)
		if m.want != pluginapi.ErrPluginLimit {
			limits, crashes = 0, n+1
		}
		if s.Crashes != crashes || s.Limits != limits || s.Restarts != n+1 || s.Guests != 1 || s.Calls != 2*(n+1) || s.Errors != n+1 || s.Mode != r.mode {
			t.Fatalf("%+v", s)
		}
		if len(log.String()) > 300<<10 {
			t.Fatalf("%d bytes in the log", len(log.String()))
		}
	}
}

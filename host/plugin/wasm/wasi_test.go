package wasm

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
)

// errnoOf has a guest call one function of WASI, and returns what that returned.
func errnoOf(t *testing.T, r *Runtime, data, name, signature string, args ...any) uint32 {
	t.Helper()
	m := module{imports: append(usualImports(), moduleWASI+"."+name+" "+signature), memory: [2]uint32{1, 1}, data: data,
		funcs: []function{{export: "gchost_abi_v1", signature: "->"},
			{export: "gc_event", signature: "i->i", code: answerCode(call(fnCount, args...))}}}
	i := load(t, r, m.bytes(), plugin.Options{})
	out, err := i.Call(testContext(t), "event", nil)
	if err != nil || len(out) != 4 {
		t.Fatalf("%s: %v, %v", name, out, err)
	}
	if s := i.Stats(); s.Restarts > 0 {
		t.Fatalf("%s: %+v", name, s)
	}
	if err := i.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	return binary.LittleEndian.Uint32(out)
}

// TestWASI: a guest finds nothing, and is told so by the numbers that compilers'
// libraries understand. Pointers that lie are faults.
func TestWASI(t *testing.T) {
	r := newRuntime(t, Config{})
	far := c32(0xfffffff0)
	badSub := strings.Repeat("\x00", 8) + "\x07" + strings.Repeat("\x00", 39)
	for _, c := range []struct {
		name string
		data string
		args []any
		want uint32
	}{
		{name: "fd_prestat_get", args: []any{c32(3), c32(0)}, want: errnoBadf},
		{name: "fd_prestat_dir_name", args: []any{c32(3), c32(0), c32(10)}, want: errnoBadf},
		{name: "path_open", args: []any{c32(3), c32(0), c32(0), c32(4), c32(0), code(opConst64, 0), code(opConst64, 0), c32(0), c32(8)}, want: errnoBadf},
		{name: "path_unlink_file", args: []any{c32(3), c32(0), c32(4)}, want: errnoBadf},
		{name: "fd_readdir", args: []any{c32(3), c32(0), c32(64), code(opConst64, 0), c32(100)}, want: errnoBadf},
		{name: "sock_accept", args: []any{c32(3), c32(0), c32(0)}, want: errnoBadf},
		{name: "fd_close", args: []any{c32(1)}, want: errnoSuccess},
		{name: "fd_close", args: []any{c32(3)}, want: errnoBadf},
		{name: "fd_close", args: []any{c32(0xffffffff)}, want: errnoBadf},
		{name: "fd_fdstat_get", args: []any{c32(1), c32(0)}, want: errnoSuccess},
		{name: "fd_fdstat_get", args: []any{c32(1), far}, want: errnoFault},
		{name: "fd_filestat_get", args: []any{c32(2), c32(0)}, want: errnoSuccess},
		{name: "fd_filestat_get", args: []any{c32(2), far}, want: errnoFault},
		{name: "fd_seek", args: []any{c32(1), code(opConst64, 0), c32(0), c32(0)}, want: errnoSpipe},
		{name: "fd_read", args: []any{c32(0), c32(0), c32(1), c32(8)}, want: errnoSuccess},
		{name: "fd_read", args: []any{c32(1), c32(0), c32(1), c32(8)}, want: errnoBadf},
		{name: "fd_read", args: []any{c32(0), c32(0), c32(1), c32(0xffffffff)}, want: errnoFault},
		{name: "fd_write", args: []any{c32(0), c32(0), c32(1), c32(8)}, want: errnoBadf},
		{name: "fd_write", args: []any{c32(1), far, c32(1), c32(8)}, want: errnoFault},
		{name: "fd_write", args: []any{c32(1), c32(0), c32(1025), c32(8)}, want: errnoInval},
		{name: "fd_write", data: "\xf8\xff\xff\xff\x10\x00\x00\x00", args: []any{c32(1), c32(0), c32(1), c32(8)}, want: errnoFault},
		{name: "fd_write", args: []any{c32(1), c32(0), c32(1), far}, want: errnoFault},
		{name: "fd_write", args: []any{c32(1), c32(0), c32(1), c32(8)}, want: errnoSuccess},
		{name: "args_sizes_get", args: []any{c32(0), c32(4)}, want: errnoSuccess},
		{name: "environ_sizes_get", args: []any{c32(0), c32(0xffffffff)}, want: errnoFault},
		{name: "clock_time_get", args: []any{c32(0), code(opConst64, 0), c32(0)}, want: errnoSuccess},
		{name: "clock_time_get", args: []any{c32(2), code(opConst64, 0), c32(0)}, want: errnoInval},
		{name: "clock_time_get", args: []any{c32(1), code(opConst64, 0), c32(0xfffffffc)}, want: errnoFault},
		{name: "clock_res_get", args: []any{c32(1), c32(0)}, want: errnoSuccess},
		{name: "random_get", args: []any{c32(0), c32(65536)}, want: errnoSuccess},
		{name: "random_get", args: []any{c32(1), c32(65536)}, want: errnoFault},
		{name: "random_get", args: []any{far, c32(0x20)}, want: errnoFault},
		{name: "poll_oneoff", args: []any{c32(0), c32(100), c32(0), c32(200)}, want: errnoInval},
		{name: "poll_oneoff", args: []any{c32(0), c32(100), c32(65), c32(200)}, want: errnoInval},
		{name: "poll_oneoff", args: []any{c32(0), c32(100), c32(0x40000001), c32(200)}, want: errnoInval},
		{name: "poll_oneoff", args: []any{c32(0), far, c32(1), c32(200)}, want: errnoFault},
		{name: "poll_oneoff", args: []any{far, c32(0), c32(1), c32(200)}, want: errnoFault},
		{name: "poll_oneoff", data: sleepFor(time.Nanosecond), args: []any{c32(0), c32(100), c32(1), c32(0xfffffffe)}, want: errnoFault},
		{name: "poll_oneoff", data: badSub, args: []any{c32(0), c32(100), c32(1), c32(200)}, want: errnoSuccess},
		{name: "sched_yield", want: errnoSuccess},
		{name: "proc_raise", args: []any{c32(9)}, want: errnoNosys},
	} {
		at := slices.IndexFunc(wasiFuncs(), func(f hostFunc) bool { return f.name == c.name })
		signature := wasiFuncs()[at].params + "->" + wasiFuncs()[at].results
		if got := errnoOf(t, r, c.data, c.name, signature, c.args...); got != c.want {
			t.Errorf("%s: errno %d, want %d", c.name, got, c.want)
		}
	}
}

// TestLyingPointers: any function that a guest can call, with any numbers: the
// call ends one way or the other, the host goes on, and the next guest answers.
func TestLyingPointers(t *testing.T) {
	r := newRuntime(t, Config{})
	random := rand.New(rand.NewPCG(1, 2))
	odd := []uint32{0, 1, 2, 3, 4, 8, 64, 1000, 65535, 65536, 65537, 1 << 20, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff}
	for module, funcs := range offered() {
		if module == moduleMeter {
			continue
		}
		for _, f := range funcs {
			var body []byte
			for range 40 {
				for _, p := range f.params {
					v := odd[random.IntN(len(odd))]
					if p == 'I' {
						body = append(body, code(opConst64, sleb(int64(v)))...)
						continue
					}
					body = append(body, c32(v)...)
				}
				body = append(body, call(fnCount)...)
				if f.results != "" {
					body = append(body, opDrop)
				}
			}
			m := hook(body)
			m.imports = append(m.imports, module+"."+f.name+" "+f.params+"->"+f.results)
			i := load(t, r, m.bytes(), plugin.Options{Limits: plugin.Limits{Guests: 1, Call: 200 * time.Millisecond}})
			_, err := i.Call(testContext(t), "event", nil)
			answers(t, i)
			if s := i.Stats(); (err != nil) != (s.Restarts == 1) || s.Guests != 1 {
				t.Errorf("%s.%s: %v; %+v", module, f.name, err, s)
			}
			if err := i.Close(testContext(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestPoll: what is due has happened, and nothing else has.
func TestPoll(t *testing.T) {
	sub := func(user byte, d time.Duration) string {
		b := []byte(sleepFor(d))
		b[0] = user
		return string(b)
	}
	m := hook().with(function{export: "gc_status", signature: "i->i",
		code: code(call(fnPollOneoff, c32(0), c32(200), c32(3), c32(400)), opDrop, call(fnOutputWrite, c32(200), c32(204)), c32(0))})
	m.data = sub(1, time.Hour) + sub(2, time.Millisecond) + sub(3, time.Microsecond)
	i := load(t, newRuntime(t, Config{}), m.bytes(), plugin.Options{})
	out, err := i.Call(testContext(t), "status", nil)
	if err != nil || len(out) != 204 || out[0] != 3 || out[10] != eventClock || out[200] != 1 || out[sizeofEvent] != 0 {
		t.Fatalf("%v, %v", out, err)
	}
}

package wasm

import (
	"encoding/binary"
	"fmt"
	"log/slog"

	"github.com/tetratelabs/wazero/api"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Numbers of WASI preview 1, from its witx files.
const (
	errnoSuccess = 0
	errnoBadf    = 8
	errnoFault   = 21
	errnoInval   = 28
	errnoNosys   = 52
	errnoNotsup  = 58
	errnoSpipe   = 70

	maxVectors   = 1024 // pieces of one fd_write
	charDevice   = 2    // filetype
	sizeofStat   = 64
	sizeofFdstat = 24
	rightWrite   = 1 << 6
)

// wasiFuncs is WASI preview 1 for guests that have nothing: standard output and
// error go to the log, standard input is empty, there are no arguments, no
// environment, no files, no sockets. The functions for those are there, because
// compilers link them, and say that the descriptor is bad.
func wasiFuncs() []hostFunc {
	funcs := []hostFunc{
		{"args_sizes_get", "ii", "i", wasiNone},
		{"args_get", "ii", "i", wasiOK},
		{"environ_sizes_get", "ii", "i", wasiNone},
		{"environ_get", "ii", "i", wasiOK},
		{"clock_res_get", "ii", "i", clockRes},
		{"clock_time_get", "iIi", "i", clockTime},
		{"poll_oneoff", "iiii", "i", pollOneoff},
		{"random_get", "ii", "i", randomGet},
		{"sched_yield", "", "i", wasiOK},
		{"proc_exit", "i", "", procExit},
		{"proc_raise", "i", "i", wasiErrno(errnoNosys)},
		{"fd_write", "iiii", "i", fdWrite},
		{"fd_read", "iiii", "i", fdRead},
		{"fd_close", "i", "i", standard(wasiOK)},
		{"fd_fdstat_get", "ii", "i", standard(fdStat)},
		{"fd_fdstat_set_flags", "ii", "i", standard(wasiOK)},
		{"fd_filestat_get", "ii", "i", standard(fdFileStat)},
		{"fd_seek", "iIii", "i", standard(wasiErrno(errnoSpipe))},
		{"fd_tell", "ii", "i", standard(wasiErrno(errnoSpipe))},
	}
	for _, absent := range []struct{ name, params string }{
		{"fd_advise", "iIIi"}, {"fd_allocate", "iII"}, {"fd_datasync", "i"}, {"fd_fdstat_set_rights", "iII"},
		{"fd_filestat_set_size", "iI"}, {"fd_filestat_set_times", "iIIi"}, {"fd_pread", "iiiIi"},
		{"fd_prestat_get", "ii"}, {"fd_prestat_dir_name", "iii"}, {"fd_pwrite", "iiiIi"}, {"fd_readdir", "iiiIi"},
		{"fd_renumber", "ii"}, {"fd_sync", "i"},
		{"path_create_directory", "iii"}, {"path_filestat_get", "iiiii"}, {"path_filestat_set_times", "iiiiIIi"},
		{"path_link", "iiiiiii"}, {"path_open", "iiiiiIIii"}, {"path_readlink", "iiiiii"},
		{"path_remove_directory", "iii"}, {"path_rename", "iiiiii"}, {"path_symlink", "iiiii"}, {"path_unlink_file", "iii"},
		{"sock_accept", "iii"}, {"sock_recv", "iiiiii"}, {"sock_send", "iiiii"}, {"sock_shutdown", "ii"},
	} {
		funcs = append(funcs, hostFunc{absent.name, absent.params, "i", wasiErrno(errnoBadf)})
	}
	return funcs
}

type hostCode = func(g *guest, mem api.Memory, stack []uint64)

func wasiErrno(errno uint64) hostCode {
	return func(_ *guest, _ api.Memory, stack []uint64) { stack[0] = errno }
}

func wasiOK(_ *guest, _ api.Memory, stack []uint64) {
	if len(stack) > 0 {
		stack[0] = errnoSuccess
	}
}

// standard lets a function have the descriptors 0 to 2 only.
func standard(call hostCode) hostCode {
	return func(g *guest, mem api.Memory, stack []uint64) {
		if uint32(stack[0]) > 2 {
			stack[0] = errnoBadf
			return
		}
		call(g, mem, stack)
	}
}

// wasiNone says that there are 0 arguments with 0 bytes.
func wasiNone(_ *guest, mem api.Memory, stack []uint64) {
	ok := mem.WriteUint32Le(uint32(stack[0]), 0) && mem.WriteUint32Le(uint32(stack[1]), 0)
	stack[0] = faultUnless(ok)
}

func faultUnless(ok bool) uint64 {
	if ok {
		return errnoSuccess
	}
	return errnoFault
}

func procExit(g *guest, _ api.Memory, stack []uint64) {
	g.trap(pluginapi.ErrPluginCrashed, fmt.Sprintf("it called proc_exit(%d)", int32(stack[0]))+g.lastWords())
}

func fdStat(_ *guest, mem api.Memory, stack []uint64) {
	var stat [sizeofFdstat]byte
	stat[0] = charDevice
	if uint32(stack[0]) > 0 {
		binary.LittleEndian.PutUint64(stat[8:], rightWrite)
	}
	stack[0] = faultUnless(mem.Write(uint32(stack[1]), stat[:]))
}

func fdFileStat(_ *guest, mem api.Memory, stack []uint64) {
	var stat [sizeofStat]byte
	stat[16] = charDevice
	stack[0] = faultUnless(mem.Write(uint32(stack[1]), stat[:]))
}

// fdRead finds the end of an empty standard input.
func fdRead(_ *guest, mem api.Memory, stack []uint64) {
	if uint32(stack[0]) != 0 {
		stack[0] = errnoBadf
		return
	}
	stack[0] = faultUnless(mem.WriteUint32Le(uint32(stack[3]), 0))
}

// fdWrite takes what a guest prints.
func fdWrite(g *guest, mem api.Memory, stack []uint64) {
	fd, vectors, count := uint32(stack[0]), uint32(stack[1]), uint32(stack[2])
	if fd != 1 && fd != 2 {
		stack[0] = errnoBadf
		return
	}
	if count > maxVectors {
		stack[0] = errnoInval
		return
	}
	total := uint32(0)
	for n := range count {
		ptr, ok := mem.ReadUint32Le(vectors + 8*n)
		size, ok2 := mem.ReadUint32Le(vectors + 8*n + 4)
		text, ok3 := mem.Read(ptr, size)
		if !ok || !ok2 || !ok3 {
			stack[0] = errnoFault
			return
		}
		g.printed.write(int(fd-1), text, g.printLine)
		total += size
	}
	stack[0] = faultUnless(mem.WriteUint32Le(uint32(stack[3]), total))
}

// printLine logs a line that the guest printed.
func (g *guest) printLine(stream int, text []byte) {
	g.work(len(text))
	level, from := slog.LevelInfo, "stdout"
	if stream == 1 {
		level, from = slog.LevelWarn, "stderr"
	}
	g.inst.out.line(level, text, from)
}

// flushPrinted ends the lines that the guest left without an end.
func (g *guest) flushPrinted() {
	for stream := range g.printed.part {
		if len(g.printed.part[stream]) > 0 {
			g.printed.flush(stream, func(stream int, text []byte) {
				g.inst.out.line(slog.LevelWarn, text, [...]string{"stdout", "stderr"}[stream])
			})
		}
	}
}

// lastWords is what the guest printed last, for the error of its end.
func (g *guest) lastWords() string {
	g.flushPrinted()
	if text := g.printed.text(); text != "" {
		return fmt.Sprintf("; it printed: %q", text)
	}
	return ""
}

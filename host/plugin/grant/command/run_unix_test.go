//go:build unix

package command

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/host/plugin/grant"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

var _ grant.Commands = (*Table)(nil)

// sh is a command that runs a script of the operator's; a plugin's arguments are
// $1 and up.
func sh(script string, args ...string) Command {
	return Command{Argv: []string{"/bin/sh", "-c", script, "sh"}, Args: args}
}

func table(t *testing.T, c Command) *Table {
	t.Helper()
	x, err := New(map[string]Command{"c": c})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestRun(t *testing.T) {
	t.Setenv("SECRET_OF_THE_HOST", "x")
	x := table(t, sh(`cat; printf "%s|" "$@"; pwd; env | sort >&2; exit 3`, ".*"))
	got, err := x.Run(soon(t), "c", []string{"a b", "", "$(id)", "; id", "--x"}, []byte("in "))
	if err != nil || got.Code != 3 || string(got.Stdout) != "in a b||$(id)|; id|--x|/\n" {
		t.Errorf("code %d, stdout %q, %v", got.Code, got.Stdout, err)
	}
	if e := string(got.Stderr); !strings.Contains(e, "PATH=") || strings.Contains(e, "SECRET") {
		t.Errorf("environment %s", e)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := sh(`pwd; echo $A`)
	c.Dir, c.Env = dir, []string{"A=b"}
	if got, err := table(t, c).Run(soon(t), "c", nil, nil); err != nil || string(got.Stdout) != dir+"\nb\n" {
		t.Errorf("stdout %q, %v", got.Stdout, err)
	}
	if got, err := table(t, sh("kill -9 $$")).Run(soon(t), "c", nil, nil); err != nil || got.Code != 128+9 {
		t.Errorf("killed: code %d, %v", got.Code, err)
	}
}

// The whole way of a plugin's request: its bytes, what is granted, the command.
func TestThroughGrant(t *testing.T) {
	granted, err := capability.ParseSet([]string{"exec:c"})
	if err != nil {
		t.Fatal(err)
	}
	h := grant.New(granted, granted, grant.Services{Commands: table(t, sh(`printf "%s|" "$@"; cat`, `[a-z]*`))})
	ask := func(r wire.ExecRequest) (got wire.ExecResult, err error) {
		out, err := h.Call(soon(t), wire.HostExec, r.Append(nil))
		if err == nil {
			err = got.Decode(out)
		}
		return got, err
	}
	if got, err := ask(wire.ExecRequest{Command: "c", Args: []string{"a", ""}, Stdin: []byte("in")}); err != nil || string(got.Stdout) != "a||in" {
		t.Errorf("%q, %v", got.Stdout, err)
	}
	for _, r := range []wire.ExecRequest{{Command: "d"}, {Command: "c", Args: []string{"-x"}}} {
		if _, err := ask(r); !errors.Is(err, pluginapi.ErrNotGranted) {
			t.Errorf("%v: %v", r, err)
		}
	}
	if s := h.Stats(); s != (grant.Stats{Calls: 3, Refused: 2}) {
		t.Errorf("counted %+v", s)
	}
}

// Only arguments that the operator allows, as a whole, reach a command.
func TestArguments(t *testing.T) {
	x := table(t, sh(`printf "%s|" "$@"`, `status|restart`, `[a-z]+\.service`))
	for arg, want := range map[string]bool{
		"status": true, "web.service": true, "restart": true,
		"": false, "stop": false, "status ": false, "status\n": false, "xstatus": false, "status;id": false, "--root=/x": false, "-rf": false, "web.service --force": false, "web.service\nx.service": false, "../web.service": false, "web.service\x00": false, "restartx": false,
	} {
		got, err := x.Run(soon(t), "c", []string{"status", arg}, nil)
		if want && (err != nil || string(got.Stdout) != "status|"+arg+"|") {
			t.Errorf("%q: %q, %v", arg, got.Stdout, err)
		}
		if !want && !errors.Is(err, pluginapi.ErrNotGranted) && !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%q: %v", arg, err)
		}
	}
	if _, err := table(t, sh("true")).Run(soon(t), "c", []string{""}, nil); !errors.Is(err, pluginapi.ErrNotGranted) {
		t.Errorf("an argument where none is allowed: %v", err)
	}
	if _, err := table(t, sh("true", ".*")).Run(soon(t), "c", []string{strings.Repeat("x", maxArgBytes+1)}, nil); !errors.Is(err, pluginapi.ErrTooLarge) {
		t.Errorf("long arguments: %v", err)
	}
	for _, name := range []string{"", "d", "/bin/sh", "C"} {
		if _, err := x.Run(soon(t), name, nil, nil); !errors.Is(err, pluginapi.ErrNotGranted) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// gone says whether the process whose number a file holds has ended.
func gone(t *testing.T, file string) bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.After(30 * time.Second)
	for !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) && !zombie(pid) {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			return false
		}
	}
	return true
}

// zombie says whether a process has ended and nobody has waited for it.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(after, "Z")
}

// A command that runs too long, or is not wanted any more, or writes too much, is
// killed with its children; what a command leaves behind is killed too.
func TestKilled(t *testing.T) {
	child := filepath.Join(t.TempDir(), "child")
	begun := filepath.Join(t.TempDir(), "begun")
	if err := syscall.Mkfifo(begun, 0o600); err != nil {
		t.Fatal(err)
	}
	const behind = `sleep 1000 & echo $! > "$CHILD"; `
	for name, c := range map[string]struct {
		script string
		want   error
	}{
		"too long":     {behind + `trap "" TERM INT HUP; while :; do sleep 1000; done`, pluginapi.ErrTimeout},
		"given up":     {behind + `echo > "$BEGUN"; wait`, pluginapi.ErrTimeout},
		"too much":     {behind + `while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done`, pluginapi.ErrTooLarge},
		"left behind":  {behind + `exit 0`, nil},
		"holds stdout": {behind + `exec sh -c "exit 7"`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := sh(c.script)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "CHILD=" + child, "BEGUN=" + begun}
			cmd.Output = 10_000
			ctx := soon(t)
			switch name {
			case "too long":
				cmd.Timeout = 2 * time.Second
			case "given up":
				given, cancel := context.WithCancel(ctx)
				ctx = given
				go func() {
					_, _ = os.ReadFile(begun)
					cancel()
				}()
			}
			if _, err := table(t, cmd).Run(ctx, "c", nil, nil); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if !gone(t, child) {
				t.Error("its child lives")
			}
		})
	}
}

// More commands than allowed at once are refused, not queued.
func TestBusy(t *testing.T) {
	dir := t.TempDir()
	begun := filepath.Join(dir, "begun")
	if err := syscall.Mkfifo(begun, 0o600); err != nil {
		t.Fatal(err)
	}
	c := sh(`echo > "$BEGUN"; sleep 1000`)
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "BEGUN=" + begun}
	x := table(t, c)
	ctx, cancel := context.WithCancel(soon(t))
	done := make(chan error)
	for range atOnce {
		go func() { _, err := x.Run(ctx, "c", nil, nil); done <- err }()
		if _, err := os.ReadFile(begun); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := x.Run(soon(t), "c", nil, nil); !errors.Is(err, pluginapi.ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	cancel()
	for range atOnce {
		if err := <-done; !errors.Is(err, pluginapi.ErrTimeout) {
			t.Errorf("given up: %v", err)
		}
	}
	if _, err := x.Run(soon(t), "c", []string{"x"}, nil); errors.Is(err, pluginapi.ErrBusy) {
		t.Error("still busy")
	}
}

func TestBadCommands(t *testing.T) {
	good := sh("true")
	change := func(f func(*Command)) map[string]Command { c := good; f(&c); return map[string]Command{"c": c} }
	for name, commands := range map[string]map[string]Command{
		"no program":      {"c": {}},
		"relative":        change(func(c *Command) { c.Argv = []string{"sh"} }),
		"bad name":        {"a b": good},
		"empty name":      {"": good},
		"relative folder": change(func(c *Command) { c.Dir = "x" }),
		"bad pattern":     change(func(c *Command) { c.Args = []string{"("} }),
		"pattern escapes": change(func(c *Command) { c.Args = []string{"a)|(?:b"} }),
		"bad environment": change(func(c *Command) { c.Env = []string{"A"} }),
		"no name":         change(func(c *Command) { c.Env = []string{"=a"} }),
		"zero byte":       change(func(c *Command) { c.Argv = []string{"/bin/sh", "\x00"} }),
		"long":            change(func(c *Command) { c.Timeout = time.Hour }),
		"negative":        change(func(c *Command) { c.Output = -1 }),
	} {
		if _, err := New(commands); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := table(t, Command{Argv: []string{"/nonexistent/program"}}).Run(soon(t), "c", nil, nil); err == nil {
		t.Error("a program that is not there was run")
	}
}

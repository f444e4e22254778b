package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// TestMain runs the program itself when a test has started this binary as it.
func TestMain(m *testing.M) {
	if os.Getenv("LIBRARY_RUN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program is the example as a process of its own.
type program struct {
	cmd   *exec.Cmd
	lines chan string
	said  []string
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.CommandContext(t.Context(), os.Args[0], args...), lines: make(chan string, 100)}
	p.cmd.Env = append(os.Environ(), "LIBRARY_RUN=1", "TMPDIR="+t.TempDir())
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			p.lines <- in.Text()
		}
	}()
	return p
}

// until reads lines until one has the text; "" reads them all.
func (p *program) until(t *testing.T, text string) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case line, open := <-p.lines:
			if !open && text == "" {
				return
			}
			if !open {
				t.Fatalf("it ended without %q: %q", text, p.said)
			}
			p.said = append(p.said, line)
			if text != "" && strings.Contains(line, text) {
				return
			}
		case <-late:
			t.Fatalf("it never says %q: %q", text, p.said)
		}
	}
}

func (p *program) end(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	p.until(t, "")
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("exit after Ctrl-C: %v", err)
	}
}

// TestAlone: without arguments it leads, stops its work on Ctrl-C, and leaves
// nothing behind.
func TestAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no SIGINT for a child there")
	}
	p := start(t)
	p.until(t, "node-1: I lead, epoch 1")
	p.end(t)
	want := []string{"node-1: I lead, epoch 1", "node-1: I stop", "node-1: node-1 leads"}
	if got := slices.Sorted(slices.Values(p.said)); !slices.Equal(got, want) {
		t.Errorf("it said %q, want %q in an order that makes sense", p.said, want)
	}
	if slices.Index(p.said, want[0]) > slices.Index(p.said, want[1]) {
		t.Errorf("it stops before it leads: %q", p.said)
	}
	for _, env := range p.cmd.Env {
		if dir, ok := strings.CutPrefix(env, "TMPDIR="); ok {
			if left, _ := filepath.Glob(filepath.Join(dir, "library-*")); strings.Contains(dir, t.Name()) && len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		}
	}
}

// TestTwo: with an existing NATS the second takes over when the first ends.
func TestTwo(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no SIGINT for a child there")
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	first := start(t, "-nats", s.ClientURL(), "-node", "a", "-data", t.TempDir())
	first.until(t, "a: I lead, epoch 1")
	second := start(t, "-nats", s.ClientURL(), "-node", "b", "-data", t.TempDir())
	second.until(t, "b: a leads")
	first.end(t)
	second.until(t, "b: I lead, epoch 2")
	second.end(t)
	if !slices.Contains(second.said, "b: I stop") {
		t.Errorf("the second said %q", second.said)
	}
}

// TestReadme: the lines that README.md shows are those that the program says.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"node-1: node-1 leads\n", "node-1: I lead, epoch 1\n", "`node-1: I stop`"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("README.md does not show %q", line)
		}
	}
}

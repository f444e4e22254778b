package backend

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// stdout and stderr arrive as lines, each marked, and in the log.
func TestOutput(t *testing.T) {
	type said struct {
		line   string
		stderr bool
	}
	heard := make(chan said, 10)
	cfg := actor(t, "")
	cfg.Command, cfg.Args = "sh", []string{"-c", "echo one; printf three; echo two >&2; exec sleep 1000"}
	cfg.OutputHandler = func(line string, stderr bool) { heard <- said{line, stderr} }
	cfg.LogFile = filepath.Join(t.TempDir(), "logs", "service.log")
	p := started(t, cfg)
	got := []said{receive(t, heard), receive(t, heard)}
	mustStop(t, p)
	got = append(got, receive(t, heard)) // without a newline it is complete at the end
	for _, want := range []said{{"one", false}, {"two", true}, {"three", false}} {
		if !slices.Contains(got, want) {
			t.Errorf("%v is not in %v", want, got)
		}
	}
	log, err := os.ReadFile(cfg.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	if slices.Sort(lines); !slices.Equal(lines, []string{"one", "three", "two"}) {
		t.Errorf("log: %q", log)
	}
}

func TestLongLinesAreSplit(t *testing.T) {
	text := strings.Repeat("a", maxLine) + "\n" + strings.Repeat("b", 2*maxLine+5) + "\n\nend"
	var got []string
	readLines(strings.NewReader(text), func(s string) { got = append(got, s) })
	var sizes []string
	for _, s := range got {
		sizes = append(sizes, fmt.Sprintf("%.1s%d", s, len(s)))
	}
	if want := "a65536 b65536 b65536 b5 0 e3"; strings.Join(sizes, " ") != want {
		t.Errorf("got %v, want %s", sizes, want)
	}
}

// A handler that hangs holds up neither the service nor its stop, and the host
// can see what was lost. The next life does not enter the handler again.
func TestHandlerThatHangs(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "written")
	release, inside := make(chan struct{}), atomic.Int32{}
	cfg := actor(t, "lines", "100000", "80", file)
	cfg.LogFile = filepath.Join(t.TempDir(), "log")
	cfg.OutputHandler = func(string, bool) { inside.Add(1); <-release }
	p := NewProcess(cfg)
	for range 2 {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		until(t, "the service has written everything", func() bool { _, err := os.Stat(file); return err == nil })
		until(t, "the loss is told", func() bool {
			return strings.Contains(health(t, p).Message, "lines dropped for the output handler")
		})
		mustStop(t, p)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if n := inside.Load(); n != 1 {
		t.Errorf("%d calls of the handler at the same time", n)
	}
	close(release)
}

// A handler may stop the service that it listens to.
func TestHandlerThatStops(t *testing.T) {
	t.Parallel()
	var p *ProcessBackend
	stopped := make(chan error, 1)
	cfg := actor(t, "polite")
	cfg.OutputHandler = func(line string, _ bool) {
		if line == "ready" {
			ctx, cancel := contextFor(time.Minute)
			defer cancel()
			stopped <- p.Stop(ctx)
		}
	}
	p = NewProcess(cfg)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, stopped); err != nil {
		t.Error(err)
	}
	mustStop(t, p)
}

// A full disk costs the log, not the service.
func TestLogOnAFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("needs /dev/full: ", err)
	}
	cfg := actor(t, "lines", "100", "80")
	cfg.LogFile = "/dev/full"
	lines := hearing(&cfg)
	p := started(t, cfg)
	await(t, lines, "written")
	until(t, "the loss is told", func() bool {
		return strings.Contains(health(t, p).Message, "101 log lines dropped: write log")
	})
	if h := health(t, p); h.Status != pluginapi.StatusRunning {
		t.Errorf("health: %+v", h)
	}
}

// A real service, with rotation: files of the size, so many of them, no line torn.
func TestLogIsRotated(t *testing.T) {
	cfg := actor(t, "lines", "1000", "100")
	cfg.LogFile = filepath.Join(t.TempDir(), "log")
	cfg.LogMaxSize, cfg.LogMaxFiles = 10_000, 2
	lines := hearing(&cfg)
	p := started(t, cfg)
	await(t, lines, "written")
	mustStop(t, p)
	files, _ := filepath.Glob(cfg.LogFile + "*")
	if want := []string{cfg.LogFile, cfg.LogFile + ".1", cfg.LogFile + ".2"}; !slices.Equal(files, want) {
		t.Fatalf("files: %v", files)
	}
	var all []string
	for _, f := range []string{files[2], files[1], files[0]} {
		b, err := os.ReadFile(f)
		if err != nil || len(b) > 10_000 {
			t.Errorf("%s has %d bytes, %v", f, len(b), err)
		}
		all = append(all, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")...)
	}
	last := 1000 - (len(all) - 1)
	for i, l := range all[:len(all)-1] {
		if !strings.HasPrefix(l, fmt.Sprintf("line %d x", last+i)) || len(l) != 100 {
			t.Fatalf("line %d: %q", last+i, l)
		}
	}
	if all[len(all)-1] != "written" || len(all) < 100 {
		t.Errorf("%d lines, the last %q", len(all), all[len(all)-1])
	}
}

// The log goes on where an earlier one ended, and mends a line that was torn.
func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := &logFile{path: path, max: 12, keep: 1, torn: true}
	for _, s := range []string{"a", "bbbbbbbbbbbbbbbbbbbb", "c"} {
		if lost, err := l.write([]line{{text: s}}); lost != 0 || err != nil {
			t.Fatal(lost, err)
		}
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	now, _ := os.ReadFile(path)
	before, _ := os.ReadFile(path + ".1")
	if string(now) != "c\n" || string(before) != "bbbbbbbbbbbbbbbbbbbb\n" {
		t.Errorf("log %q, before it %q", now, before)
	}
	blocked := &logFile{path: filepath.Join(path, "below", "a", "file"), max: 10}
	if lost, err := blocked.write([]line{{text: "a"}, {text: "b"}}); lost != 2 || err == nil {
		t.Errorf("lost %d, %v", lost, err)
	}
}

package wasm

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
)

// plain logs levels and texts, without the time.
func (j *journal) plain() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// TestOutputRate: so many bytes a second and no more, and what was dropped is
// told with the next line that passes.
func TestOutputRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log journal
		o := newOutput(log.plain(), 1000)
		for n := range 100 {
			o.line(slog.LevelInfo, fmt.Appendf(nil, "line %02d of 38 bytes, with its cost 102", n), "log")
		}
		if got := strings.Count(log.String(), "msg=\"line"); got != 9 {
			t.Fatalf("%d lines passed at once:\n%s", got, log.String())
		}
		time.Sleep(500 * time.Millisecond)
		o.line(slog.LevelInfo, []byte("half a second later"), "log")
		if !strings.Contains(log.String(), `msg="plugin prints too much: lines dropped" lines=91 bytes=3458`) ||
			!strings.Contains(log.String(), "half a second later") {
			t.Fatal(log.String())
		}
		time.Sleep(time.Hour)
		for range 100 {
			o.line(slog.LevelInfo, make([]byte, 100), "log")
		}
		if got := strings.Count(log.String(), `msg=????`); got != 6 {
			t.Fatalf("an hour of silence lets %d lines pass at once", got)
		}
		o.finish()
		if !strings.HasSuffix(log.String(), "lines=94 bytes=9400\n") {
			t.Fatal("what was dropped last is not told")
		}
		log.buf.Reset()
		time.Sleep(time.Hour)
		o.line(slog.LevelInfo, make([]byte, 100_000), "log")
		if n := len(log.String()); n < maxLine || n > maxLine+200 {
			t.Fatalf("a line of 100,000 bytes became %d in the log", n)
		}
	})
}

// TestPrinted: lines are put together from pieces, and the last of them, or those
// of a panic, are remembered.
func TestPrinted(t *testing.T) {
	var p printed
	var lines []string
	line := func(stream int, text []byte) { lines = append(lines, fmt.Sprintf("%d %s", stream, text)) }
	p.write(0, []byte("one\ntw"), line)
	p.write(1, []byte("between\n\n"), line)
	p.write(0, []byte("o\n"), line)
	p.write(0, []byte(strings.Repeat("x", 2*maxLine+10)), line)
	p.flush(0, line)
	p.flush(0, line)
	want := []string{"0 one", "1 between", "0 two", "0 " + strings.Repeat("x", maxLine), "0 " + strings.Repeat("x", maxLine), "0 xxxxxxxxxx"}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Fatalf("%q", lines)
	}
	if got := p.text(); len(got) > tailSize+3 || !strings.HasSuffix(got, "xxxxx") || strings.Contains(got, "one") {
		t.Fatalf("%d bytes: %q", len(got), got)
	}
	p.reset()
	for n := range 1000 {
		p.write(1, fmt.Appendf(nil, "noise %d\n", n), line)
	}
	p.write(1, []byte("panic: "), line)
	p.write(1, []byte("oh no\n\n"), line)
	for n := range 1000 {
		p.write(1, fmt.Appendf(nil, "frame %d\n", n), line)
	}
	if got := p.text(); !strings.HasPrefix(got, "panic: oh no\nframe 0\n") || len(got) > tailSize+3 {
		t.Fatalf("%q", got)
	}
}

// TestLevels: the four levels of a guest's log, whatever number it gives, and
// text that is no text.
func TestLevels(t *testing.T) {
	var log journal
	var all []any
	for _, level := range []uint32{0x80000000, 0xfffffffc, 0, 3, 4, 8, 0x7fffffff} {
		all = append(all, call(fnLog, c32(level), c32(0), c32(6)))
	}
	m := hook(all...)
	m.data = "a\xff\x1b[0m"
	i := load(t, newRuntime(t, Config{}), m.bytes(), plugin.Options{Logger: log.plain()})
	if _, err := i.Call(testContext(t), "event", nil); err != nil {
		t.Fatal(err)
	}
	var levels []string
	for line := range strings.Lines(log.String()) {
		level, rest, _ := strings.Cut(line, " ")
		if levels = append(levels, strings.TrimPrefix(level, "level=")); rest != "msg=a??[0m from=log\n" {
			t.Errorf("%q", rest)
		}
	}
	if got := strings.Join(levels, " "); got != "DEBUG DEBUG INFO INFO WARN ERROR ERROR" {
		t.Error(got)
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	newOutput(quiet, 10).line(slog.LevelDebug, []byte("not wanted"), "log")
	newOutput(nil, 10).line(slog.LevelInfo, []byte("nowhere"), "log")
}

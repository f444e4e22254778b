//go:build unix

package exec

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What a plugin logs arrives with its level and attributes; what it prints
// arrives as text, wherever it prints it.
func TestLog(t *testing.T) {
	t.Parallel()
	o, seen := options(t), &book{}
	o.Logger, o.Limits.Log = seen.logger(), 1<<20
	i := load(t, config(t, "actor"), o)
	mustCall(t, i, "log", "the shop is open")
	mustCall(t, i, "print", "printed")
	hclog := `{"@level":"error","@message":"of go-plugin's kind","@timestamp":"2026-01-02T15:04:05.000000Z","n":1}`
	// What go-plugin itself would panic at.
	mustCall(t, i, "stderr", `{"@message":1,"@level":[],"@timestamp":{}}`+"\n"+hclog+"\n\xff\xfe\n"+strings.Repeat("y", 100_000)+"\n")
	until(t, "all is logged", func() bool {
		return seen.has("level=WARN", `msg="the shop is open"`, "number=7", "list=[1,2]", "plugin=actor") &&
			seen.has("level=INFO", "msg=printed", "stream=stderr") && seen.has("level=INFO", "msg=printed", "stream=stdout") &&
			seen.has("level=ERROR", `of go-plugin's kind`, "n=1") && seen.has("@message") && seen.has("yyyy")
	})
	if n := seen.bytes(); n > 50_000 {
		t.Errorf("the log has %d bytes: a long line was not cut", n)
	}
}

// A plugin that floods its log is read no faster than 16 times its limit, and
// logged no faster than that; it still answers.
func TestFlood(t *testing.T) {
	t.Parallel()
	o, seen := options(t), &book{}
	o.Logger, o.Limits.Log = seen.logger(), 10_000
	i := load(t, config(t, "actor"), o)
	began := time.Now()
	mustCall(t, i, "flood", "")
	until(t, "lines are dropped", func() bool { return seen.has("lines were dropped") })
	for range 20 {
		mustCall(t, i, "echo", "x")
	}
	seconds := int(time.Since(began)/time.Second) + 2
	if n := seen.bytes(); n > seconds*3*10_000 { // a text of slog's is longer than the line
		t.Errorf("%d bytes were logged in %d s", n, seconds)
	}
	i.log.mu.Lock()
	read := i.log.read
	i.log.mu.Unlock()
	if read > patience*10_000+2*maxLine {
		t.Errorf("%d bytes were read in one second", read)
	}
}

func TestSinkCountsBySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := &book{}
		s := newSink(seen.logger(), 100)
		line := []byte(strings.Repeat("x", 60) + "\n")
		for second := range 3 {
			for range 10 {
				s.take(line, len(line), "stderr")
			}
			logged := 0
			for _, l := range seen.lines {
				logged += strings.Count(l, "xxx\"") + strings.Count(l, "xxx ")
			}
			if logged != second+1 {
				t.Errorf("after %d s %d lines were logged", second, logged)
			}
			time.Sleep(time.Second)
		}
		s.flush()
		drops := 0
		for _, l := range seen.lines {
			drops += strings.Count(l, "lines=9")
		}
		if drops != 3 {
			t.Errorf("told %d times of 9 dropped lines: %q", drops, seen.lines)
		}
		began := time.Now()
		for range 100 { // 6 100 bytes: the reader is held up until the second is over
			s.take(line, len(line), "stderr")
			s.wait(nil)
		}
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("100 lines took %v", took)
		}
	})
}

func TestParseLine(t *testing.T) {
	for line, want := range map[string]struct {
		level slog.Level
		text  string
		attrs int
	}{
		`plain`:                            {slog.LevelInfo, "plain", 0},
		`{"level":"DEBUG","msg":"m"}`:      {slog.LevelDebug, "m", 0},
		`{"level":"ERROR+4","msg":"m"}`:    {slog.LevelError + 4, "m", 0},
		`{"@level":"trace","@message":""}`: {slog.LevelDebug, "", 0},
		`{"level":"LOUD","msg":"m"}`:       {slog.LevelInfo, `{"level":"LOUD","msg":"m"}`, 0},
		`{"level":1,"msg":"m"}`:            {slog.LevelInfo, `{"level":1,"msg":"m"}`, 0},
		`{"level":"INFO","msg":{}}`:        {slog.LevelInfo, `{"level":"INFO","msg":{}}`, 0},
		`{"level":"INFO"`:                  {slog.LevelInfo, `{"level":"INFO"`, 0},
		`{"level":"INFO","msg":"m","a":1,"b":{"c":[1]},"time":"x"}`: {slog.LevelInfo, "m", 2},
	} {
		level, text, attrs := parseLine([]byte(line + "\n"))
		if level != want.level || text != want.text || len(attrs) != want.attrs {
			t.Errorf("%s: %v %q %v", line, level, text, attrs)
		}
	}
	many := map[string]any{"level": "INFO", "msg": "m"}
	for n := range 1000 {
		many[strings.Repeat("k", n+1)] = n
	}
	b, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, attrs := parseLine(b); len(attrs) != maxAttrs {
		t.Errorf("%d attributes", len(attrs))
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add([]byte(`{"level":"INFO","msg":"m","a":{"b":[1,null]}}`))
	f.Add([]byte(`{"@message":1,"@level":[]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		_, _, attrs := parseLine(line)
		for _, a := range attrs {
			switch a.Value.Kind() {
			case slog.KindGroup, slog.KindLogValuer:
				t.Errorf("attribute %v", a)
			}
		}
	})
}

func TestTail(t *testing.T) {
	var words, report tail
	for n := range 1000 {
		words.add([]byte(strings.Repeat("ä", n) + "\n"))
	}
	if s := words.String(); len(s) > tailSize || !strings.HasSuffix(s, "ä\n") || strings.ToValidUTF8(s, "?") != s {
		t.Errorf("kept %d bytes", len(s))
	}
	report.add([]byte("before\n"))
	report.add([]byte("panic: the reason\n"))
	for range 1000 {
		report.add([]byte("goroutine 1 [running]:\n"))
	}
	if s := report.String(); len(s) > tailSize || !strings.HasPrefix(s, "panic: the reason\ngoroutine") {
		t.Errorf("kept %q", s)
	}
}

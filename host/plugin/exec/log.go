package exec

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxLine  = 8 << 10 // bytes of a line that are kept
	maxAttrs = 32      // of a line
	tailSize = 1 << 10 // bytes of the last words
	patience = 16      // limits of log in a second that are read and dropped; then the plugin waits
)

// sink logs what a plugin prints: a limited number of bytes in each second of
// the clock. What is more is dropped and counted; from 16 times the limit on it
// is not even read until the second is over, and the plugin has to wait.
type sink struct {
	logger *slog.Logger
	limit  int64

	mu      sync.Mutex
	second  time.Time // when the current one began
	read    int64     // bytes in it
	dropped int64     // lines since the last word about them
}

func newSink(l *slog.Logger, limit int64) *sink { return &sink{logger: l, limit: limit} }

// take logs a line of a stream. size is what it had before it was cut.
func (s *sink) take(line []byte, size int, stream string) {
	if !s.allow(int64(size)) {
		return
	}
	level, text, attrs := parseLine(line)
	s.logger.LogAttrs(context.Background(), level, text, append(attrs, slog.String("stream", stream))...)
}

// allow counts a line, and says whether it may be logged.
func (s *sink) allow(size int64) bool {
	s.mu.Lock()
	if now := time.Now(); now.Sub(s.second) >= time.Second {
		dropped := s.dropped
		s.second, s.read, s.dropped = now, 0, 0
		s.mu.Unlock()
		s.tell(dropped)
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	s.read += size
	if s.read > s.limit {
		s.dropped++
		return false
	}
	return true
}

func (s *sink) tell(dropped int64) {
	if dropped > 0 {
		s.logger.Warn("a plugin logs more than it may: lines were dropped", "lines", dropped, "bytes_per_second", s.limit)
	}
}

// flush tells of the lines that were dropped last.
func (s *sink) flush() {
	s.mu.Lock()
	dropped := s.dropped
	s.dropped = 0
	s.mu.Unlock()
	s.tell(dropped)
}

// wait holds up the reader of a plugin that floods its log, until the second
// is over or the plugin has ended.
func (s *sink) wait(ended <-chan struct{}) {
	s.mu.Lock()
	left := time.Until(s.second.Add(time.Second))
	flood := s.read > patience*s.limit
	s.mu.Unlock()
	if !flood || left <= 0 {
		return
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ended:
	}
}

// copy logs a stream until it ends or is closed. last, if there is one, keeps
// the end of it.
func (s *sink) copy(r io.Reader, stream string, last *tail, ended <-chan struct{}) {
	in := bufio.NewReaderSize(r, maxLine)
	var head []byte // of a line longer than the buffer
	size := 0       // of the line so far
	for {
		part, err := in.ReadSlice('\n')
		if last != nil {
			last.add(part)
		}
		if size += len(part); head == nil && len(part) > 0 {
			head = slices.Clone(part)
		}
		if !errors.Is(err, bufio.ErrBufferFull) && size > 0 {
			s.take(head, size, stream)
			head, size = nil, 0
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
		s.wait(ended)
	}
}

// writer is for what go-plugin brings of what a plugin prints once it serves.
func (s *sink) writer(stream string, ended <-chan struct{}) io.Writer {
	return &lines{sink: s, stream: stream, ended: ended}
}

// lines logs what is written to it line by line. It belongs to one goroutine.
type lines struct {
	sink   *sink
	stream string
	ended  <-chan struct{}
	head   []byte
	size   int
}

// Write logs the lines that end in b. It never fails.
func (l *lines) Write(b []byte) (int, error) {
	for part := range strings.Lines(string(b)) {
		l.size += len(part)
		if n := maxLine - len(l.head); n > 0 {
			l.head = append(l.head, part[:min(n, len(part))]...)
		}
		if strings.HasSuffix(part, "\n") {
			l.sink.take(l.head, l.size, l.stream)
			l.head, l.size = nil, 0
		}
	}
	l.sink.wait(l.ended)
	return len(b), nil
}

// parseLine reads a line of slog's JSON, or of hclog's, and takes anything else
// for a text.
func parseLine(line []byte) (slog.Level, string, []slog.Attr) {
	text := strings.TrimRight(strings.ToValidUTF8(string(line), "\uFFFD"), "\r\n")
	var m map[string]any
	if !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &m) != nil {
		return slog.LevelInfo, text, nil
	}
	level, okLevel := levelOf(first(m, "level", "@level"))
	message, okText := first(m, "msg", "@message").(string)
	if !okLevel || !okText {
		return slog.LevelInfo, text, nil
	}
	for _, key := range []string{"level", "@level", "msg", "@message", "time", "@timestamp"} {
		delete(m, key)
	}
	var attrs []slog.Attr
	for key, v := range m {
		if len(attrs) == maxAttrs {
			break
		}
		attrs = append(attrs, slog.Any(key, plain(v)))
	}
	slices.SortFunc(attrs, func(a, b slog.Attr) int { return strings.Compare(a.Key, b.Key) })
	return level, message, attrs
}

func first(m map[string]any, keys ...string) any {
	for _, k := range keys {
		if v, ok := m[k]; ok {
			return v
		}
	}
	return nil
}

func levelOf(v any) (level slog.Level, ok bool) {
	s, ok := v.(string)
	if !ok {
		return level, false
	}
	if strings.EqualFold(s, "trace") {
		return slog.LevelDebug, true
	}
	return level, level.UnmarshalText([]byte(s)) == nil
}

// plain turns a list or an object into its JSON: an attribute is one value.
func plain(v any) any {
	switch v := v.(type) {
	case string, float64, bool, nil:
		return v
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(b)
	}
}

// tail keeps the end of what is added, a line or a part of one at a time; or,
// of a Go program that gives up, the beginning of its last report.
type tail struct {
	mu     sync.Mutex
	b      []byte
	report bool
}

func (t *tail) add(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: ")) {
		t.b, t.report = t.b[:0], true
	}
	t.b = append(t.b, line...)
	switch n := len(t.b) - tailSize; {
	case n > 0 && t.report:
		t.b = t.b[:tailSize]
	case n > 0:
		t.b = append(t.b[:0], t.b[n:]...)
	}
}

// String is what is kept, as valid UTF-8.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(t.b), "")
}

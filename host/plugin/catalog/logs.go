package catalog

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of the lines that are kept of each plugin, to be shown.
const (
	keptLines = 200
	maxLine   = 1024 // bytes
)

// Line is a line that a plugin has logged.
type Line struct {
	Time    time.Time
	Node    string
	Version string
	Level   slog.Level
	Text    string // message and attributes
}

// logbooks keeps the last lines of each plugin.
type logbooks struct {
	mu    sync.Mutex
	lines map[string][]Line
}

func newLogbooks() *logbooks { return &logbooks{lines: map[string][]Line{}} }

// logger writes to the host's log, and keeps the lines.
func (b *logbooks) logger(host *slog.Logger, name, version string) *slog.Logger {
	host = host.With("plugin", name, "version", version)
	return slog.New(&keeper{Handler: host.Handler(), book: b, name: name, version: version})
}

func (b *logbooks) add(name string, l Line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := append(b.lines[name], l)
	if len(lines) > keptLines {
		lines = slices.Clone(lines[len(lines)-keptLines:])
	}
	b.lines[name] = lines
}

func (b *logbooks) last(name string) []Line {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.lines[name])
}

func (b *logbooks) forget(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.lines, name)
}

// keeper is a handler that keeps what it hands on.
type keeper struct {
	slog.Handler
	book          *logbooks
	name, version string
	attrs         string
}

// Enabled is true for all that a person may want to see later.
func (k *keeper) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelInfo || k.Handler.Enabled(ctx, l)
}

// Handle keeps a line and hands it on.
func (k *keeper) Handle(ctx context.Context, r slog.Record) error {
	text := r.Message + k.attrs
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return len(text) < maxLine
	})
	if len(text) > maxLine {
		text = text[:maxLine] + "..."
	}
	k.book.add(k.name, Line{Time: r.Time, Version: k.version, Level: r.Level, Text: strings.ToValidUTF8(text, "?")})
	if !k.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return k.Handler.Handle(ctx, r)
}

// WithAttrs returns a handler that has attributes.
func (k *keeper) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := *k
	out.Handler = k.Handler.WithAttrs(attrs)
	for _, a := range attrs {
		out.attrs += " " + a.String()
	}
	return &out
}

// WithGroup returns a handler with a group.
func (k *keeper) WithGroup(name string) slog.Handler {
	out := *k
	out.Handler = k.Handler.WithGroup(name)
	return &out
}

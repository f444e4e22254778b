package wasm

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	maxLine  = 4 << 10 // bytes of one line in the log; the rest of a longer one is another line
	lineCost = 64      // what a line costs beside its bytes
	tailSize = 2 << 10 // bytes of what a guest printed last that go into the error of its crash
)

// output is where the guests of one instance print to: the log, so many bytes a
// second, at most a second's worth at once. What is over that is counted and
// told with the next line that passes.
type output struct {
	logger *slog.Logger
	rate   float64 // bytes a second

	mu      sync.Mutex
	left    float64 // bytes that may pass now
	at      time.Time
	dropped int // lines
	bytes   int // of them
}

func newOutput(logger *slog.Logger, rate int64) *output {
	return &output{logger: logger, rate: float64(rate), left: float64(rate), at: time.Now()}
}

// line logs one line of a guest.
func (o *output) line(level slog.Level, text []byte, from string) {
	if o.logger == nil || !o.logger.Enabled(context.Background(), level) {
		return
	}
	if len(text) > maxLine {
		text = text[:maxLine]
	}
	pass, lines, size := o.admit(len(text))
	if lines > 0 {
		o.logger.Warn("plugin prints too much: lines dropped", "lines", lines, "bytes", size)
	}
	if pass {
		o.logger.Log(context.Background(), level, clip(string(text), maxLine), "from", from)
	}
}

// admit says whether so many bytes may pass, and if they do, how many lines with
// how many bytes were dropped before them.
func (o *output) admit(size int) (pass bool, lines, dropped int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.left = min(o.rate, o.left+now.Sub(o.at).Seconds()*o.rate)
	o.at = now
	cost := float64(size + lineCost)
	if o.left < min(cost, o.rate) {
		o.dropped++
		o.bytes += size
		return false, 0, 0
	}
	o.left -= cost
	lines, dropped = o.dropped, o.bytes
	o.dropped, o.bytes = 0, 0
	return true, lines, dropped
}

// finish tells what was dropped last.
func (o *output) finish() {
	o.mu.Lock()
	lines, size := o.dropped, o.bytes
	o.dropped, o.bytes = 0, 0
	o.mu.Unlock()
	if lines > 0 {
		o.logger.Warn("plugin prints too much: lines dropped", "lines", lines, "bytes", size)
	}
}

// printed is what one guest prints on its standard output and standard error:
// lines, and what of them belongs into the error when it crashes.
type printed struct {
	part [2][]byte // the line that has no end yet, of each
	kept []byte
	pin  bool // kept begins with the message of a panic, and does not move on
}

// reset forgets what was printed in an earlier call.
func (p *printed) reset() {
	p.kept, p.pin = p.kept[:0], false
}

// write takes what the guest wrote to stream 0 (standard output) or 1 (error).
func (p *printed) write(stream int, b []byte, line func(stream int, text []byte)) {
	for len(b) > 0 {
		n, found := bytes.IndexByte(b, '\n'), true
		if n < 0 {
			n, found = len(b), false
		}
		if room := maxLine - len(p.part[stream]); n > room {
			n, found = room, false
		}
		p.part[stream] = append(p.part[stream], b[:n]...)
		b = b[n:]
		if found {
			b = b[1:]
		}
		if found || len(p.part[stream]) == maxLine {
			p.flush(stream, line)
		}
	}
}

// flush ends the line that a stream has begun.
func (p *printed) flush(stream int, line func(stream int, text []byte)) {
	text := p.part[stream]
	p.part[stream] = text[:0]
	if len(text) == 0 {
		return
	}
	p.keep(text)
	line(stream, text)
}

// keep remembers the line: from the message of a panic on if there is one, the
// last ones otherwise.
func (p *printed) keep(text []byte) {
	for _, begins := range [...]string{"panic: ", "fatal error: ", "thread '"} {
		if !p.pin && bytes.HasPrefix(text, []byte(begins)) {
			p.kept, p.pin = p.kept[:0], true
		}
	}
	p.kept = append(append(p.kept, text...), '\n')
	switch extra := len(p.kept) - tailSize; {
	case extra <= 0:
	case p.pin:
		p.kept = p.kept[:tailSize]
	default:
		p.kept = append(p.kept[:0], p.kept[extra:]...)
	}
}

// text is what a crash says of it.
func (p *printed) text() string {
	return clip(string(bytes.TrimSpace(p.kept)), tailSize)
}

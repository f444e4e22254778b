package backend

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	maxLine   = 64 << 10               // longer lines are split
	drainTime = time.Second            // for the log and the handler, when the service has ended
	pipeTime  = 200 * time.Millisecond // for a pipe that someone outside the cage still holds
)

// output takes the lines of a run to the log file and the handler.
type output struct {
	log, handler *sink // nil when there is none
}

// sink is a queue and the goroutine that empties it.
type sink struct {
	*queue
	done chan struct{}
}

// newOutput starts the sinks of a run. The turns belong to the backend: a
// handler or a disk that hangs must not be entered a second time by the next run.
func newOutput(c ProcessConfig, logTurn, handlerTurn chan struct{}) *output {
	o := &output{}
	if c.LogFile != "" {
		l := &logFile{path: c.LogFile, max: c.LogMaxSize, keep: c.LogMaxFiles}
		o.log = startSink(logTurn, l.drain)
	}
	if c.OutputHandler != nil {
		o.handler = startSink(handlerTurn, func(q *queue) { handle(q, c.OutputHandler) })
	}
	return o
}

func startSink(turn chan struct{}, drain func(*queue)) *sink {
	s := &sink{queue: newQueue(), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		select {
		case turn <- struct{}{}:
			drain(s.queue)
			<-turn
		case <-s.closed:
		}
	}()
	return s
}

// drain writes what comes through the queue until it is closed.
func (l *logFile) drain(q *queue) {
	for {
		batch, ok := q.take()
		if !ok {
			break
		}
		lost, err := l.write(batch)
		q.lose(lost, err)
	}
	if err := l.close(); err != nil {
		q.lose(0, err)
	}
}

func handle(q *queue, handler OutputHandler) {
	for {
		batch, ok := q.take()
		if !ok {
			return
		}
		for _, l := range batch {
			handler(l.text, l.stderr)
		}
	}
}

func (o *output) push(l line) {
	for _, s := range o.sinks() {
		s.push(l)
	}
}

func (o *output) sinks() []*sink {
	sinks := make([]*sink, 0, 2)
	for _, s := range []*sink{o.log, o.handler} {
		if s != nil {
			sinks = append(sinks, s)
		}
	}
	return sinks
}

// close waits until the rest is written, but not for ever: a handler may hang,
// and may itself be waiting for the end of the service. Such a goroutine ends
// when its handler returns.
func (o *output) close() {
	for _, s := range o.sinks() {
		s.close()
	}
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	for _, s := range o.sinks() {
		select {
		case <-s.done:
			continue
		case <-timer.C:
			timer.Reset(0) // the next one has no time left either
			s.lose(len(s.grab()), nil)
		}
	}
}

// losses says in words what was not delivered; "" when everything was.
func (o *output) losses() string {
	var words []string
	if o.log != nil {
		if n, err := o.log.losses(); err != nil {
			words = append(words, fmt.Sprintf("%d log lines dropped: %v", n, err))
		} else if n > 0 {
			words = append(words, fmt.Sprintf("%d log lines dropped", n))
		}
	}
	if o.handler != nil {
		if n, _ := o.handler.losses(); n > 0 {
			words = append(words, fmt.Sprintf("%d lines dropped for the output handler", n))
		}
	}
	return strings.Join(words, ", ")
}

// pipes are the host's ends of a child's stdout and stderr.
type pipes struct {
	ends    []*os.File
	readers sync.WaitGroup
}

// follow reads one of the child's streams until its end and hands on its lines.
func (p *pipes) follow(r *os.File, stderr bool, emit func(line)) {
	p.ends = append(p.ends, r)
	p.readers.Go(func() { readLines(r, func(s string) { emit(line{s, stderr}) }) })
}

// close waits for the rest of the output and closes the pipes. All writers in
// the cage are dead, so the end is near; one that got away may hold a pipe open.
func (p *pipes) close() error {
	var errs []error
	for _, r := range p.ends {
		errs = append(errs, r.SetReadDeadline(time.Now().Add(pipeTime)))
	}
	p.readers.Wait()
	for _, r := range p.ends {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// readLines calls emit for each line until the stream ends. Lines longer than
// maxLine come in pieces.
func readLines(r io.Reader, emit func(string)) {
	br := bufio.NewReaderSize(r, maxLine)
	piece := false // the last one was a piece, so a newline alone only ends it
	for {
		b, err := br.ReadSlice('\n')
		full := errors.Is(err, bufio.ErrBufferFull)
		if len(b) > 0 && !(piece && len(b) == 1 && b[0] == '\n') {
			emit(string(bytes.TrimSuffix(b, []byte{'\n'})))
		}
		if err != nil && !full {
			return
		}
		piece = full
	}
}

const (
	tailLines = 10
	tailWidth = 300
)

// tail keeps the last lines of stderr for error messages.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(s string) {
	if len(s) > tailWidth {
		s = s[:tailWidth] + "..."
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == tailLines {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, s)
}

// String is a suffix for an error message: quoted, for the text is the service's.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == 0 {
		return ""
	}
	return fmt.Sprintf("; last on stderr: %q", t.lines)
}

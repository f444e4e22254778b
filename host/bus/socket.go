package bus

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// How a socket gathers what is written.
const (
	quietAfter = 20 * time.Microsecond // without a write the next one goes out at once
	gatherMost = 16 << 10              // bytes of one write that are worth copying
	gatherRoom = 1 << 20               // bytes that may wait; more wait for the network
	lastWords  = 50 * time.Millisecond // that Close gives what still waits
)

var errSocketClosed = errors.New("the connection is closed")

// socket writes what comes in quick succession in one go. nats.go writes for
// itself whatever has been published when its flusher gets to run, which with
// many publishers is after each of them; a system call costs more than all the
// rest of a small message. A write that comes alone is not held up.
//
// It is a pointer type: nats.go compares connections.
type socket struct {
	net.Conn
	stop func() bool // of what kills it
	done chan struct{}

	mu     sync.Mutex
	more   sync.Cond // something to write, room, or the end
	buf    []byte    // to be written by run
	busy   bool      // somebody writes
	waits  int       // how many wait for the end of that
	closed bool
	err    error // of a write
	last   time.Time
}

// newSocket returns a socket that is killed when ctx ends.
func newSocket(ctx context.Context, conn net.Conn) *socket {
	s := &socket{Conn: conn, done: make(chan struct{})}
	s.more.L = &s.mu
	s.stop = context.AfterFunc(ctx, s.kill)
	go s.run()
	return s
}

// SetWriteDeadline does nothing: each write has writeTimeout, whoever does it.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// Write implements net.Conn. An error may be that of an earlier write.
func (s *socket) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	quiet := now.Sub(s.last) > quietAfter
	s.last = now
	if !quiet && len(b) < gatherMost {
		for len(s.buf) > gatherRoom && s.fault() == nil {
			s.wait()
		}
		if err := s.fault(); err != nil {
			return 0, err
		}
		s.buf = append(s.buf, b...)
		if !s.busy { // else whoever writes says so when it is done
			s.more.Broadcast()
		}
		return len(b), nil
	}
	for (s.busy || len(s.buf) > 0) && s.fault() == nil { // what came before goes first
		s.wait()
	}
	if err := s.fault(); err != nil {
		return 0, err
	}
	s.out(b)
	if s.err != nil {
		return 0, s.err
	}
	return len(b), nil
}

// fault says why nothing can be written. s.mu is held.
func (s *socket) fault() error {
	if s.err == nil && s.closed {
		return errSocketClosed
	}
	return s.err
}

// out writes; s.mu is held, but not meanwhile.
func (s *socket) out(b []byte) {
	s.busy = true
	s.mu.Unlock()
	err := s.Conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err == nil {
		_, err = s.Conn.Write(b)
	}
	s.mu.Lock()
	s.busy = false
	if s.err == nil {
		s.err = err
	}
	if len(s.buf) > 0 || s.waits > 0 || s.closed || s.err != nil {
		s.more.Broadcast()
	}
}

// wait waits for the end of a write. s.mu is held.
func (s *socket) wait() {
	s.waits++
	s.more.Wait()
	s.waits--
}

// run writes what has gathered, and leaves each time a chance to those who are
// ready to add to it.
func (s *socket) run() {
	defer close(s.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	var spare []byte
	for {
		for s.err == nil && (s.busy || len(s.buf) == 0 && !s.closed) {
			s.more.Wait()
		}
		if s.err != nil {
			s.Conn.Close() // whoever reads hears of it
			return
		}
		if len(s.buf) == 0 {
			return // closed, and nothing is left
		}
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
		if s.busy {
			continue
		}
		out := s.buf
		s.buf = spare[:0]
		s.out(out)
		if spare = out; cap(spare) > 4*gatherMost {
			spare = nil // a burst is over
		}
	}
}

// kill ends the socket at once.
func (s *socket) kill() {
	s.Conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.more.Broadcast()
}

// Close sends what still waits, if that is soon, and closes the connection.
func (s *socket) Close() error {
	s.stop()
	s.mu.Lock()
	s.closed = true
	s.more.Broadcast()
	s.mu.Unlock()
	late := time.NewTimer(lastWords)
	defer late.Stop()
	select {
	case <-s.done:
	case <-late.C:
	}
	err := s.Conn.Close()
	<-s.done
	return err
}

// inProcess makes sockets of the connections to the server of this process.
type inProcess struct {
	server nats.InProcessConnProvider
	ctx    context.Context
}

// InProcessConn implements nats.InProcessConnProvider.
func (p inProcess) InProcessConn() (net.Conn, error) {
	conn, err := p.server.InProcessConn()
	if err != nil {
		return nil, err
	}
	return newSocket(p.ctx, conn), nil
}

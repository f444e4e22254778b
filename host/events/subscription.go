package events

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Subscription is one subscription of a broker.
type Subscription struct {
	b               *Broker
	source, subject string
	reader          reader
	ended           chan struct{} // nothing of it runs any more

	mu     sync.Mutex
	begun  bool
	over   bool
	inside map[uint64]struct{} // goroutines that call its handler
}

// reader is what brings the events to the handler.
type reader interface {
	// begin starts it; ended is closed when all that it has started has ended.
	begin(p *Place, s *Subscription) error
	// cancel brings no more events; with hurry also the contexts of handlers end.
	cancel(hurry bool)
}

// subscribe adds a subscription and begins it, when the broker is attached.
func (b *Broker) subscribe(source, subject string, r reader) (*Subscription, error) {
	s := &Subscription{b: b, source: source, subject: subject, reader: r, ended: make(chan struct{}), inside: map[uint64]struct{}{}}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil, pluginapi.ErrShuttingDown
	}
	b.subs[s] = struct{}{}
	p := b.place
	b.mu.Unlock()
	if p == nil { // Attach begins it
		return s, nil
	}
	if err := s.begin(p); err != nil {
		return nil, err
	}
	return s, nil
}

// checkListening refuses what cannot be subscribed to.
func checkListening(source, subject string) error {
	if err := bus.CheckSubjects(subject); err != nil {
		return err
	}
	if source == bus.NoApp || source == "*" {
		return nil
	}
	return pluginapi.CheckName("app", source)
}

// begin starts the reader once.
func (s *Subscription) begin(p *Place) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun || s.over {
		return nil
	}
	s.begun = true
	if err := s.reader.begin(p, s); err != nil {
		s.over = true
		close(s.ended)
		s.forget()
		return fmt.Errorf("subscribe to %s: %w", s.subject, err)
	}
	return nil
}

func (s *Subscription) forget() {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	delete(s.b.subs, s)
}

// Subject returns what is subscribed to.
func (s *Subscription) Subject() string { return s.subject }

// Unsubscribe ends the subscription and returns when a handler that runs has
// returned; called by the handler itself, it returns at once. A handler that
// waits for another goroutine that calls this waits for ever.
func (s *Subscription) Unsubscribe() {
	s.cancel(false)
	_ = s.wait(context.Background())
}

func (s *Subscription) cancel(hurry bool) {
	s.mu.Lock()
	first := !s.over
	s.over = true
	begun := s.begun
	if first && !begun {
		close(s.ended)
	}
	s.mu.Unlock()
	if begun && (first || hurry) {
		s.reader.cancel(hurry)
	}
	s.forget()
}

// wait returns when nothing of the subscription runs any more. The handler
// itself does not wait.
func (s *Subscription) wait(ctx context.Context) error {
	select {
	case <-s.ended: // no need to ask who calls
		return nil
	default:
	}
	s.mu.Lock()
	_, inside := s.inside[goroutine()]
	s.mu.Unlock()
	if inside {
		return nil
	}
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a handler still runs: %w", pluginapi.ErrTimeout)
	}
}

// handling runs fn as a goroutine that may call the handler.
func (s *Subscription) handling(fn func()) {
	id := goroutine()
	s.mu.Lock()
	s.inside[id] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.inside, id)
		s.mu.Unlock()
	}()
	fn()
}

// goroutine returns the number of the calling goroutine: the only way to know
// that a handler which has no context of ours calls back from inside. If it
// could not be read, it would be 0 for all, and nobody would wait.
func goroutine() uint64 {
	var buf [64]byte
	text := bytes.TrimPrefix(buf[:runtime.Stack(buf[:], false)], []byte("goroutine "))
	digits, _, _ := bytes.Cut(text, []byte(" "))
	return number(string(digits))
}

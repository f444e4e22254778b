package guard

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ozanturksever/go-cluster/host/clock"
)

// callStore notes the calls.
type callStore struct {
	mu    sync.Mutex
	calls []string
	incs  []uint64
}

func (s *callStore) note(what string, inc uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, what)
	s.incs = append(s.incs, inc)
	return nil
}

func (s *callStore) Release(_ context.Context, l Lease) error { return s.note("release", l.Inc) }
func (s *callStore) Gone(_ context.Context, l Lease) error    { return s.note("gone", l.Inc) }
func (s *callStore) Close() error                             { return s.note("close", 0) }

func (s *callStore) has(what string, inc uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.calls {
		if s.calls[i] == what && s.incs[i] == inc {
			return true
		}
	}
	return false
}

// line is the host's end of a watchman that runs in this process.
type line struct {
	testing.TB
	w     *os.File
	got   chan message
	code  chan int
	store *callStore
}

// newLine starts a watchman that finds some bytes in its pipe.
func newLine(t testing.TB, written ...byte) *line {
	t.Helper()
	theirs, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if len(written) > 0 {
		if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 1<<20); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(written); err != nil {
			t.Fatal(err)
		}
	}
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := &line{TB: t, w: w, got: make(chan message, 1000), code: make(chan int, 1), store: &callStore{}}
	dial := func(context.Context, Init) (Store, error) { return l.store, nil }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { l.code <- watch(ctx, theirs, out, dial, slog.New(slog.DiscardHandler)) }()
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer r.Close()
		var dec decoder
		buf := make([]byte, 4096)
		for {
			n, err := r.Read(buf)
			if err != nil {
				return
			}
			for dec.feed(buf[:n]); ; {
				m, ok, err := dec.next()
				if err != nil {
					t.Error(err)
				}
				if !ok {
					break
				}
				l.got <- m
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		w.Close()
		<-read
	})
	return l
}

func (l *line) send(m message) { l.Helper(); l.write(mustEncode(l.TB, m)) }

func (l *line) write(b []byte) {
	l.Helper()
	if _, err := l.w.Write(b); err != nil {
		l.Fatal(err)
	}
}

func (l *line) hello(pid int) {
	l.Helper()
	l.send(message{Kind: kindHello, Version: version, Init: &Init{Platform: "p", Node: "n", HostPID: pid}})
	if m := l.reply(kindHello); m.Error != "" {
		l.Fatal(m.Error)
	}
}

func (l *line) reply(kind string) message {
	l.Helper()
	select {
	case m := <-l.got:
		if m.Kind != kind {
			l.Fatalf("watchman said %+v, want %s", m, kind)
		}
		return m
	case <-time.After(patience):
		l.Fatalf("watchman did not say %s within %v", kind, patience)
	}
	return message{}
}

func (l *line) end() int {
	l.Helper()
	select {
	case code := <-l.code:
		return code
	case <-time.After(patience):
		l.Fatalf("watchman did not end within %v", patience)
	}
	return -1
}

// lease sends a lease whose deadline is that far away.
func (l *line) lease(inc uint64, deadline time.Duration) {
	l.Helper()
	at := int64(0)
	if deadline != 0 {
		at = clock.Now().Add(deadline).UnixNano()
	}
	l.send(message{Kind: kindLease, Lease: &Lease{Node: "n", Inc: inc, Seq: 1, TTL: max(deadline, 50*time.Millisecond), Deadline: at}})
}

// maybe is the next reply, or an empty one.
func (l *line) maybe() <-chan message {
	one := make(chan message, 1)
	select {
	case m := <-l.got:
		one <- m
	case <-time.After(50 * time.Millisecond):
		one <- message{}
	}
	return one
}

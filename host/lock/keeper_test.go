package lock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/lock"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

const patience = 30 * time.Second

// stage is a keeper on a real store, with a clock and a session that the test
// moves.
type stage struct {
	*Keeper
	t       *testing.T
	changed chan struct{}

	mu      sync.Mutex
	now     time.Time
	session Session
	events  []Event
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	conn, err := bus.Dial(t.Context(), bus.Config{URLs: []string{s.ClientURL()}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	names, err := bus.NewNames("p")
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := bus.OpenRecords(t.Context(), conn, names.Sessions())
	if err != nil {
		t.Fatal(err)
	}
	st := &stage{t: t, changed: make(chan struct{}, 1), now: time.Unix(1000, 0)}
	st.session = Session{Self: election.Holder{Node: "n1", Inc: 1}, Stop: st.now.Add(2 * time.Second), Until: st.now.Add(3 * time.Second)}
	st.Keeper = New(Config{
		Open:     func(ctx context.Context) (*bus.Records, error) { return bus.OpenRecords(ctx, conn, names.Locks()) },
		Sessions: func() *bus.Records { return sessions },
		Session:  st.look,
		Confirms: func(election.Holder) bool { return true },
		Changes:  func() (<-chan struct{}, func()) { return st.changed, func() {} },
		OnGone:   func(func(string)) (func(), error) { return func() {}, nil },
		Now:      func() time.Time { st.mu.Lock(); defer st.mu.Unlock(); return st.now },
		Timeout:  time.Second, Logger: slog.New(slog.DiscardHandler),
		OnEvent: func(e Event) { st.mu.Lock(); defer st.mu.Unlock(); st.events = append(st.events, e) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- st.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return st
}

// look is the session at the time of the stage.
func (s *stage) look() Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.session
	if !s.now.Before(out.Until) {
		out.Self = election.Holder{}
	}
	return out
}

// pass lets time pass; renewed moves the end of the session too.
func (s *stage) pass(d time.Duration, renewed bool) {
	s.mu.Lock()
	s.now = s.now.Add(d)
	if renewed {
		s.session.Stop, s.session.Until = s.now.Add(2*time.Second), s.now.Add(3*time.Second)
	}
	s.mu.Unlock()
	s.changed <- struct{}{}
}

func (s *stage) eventually(what string, cond func() bool) {
	s.t.Helper()
	tick, late := time.NewTicker(time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			s.t.Fatal("never happened: ", what)
		}
	}
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestForgets: what is known of locks that nobody uses is dropped, together with
// the watch of one that was fought for, and the next hold has a higher epoch all
// the same.
func TestForgets(t *testing.T) {
	s := newStage(t)
	kept := NewExclusive(Name{Lock: "kept"})
	s.must(kept.Lock(t.Context(), s.Keeper))
	var last pluginapi.Epoch
	for i := range 20 {
		l := NewExclusive(Name{App: "app", Lock: fmt.Sprint(i)})
		s.must(l.Lock(t.Context(), s.Keeper))
		last = max(last, l.Token())
		if i == 0 { // another one waits for a while, so that the record is watched
			ctx, cancel := context.WithCancel(t.Context())
			waits := make(chan error, 1)
			go func() { waits <- NewExclusive(Name{App: "app", Lock: "0"}).Lock(ctx, s.Keeper) }()
			s.eventually("it is watched", func() bool { return s.watched() == 1 })
			cancel()
			if err := <-waits; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		s.must(l.Unlock(t.Context()))
	}
	s.eventually("the one that gave up is out", func() bool { s.pass(calmAfter, true); return s.watched() == 0 })
	s.eventually("all but one are forgotten", func() bool { s.pass(keepFor, true); return len(s.allSlots()) == 1 })
	l := NewExclusive(Name{App: "app", Lock: "0"})
	s.must(l.Lock(t.Context(), s.Keeper))
	if l.Token() == 0 || kept.Token() == 0 {
		t.Errorf("tokens %d and %d", l.Token(), kept.Token())
	}
	s.must(l.Unlock(t.Context()))
	s.must(kept.Unlock(t.Context()))
}

func (s *stage) watched() (n int) {
	for _, slot := range s.allSlots() {
		slot.mu.Lock()
		if slot.stop != nil {
			n++
		}
		slot.mu.Unlock()
	}
	return n
}

// TestDeadline: the context ends when work must stop, the token goes with the end
// of the session, both at the moment of use; a session that is renewed after the
// warning keeps the lock. Each hold is told of once, with how long it lasted.
func TestDeadline(t *testing.T) {
	s := newStage(t)
	l := NewExclusive(Name{Lock: "x"})
	s.must(l.Lock(t.Context(), s.Keeper))
	s.pass(time.Second, true)
	s.pass(time.Second, false)
	if l.Context().Err() != nil || l.Token() == 0 {
		t.Fatal("it ends while the session is renewed")
	}
	s.pass(time.Second, false)
	<-l.Context().Done()
	if l.Token() == 0 {
		t.Error("the lock is lost with the warning")
	}
	s.pass(0, true)
	s.must(l.Unlock(t.Context()))

	s.must(l.Lock(t.Context(), s.Keeper))
	ctx := l.Context()
	s.mu.Lock()
	s.now = s.now.Add(time.Hour) // frozen, and nobody has been told
	s.mu.Unlock()
	if l.Token() != 0 {
		t.Error("a token after the deadline")
	}
	s.pass(0, false)
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, errLost) {
		t.Error(err)
	}
	s.mu.Lock()
	s.session.Self.Inc++
	s.mu.Unlock()
	s.pass(0, true)
	if err := l.Unlock(t.Context()); !errors.Is(err, pluginapi.ErrLockNotHeld) {
		t.Error(err)
	}
	s.must(l.Lock(t.Context(), s.Keeper))
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []string
	for _, e := range s.events {
		got = append(got, fmt.Sprint(e.Name, " ", e.Kind, " ", e.Took))
	}
	want := "[platform.x acquired 0s platform.x released 3s platform.x acquired 0s platform.x lost 1h0m0s platform.x acquired 0s]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestLostByLeaving: a node that shuts down has given its session up before Run
// looks again, and something else makes the lock look at it first.
func TestLostByLeaving(t *testing.T) {
	s := newStage(t)
	l := NewExclusive(Name{Lock: "x"})
	s.must(l.Lock(t.Context(), s.Keeper))
	ctx := l.Context()
	s.mu.Lock()
	s.session.Leaving, s.session.Self = true, election.Holder{}
	s.mu.Unlock()
	for _, slot := range s.allSlots() {
		slot.step(lock.Look{})
	}
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, pluginapi.ErrShuttingDown) {
		t.Error(err)
	}
	if err := l.Unlock(t.Context()); !errors.Is(err, pluginapi.ErrShuttingDown) {
		t.Error(err)
	}
}

package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

const patience = 40 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// newLog returns a log whose store can be reached when up says so.
func newLog(t *testing.T, up *atomic.Bool, dropped *atomic.Int64) *Log {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	must(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	c, err := bus.Dial(within(t), bus.Config{URLs: []string{s.ClientURL()}})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close(within(t))) })
	names, err := bus.NewNames("p")
	must(t, err)
	return New(Config{
		Names: names, Node: "n1", Logger: slog.New(slog.DiscardHandler), OnDrop: func(n int) { dropped.Add(int64(n)) },
		Conn: func() (*bus.Conn, int, error) {
			if !up.Load() {
				return nil, 0, errors.New("an outage")
			}
			return c, 0, nil
		},
	})
}

// run runs the log until the returned function is called.
func run(l *Log, last time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx, last) }()
	return func() { cancel(); <-done }
}

func entry(i int) Entry {
	return Entry{Category: "test", Action: "count", Data: map[string]any{"i": i}}
}

// What is put during an outage is written after it, in order; what had no room
// is counted, and the log itself says how much is missing. Put never waits.
func TestOutage(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	var dropped atomic.Int64
	l := newLog(t, &up, &dropped)
	stop := run(l, patience)
	for i := range maxWaiting + 7 {
		l.Put(entry(i), "")
	}
	if n := dropped.Load(); n != 7 {
		t.Errorf("%d counted", n)
	}
	up.Store(true)
	stop() // writes what is left
	all, err := l.Query(within(t), Filter{})
	must(t, err)
	if len(all) != MaxEntries {
		t.Fatalf("%d entries", len(all))
	}
	if g := all[0]; g.Category != "audit" || g.Action != "gap" || g.Data["dropped"] != 7.0 {
		t.Errorf("the newest is %+v", g)
	}
	for i, e := range all[1:] {
		if e.Data["i"] != float64(maxWaiting-1-i) || e.NodeID != "n1" {
			t.Fatalf("entry %d is %+v", i, e)
		}
	}
}

// What cannot be written before the end is counted, and the end does not wait.
func TestEndWithoutStore(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	var dropped atomic.Int64
	l := newLog(t, &up, &dropped)
	stop := run(l, 10*time.Millisecond)
	l.Put(entry(1), "")
	l.Put(Entry{Category: "not.allowed"}, "") // could never be written
	stop()
	if n := dropped.Load(); n != 1 {
		t.Errorf("%d counted", n)
	}
	up.Store(true)
	if _, err := l.Stream(within(t)); !errors.Is(err, pluginapi.ErrShuttingDown) {
		t.Errorf("a stream after the end: %v", err)
	}
}

// Entries with one id are one; a stream gets each once and in order, however
// slow its reader is, and ends with the log.
func TestStreamAndIDs(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	var dropped atomic.Int64
	up.Store(true)
	l := newLog(t, &up, &dropped)
	stop := run(l, patience)
	must(t, l.Write(within(t), entry(-1)))
	stream, err := l.Stream(within(t))
	must(t, err)
	const entries = 700
	for i := range entries {
		l.Put(entry(i), fmt.Sprint("id", i))
		l.Put(entry(i), fmt.Sprint("id", i))
	}
	for i := range entries {
		select {
		case e := <-stream:
			if e.Data["i"] != float64(i) {
				t.Fatalf("entry %d is %+v", i, e)
			}
		case <-within(t).Done():
			t.Fatalf("entry %d never comes", i)
		}
	}
	stop()
	if e, open := <-stream; open {
		t.Errorf("one more: %+v", e)
	}
}

func TestNewest(t *testing.T) {
	var n newest
	for i := range 2*MaxEntries + 3 {
		n.add(entry(i))
	}
	got := n.list()
	for i, e := range got {
		if e.Data["i"] != 2*MaxEntries+2-i {
			t.Fatalf("entry %d is %v", i, e.Data)
		}
	}
	if len(got) != MaxEntries {
		t.Errorf("%d entries", len(got))
	}
}

// What strangers store is read or refused; what is read can be written again.
func FuzzDecode(f *testing.F) {
	f.Add("test.a.b", []byte(`{"ts":"2026-01-02T03:04:05Z","node":"n1","category":"test","action":"a.b","data":{"k":[1,null]},"trace_id":"t"}`))
	f.Add("test.a", []byte(`{"ts":"2026-01-02T03:04:05Z","node":"n 1","category":"test","action":"a"}`))
	f.Add("x", []byte(`{"ts":"0000-00-00T00:00:00Z"}`))
	f.Add("", []byte(strings.Repeat("[", 20000)))
	f.Fuzz(func(t *testing.T, subject string, data []byte) {
		e, err := Decode(subject, data)
		if err != nil {
			if !errors.Is(err, pluginapi.ErrInvalid) && !errors.Is(err, pluginapi.ErrTooLarge) {
				t.Errorf("refused with %v", err)
			}
			return
		}
		if again, _, err := Encode(e); err == nil && again != subject {
			t.Errorf("%q is written to %q", subject, again)
		}
	})
}

package events

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

func publish(t testing.TB, b *Broker, subject, data string) {
	t.Helper()
	must(t, b.Publish(within(t), bus.NoApp, subject, []byte(data)))
}

// Every subscriber of a subject gets each event once and in order, kept ones
// too, and nobody else gets it.
func TestLive(t *testing.T) {
	t.Parallel()
	url := startServer(t).ClientURL()
	a, b, other := join(t, url, "n1", "web"), join(t, url, "n2", "web"), join(t, url, "n1", "web2")
	var all, again, wild, remote, stranger notes
	for _, s := range []struct {
		b       *Broker
		subject string
		n       *notes
	}{{a, "x.y", &all}, {a, "x.y", &again}, {a, "x.*", &wild}, {b, ">", &remote}, {other, ">", &stranger}} {
		_, err := s.b.Listen("*", s.subject, s.n.live)
		must(t, err)
	}
	publish(t, a, "x.y", "1")
	must(t, a.Keep(within(t), bus.NoApp, "x.y", "", []byte("2")))
	publish(t, a, "x.z", "3")
	publish(t, a, "x.y", "4")
	for n, want := range map[*notes]string{&all: "1 2 4", &again: "1 2 4", &wild: "1 2 3 4", &remote: "1 2 3 4"} {
		eventually(t, want, func() bool { return n.list() == want })
	}
	if got := stranger.list(); got != "" {
		t.Errorf("another app has got %s", got)
	}
}

// An event says which app and node it comes from, and one without a good header
// says nothing.
func TestSource(t *testing.T) {
	t.Parallel()
	url := startServer(t).ClientURL()
	b := join(t, url, "n1", "")
	var got, fromWeb notes
	note := func(n *notes) LiveHandler {
		return func(e Event) { n.add("%s/%s/%s/%s", e.Subject, e.SourceApp, e.SourceNode, e.Data) }
	}
	_, err := b.Listen("*", "a.>", note(&got))
	must(t, err)
	_, err = b.Listen("web", "a.>", note(&fromWeb))
	must(t, err)
	must(t, b.Publish(within(t), bus.NoApp, "a.b", []byte("1")))
	must(t, b.Publish(within(t), "web", "a.b", []byte("2")))
	p, err := b.at()
	must(t, err)
	must(t, p.Conn.PublishMsg(within(t), bus.Message{Subject: "gc.p.e.live.web.a.c", Header: bus.Header{headerNode: {"no node"}}, Data: []byte("3")}))
	want := "a.b//n1/1 a.b/web/n1/2 a.c/web//3"
	eventually(t, want, func() bool { return got.list() == want })
	eventually(t, "the app's own", func() bool { return fromWeb.list() == "a.b/web/n1/2 a.c/web//3" })
}

// A handler that panics or hangs harms nobody; what a slow one misses is
// counted.
func TestSlowHandler(t *testing.T) {
	t.Parallel()
	url := startServer(t).ClientURL()
	var dropped atomic.Int64
	b := join(t, url, "n1", "web", func(p *Place) { p.OnDrop = func(_ string, n int) { dropped.Add(int64(n)) } })
	release, entered := make(chan struct{}), make(chan struct{})
	var slow, bad atomic.Int64
	_, err := b.Listen("*", "s", func(Event) {
		if slow.Add(1) == 1 {
			close(entered)
			<-release
		}
	})
	must(t, err)
	_, err = b.Listen("*", "s", func(Event) { bad.Add(1); panic("no") })
	must(t, err)
	publish(t, b, "s", "x")
	<-entered
	const more = maxQueued + 500
	for i := range more {
		publish(t, b, "s", "x")
		if i%1000 == 0 { // keep this connection's own reader in step
			eventually(t, "the panicking one goes on", func() bool { return bad.Load() >= int64(i) })
		}
	}
	eventually(t, "the panicking one has all", func() bool { return bad.Load() == more+1 })
	eventually(t, "the slow one's queue is full", func() bool { return dropped.Load() == more+1-maxQueued })
	close(release)
	eventually(t, "the slow one has the rest", func() bool { return slow.Load() == maxQueued })
}

// Unsubscribe returns when the handler that runs has returned, and nothing comes
// after it; called by the handler it does not wait for itself.
func TestUnsubscribe(t *testing.T) {
	t.Parallel()
	url := startServer(t).ClientURL()
	b := join(t, url, "n1", "web")
	entered, release := make(chan struct{}), make(chan struct{})
	var running, calls atomic.Int64
	_, err := b.Listen("*", "u", func(Event) {
		running.Add(1)
		if calls.Add(1) == 1 {
			close(entered)
			<-release
		}
		running.Add(-1)
	})
	must(t, err)
	publish(t, b, "u", "1")
	publish(t, b, "u", "2")
	<-entered
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		if !b.Unsubscribe("*", "u") {
			t.Error("not found")
		}
		if n := running.Load(); n != 0 {
			t.Errorf("%d handlers run after Unsubscribe", n)
		}
	}()
	eventually(t, "it is not a subscription any more", func() bool { return b.Subscriptions() == 0 })
	select {
	case <-returned:
		t.Error("Unsubscribe did not wait for the handler")
	default:
	}
	close(release)
	<-returned
	publish(t, b, "u", "3")
	if b.Unsubscribe("*", "u") {
		t.Error("unsubscribed twice")
	}
	done := make(chan struct{})
	var s *Subscription
	ready := make(chan struct{})
	s, err = b.Listen("*", "self", func(Event) { <-ready; s.Unsubscribe(); close(done) })
	must(t, err)
	close(ready)
	publish(t, b, "self", "1")
	select {
	case <-done:
	case <-within(t).Done():
		t.Fatal("a handler that unsubscribes itself hangs")
	}
	<-s.ended
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls: what was queued was called after Unsubscribe", n)
	}
}

// Ten thousand subscriptions leave nothing behind, here or on the server.
func TestSubscriptionsLeakNothing(t *testing.T) {
	srv := startServer(t)
	b := join(t, srv.ClientURL(), "n1", "web")
	before, goroutines := srv.NumSubscriptions(), runtime.NumGoroutine()
	for range 10_000 {
		s, err := b.Listen("*", "x", func(Event) {})
		must(t, err)
		s.Unsubscribe()
	}
	eventually(t, "no subscription is left", func() bool { return srv.NumSubscriptions() == before && b.Subscriptions() == 0 })
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
}

// What is subscribed before there is a connection begins with it; what comes
// after the end is refused.
func TestBeforeAndAfter(t *testing.T) {
	t.Parallel()
	url := startServer(t).ClientURL()
	b := New()
	var got, kept, ended notes
	_, err := b.Listen("*", "x", got.live)
	must(t, err)
	_, err = b.Consume(within(t), "*", "x", "g", kept.kept, Durable{})
	must(t, err)
	s, err := b.Listen("*", "x", ended.live)
	must(t, err)
	s.Unsubscribe()
	for _, err := range []error{b.Publish(within(t), bus.NoApp, "x", nil), b.Keep(within(t), bus.NoApp, "x", "", nil)} {
		if !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("before the connection: %v", err)
		}
	}
	must(t, b.Attach(place(t, connect(t, url), "n1", "web")))
	publish(t, b, "x", "1")
	eventually(t, "the early subscription works", func() bool { return got.list() == "1" })
	eventually(t, "the early consumer works", func() bool { // it begins in the background
		must(t, b.Keep(within(t), bus.NoApp, "x", "", []byte("k")))
		return strings.HasPrefix(kept.list(), "k")
	})
	leave(t, b)
	_, err1 := b.Listen("*", "x", got.live)
	_, err2 := b.Consume(within(t), "*", "x", "g", kept.kept, Durable{})
	for _, err := range []error{err1, err2, b.Publish(within(t), bus.NoApp, "x", nil), b.Keep(within(t), bus.NoApp, "x", "", nil)} {
		if !errors.Is(err, pluginapi.ErrShuttingDown) {
			t.Errorf("after the end: %v", err)
		}
	}
	if ended.count() > 0 || b.Subscriptions() > 0 {
		t.Error("an ended subscription goes on")
	}
}

func TestEventsRefuse(t *testing.T) {
	t.Parallel()
	b := join(t, startServer(t).ClientURL(), "n1", "web")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var n notes
	listen := func(source, subject string, fn LiveHandler) error {
		_, err := b.Listen(source, subject, fn)
		return err
	}
	consume := func(subject, group string, how Durable) error {
		_, err := b.Consume(t.Context(), "*", subject, group, n.kept, how)
		return err
	}
	must(t, consume("x", "taken", Durable{}))
	for what, c := range map[string]struct {
		err  error
		is   error
		text string
	}{
		"empty subject":      {b.Publish(t.Context(), "-", "", nil), pluginapi.ErrInvalid, "subject"},
		"wildcard":           {b.Publish(t.Context(), "-", "a.*", nil), pluginapi.ErrInvalid, "'*'"},
		"blank":              {b.Publish(t.Context(), "-", "a b", nil), pluginapi.ErrInvalid, "' '"},
		"empty part":         {b.Keep(t.Context(), "-", "a..b", "", nil), pluginapi.ErrInvalid, "empty part"},
		"long subject":       {b.Keep(t.Context(), "-", strings.Repeat("a", 300), "", nil), pluginapi.ErrInvalid, "255"},
		"bad source":         {b.Publish(t.Context(), "a.b", "x", nil), pluginapi.ErrInvalid, "app"},
		"too large":          {b.Publish(t.Context(), "-", "x", make([]byte, 2<<20)), pluginapi.ErrTooLarge, "2097152"},
		"too large, kept":    {b.Keep(t.Context(), "-", "x", "", make([]byte, 2<<20)), pluginapi.ErrTooLarge, "2097152"},
		"bad id":             {b.Keep(t.Context(), "-", "x", "a\nb", nil), pluginapi.ErrInvalid, "event id"},
		"cancelled":          {b.Publish(ctx, "-", "x", nil), context.Canceled, ""},
		"cancelled, kept":    {b.Keep(ctx, "-", "x", "", nil), context.Canceled, ""},
		"nil handler":        {listen("*", "x", nil), pluginapi.ErrInvalid, "handler is nil"},
		"bad pattern":        {listen("*", "a.>.b", n.live), pluginapi.ErrInvalid, "'>'"},
		"bad source app":     {listen("a.b", "x", n.live), pluginapi.ErrInvalid, "app"},
		"bad group":          {consume("x", "a.b", Durable{}), pluginapi.ErrInvalid, "consumer"},
		"bad tries":          {consume("x", "g", Durable{Tries: -1}), pluginapi.ErrInvalid, "tries"},
		"bad pause":          {consume("x", "g", Durable{First: 2, Most: 1}), pluginapi.ErrInvalid, "pauses"},
		"bad timeout":        {consume("x", "g", Durable{Timeout: -1}), pluginapi.ErrInvalid, "timeout"},
		"bad concurrency":    {consume("x", "g", Durable{Concurrency: 5000}), pluginapi.ErrInvalid, "concurrency"},
		"group of another":   {consume("y", "taken", Durable{}), pluginapi.ErrInvalid, "choose another name"},
		"bad group to read":  {func() error { _, err := b.DeadLetters(t.Context(), "*"); return err }(), pluginapi.ErrInvalid, "consumer"},
		"bad group to leave": {b.Forget(t.Context(), ""), pluginapi.ErrInvalid, "consumer"},
	} {
		if !errors.Is(c.err, c.is) || !strings.Contains(c.err.Error(), c.text) {
			t.Errorf("%s: %v, want %v with %q", what, c.err, c.is, c.text)
		}
	}
	if n := b.Subscriptions(); n != 1 {
		t.Errorf("%d subscriptions", n)
	}
}

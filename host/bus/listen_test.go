package bus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// TestDrainHandsOnWhatWasDelivered: whatever was sent before the end of a
// listener is handed on or has no responder; nothing is in between.
func TestDrainHandsOnWhatWasDelivered(t *testing.T) {
	s := startServer(t)
	c, other := dialServer(t, s), dialServer(t, s)
	for round := range 20 {
		var got atomic.Int64
		first := make(chan struct{})
		l, err := c.Listen("work", "", func(m Message) {
			if got.Add(1) == 1 {
				close(first)
			}
			_ = m.Respond(nil)
		})
		if err != nil {
			t.Fatal(err)
		}
		const n = 2000
		in := make(asking, n)
		sent := make(chan error, 1)
		go func() {
			for range n {
				if _, err := other.Ask(Message{Subject: "work"}, "", in); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		<-first
		if err := l.Drain(within(t, patience)); err != nil {
			t.Fatal(err)
		}
		after := got.Load()
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		answers := int64(0)
		for range n {
			select {
			case a := <-in:
				if a.err == nil {
					answers++
				} else if !errors.Is(a.err, ErrNoResponders) {
					t.Fatal(a.err)
				}
			case <-within(t, patience).Done():
				t.Fatalf("round %d: a question is never answered", round)
			}
		}
		if answers != after || got.Load() != after {
			t.Errorf("round %d: %d answers, %d handed on before the end, %d after", round, answers, after, got.Load()-after)
		}
	}
}

// TestDrainIsBounded: it waits for a function that does not come back no longer
// than it may, and not for a connection that is not there.
func TestDrainIsBounded(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.ClientURL())
	c := dial(t, Config{URLs: []string{p.url()}})
	free := make(chan struct{})
	begun := make(chan struct{}, 1)
	l, err := c.Listen("stuck", "", func(Message) {
		select {
		case begun <- struct{}{}:
		default:
		}
		<-free
	})
	if err != nil {
		t.Fatal(err)
	}
	for range listenRoom + 10 { // no room for the end behind them
		if err := c.Publish(t.Context(), "stuck", nil); err != nil {
			t.Fatal(err)
		}
	}
	<-begun
	if err := c.NATS().FlushWithContext(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	expect(t, l.Drain(within(t, 20*time.Millisecond)), context.DeadlineExceeded, `drain stuck`)
	close(free)
	_ = l.Drain(within(t, patience)) // the function has come back
	select {
	case <-l.done:
	default:
		t.Error("it is not over")
	}
	idle, err := c.Listen("idle", "", func(Message) {})
	if err != nil {
		t.Fatal(err)
	}
	p.cut()
	eventually(t, "disconnect", func() bool { return !c.Connected() })
	ctx := within(t, patience)
	_ = idle.Drain(ctx)
	if ctx.Err() != nil {
		t.Error("it waited for a connection that is not there")
	}
}

// TestCancelledListenerDropsTheRest: after Cancel, and after the end of the
// connection, nothing that waited is handed on.
func TestCancelledListenerDropsTheRest(t *testing.T) {
	s := startServer(t)
	for _, end := range []string{"cancel", "close"} {
		c := dialServer(t, s)
		free, begun := make(chan struct{}), make(chan struct{})
		var calls atomic.Int64
		l, err := c.Listen("x", "", func(Message) {
			if calls.Add(1) == 1 {
				close(begun)
			}
			<-free
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := c.Publish(t.Context(), "x", nil); err != nil {
				t.Fatal(err)
			}
		}
		<-begun
		done := make(chan struct{})
		go func() {
			if end == "cancel" {
				l.Cancel()
			} else {
				closeConn(t, c)
			}
			close(done)
		}()
		eventually(t, "the end has begun", l.over.Load)
		close(free)
		<-done
		if calls.Load() != 1 {
			t.Errorf("%s: %d calls", end, calls.Load())
		}
	}
}

// TestNotesAndEarlyWords: the note of a question arrives, and an early word is
// not the answer.
func TestNotesAndEarlyWords(t *testing.T) {
	s := startServer(t)
	c, other := dialServer(t, s), dialServer(t, s)
	l, err := c.Listen("q", "", func(m Message) {
		_ = m.RespondMsg(Header{"Early": {"1"}}, nil)
		_ = m.RespondMsg(Header{"Other": {"1"}}, []byte(m.Note))
		_ = m.Respond([]byte("late"))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Cancel()
	for _, note := range []string{"", "a,b~c", "x"} {
		in := make(asking, 3)
		ticket, err := other.Ask(Message{Subject: "q", Note: note}, "Early", in)
		if err != nil {
			t.Fatal(err)
		}
		early, answer := <-in, <-in
		if early.m.Header.Get("Early") != "1" || string(answer.m.Data) != note || answer.err != nil {
			t.Errorf("%q: %+v, %+v", note, early, answer)
		}
		if other.Forget(ticket) {
			t.Error("an answered question is still waited for")
		}
		if _, err := other.Request(within(t, patience), "q", nil); err != nil { // behind the late answer
			t.Error(err)
		}
		if len(in) != 0 {
			t.Errorf("told again: %+v", <-in)
		}
	}
	ticket, err := other.Ask(Message{Subject: "q", Note: "n"}, "", make(asking, 1))
	if err != nil || !other.Forget(ticket) && ticket == 0 {
		t.Errorf("%d, %v", ticket, err)
	}
	_, err = other.Ask(Message{Subject: "nobody"}, "", make(asking, 1))
	if err != nil {
		t.Error(err)
	}
	closeConn(t, other)
	_, err = other.Ask(Message{Subject: "q"}, "", make(asking, 1))
	expect(t, err, ErrRefused, fmt.Sprint(ErrClosed))
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

func TestStateIsToldToAll(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.ClientURL())
	c := dial(t, Config{URLs: []string{p.url()}})
	a, b := make(chan bool, 100), make(chan bool, 100)
	c.OnState(func(up bool) { a <- up })
	cancel := c.OnState(func(up bool) { b <- up })
	for range 3 {
		p.cut()
		if up := <-a; up || <-b {
			t.Fatal("told up, is down")
		}
		if c.Connected() {
			t.Error("Connected during a cut")
		}
		expect(t, c.Publish(t.Context(), "x", nil), ErrRefused)
		_, err := c.Request(t.Context(), "x", nil)
		expect(t, err, ErrRefused, "not connected")
		p.heal()
		if up := <-a; !up || !<-b {
			t.Fatal("told down, is up")
		}
		if !c.Connected() {
			t.Error("not Connected after the cut")
		}
	}
	cancel()
	p.cut()
	<-a
	if len(b) != 0 {
		t.Error("told after cancel")
	}
}

func TestRequestOutcomes(t *testing.T) {
	s := startServer(t)
	c := dialServer(t, s)
	_, err := c.Request(t.Context(), "nobody", nil)
	expect(t, err, ErrNoResponders, ErrRefused)
	cancel, err := c.Subscribe("silent", "", func(Message) {})
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	_, err = c.Request(within(t, 20*time.Millisecond), "silent", nil)
	expect(t, err, pluginapi.ErrTimeout, ErrUnknown)
	over, end := context.WithTimeout(t.Context(), 0)
	defer end()
	_, err = c.Request(over, "silent", nil)
	expect(t, err, pluginapi.ErrTimeout, ErrRefused)
	echo, err := c.Subscribe("echo.*", "q", func(m Message) { _ = m.Respond(append([]byte(m.Subject+"="), m.Data...)) })
	if err != nil {
		t.Fatal(err)
	}
	defer echo()
	got, err := c.Request(t.Context(), "echo.x", []byte("hi"))
	if err != nil || string(got) != "echo.x=hi" {
		t.Errorf("%q %v", got, err)
	}
	_, err = c.Request(t.Context(), "bad subject", nil)
	expect(t, err, ErrRefused)
	if _, err := c.Request(t.Context(), "echo.x", make([]byte, 2<<20)); !errors.Is(err, ErrRefused) {
		t.Errorf("above max_payload: %v", err)
	}
}

func TestQueueSplitsAndPlainDoesNot(t *testing.T) {
	s := startServer(t)
	a, b := dialServer(t, s), dialServer(t, s)
	var queue, plain atomic.Int64
	for _, c := range []*Conn{a, b} {
		for name, n := range map[string]*atomic.Int64{"q": &queue, "": &plain} {
			cancel, err := c.Subscribe("x", name, func(Message) { n.Add(1) })
			if err != nil {
				t.Fatal(err)
			}
			defer cancel()
		}
	}
	for range 10 {
		if err := a.Publish(t.Context(), "x", nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "10 messages in the queue, 20 outside", func() bool { return queue.Load() == 10 && plain.Load() == 20 })
}

func TestCancelAndCloseWaitForCallbacks(t *testing.T) {
	s := startServer(t)
	c := dialServer(t, s)
	for _, end := range []string{"cancel", "close"} {
		running, free := make(chan struct{}), make(chan struct{})
		var ended atomic.Bool
		var calls atomic.Int64
		cancel, err := c.Subscribe("x", "", func(Message) {
			if calls.Add(1) == 1 {
				close(running)
				<-free
				ended.Store(true)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // two wait in the queue and must not be called
			if err := c.Publish(t.Context(), "x", nil); err != nil {
				t.Fatal(err)
			}
		}
		<-running
		if end == "close" {
			soon := within(t, 20*time.Millisecond)
			expect(t, c.Close(soon), context.DeadlineExceeded, `callback of "x"`)
		}
		done := make(chan bool)
		go func() {
			if end == "cancel" {
				cancel()
			} else {
				closeConn(t, c)
				cancel()
			}
			done <- ended.Load()
		}()
		select {
		case <-done:
			t.Errorf("%s does not wait for the callback", end)
		case <-time.After(20 * time.Millisecond):
		}
		close(free)
		if end == "cancel" && !<-done {
			t.Errorf("%s returned before the callback ended", end)
		} else if end == "close" {
			<-done
		}
		if calls.Load() != 1 {
			t.Errorf("%s: %d calls", end, calls.Load())
		}
	}
	if _, err := c.Subscribe("x", "", func(Message) {}); !errors.Is(err, ErrClosed) {
		t.Errorf("Subscribe after Close: %v", err)
	}
	expect(t, c.Publish(context.Background(), "x", nil), ErrRefused)
}

func TestClosePublishesWhatWasSaid(t *testing.T) {
	s := startServer(t)
	heard := make(chan string, 1000)
	listener := dialServer(t, s)
	cancel, err := listener.Subscribe("bye", "", func(m Message) { heard <- string(m.Data) })
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	c := dialServer(t, s)
	for i := range 100 {
		if err := c.Publish(t.Context(), "bye", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	closeConn(t, c)
	eventually(t, "100 messages", func() bool { return len(heard) == 100 })
}

func TestServerIsTriedAgainWhenItRestarts(t *testing.T) {
	port := freePorts(t, 1)[0]
	dir := t.TempDir()
	at := func(o *server.Options) { o.Port, o.StoreDir = port, dir }
	s := startServer(t, at)
	c := dialServer(t, s)
	r := openRecords(t, c)
	w := watch(t, r, ">")
	set(t, r, "k", "1")
	eventually(t, "the first value", func() bool { return w.value("k") == "1" })
	s.Shutdown()
	s.WaitForShutdown()
	eventually(t, "disconnect", func() bool { return !c.Connected() })
	startServer(t, at)
	eventually(t, "reconnect", c.Connected)
	set(t, r, "k", "2")
	eventually(t, "the value after the restart", func() bool { return w.value("k") == "2" })
}

// limited starts a server whose user "small" has only these permissions.
func limited(t *testing.T, perms *server.Permissions) *server.Server {
	return startServer(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "all", Password: "pw"},
			{Username: "small", Password: "pw", Permissions: perms},
		}
	})
}

func dialAs(t *testing.T, s *server.Server, user string) (*Conn, *logbook) {
	log := &logbook{}
	return dial(t, Config{URLs: []string{s.ClientURL()}, Auth: Auth{User: user, Password: "pw"}, Logger: log.logger()}), log
}

func TestPermissionViolationsAreToldAtOnce(t *testing.T) {
	s := limited(t, &server.Permissions{
		Publish:   &server.SubjectPermission{Deny: []string{"gc.p.o.secret", "forbidden", "$JS.API.STREAM.CREATE.>"}},
		Subscribe: &server.SubjectPermission{Deny: []string{"forbidden", "gc.p.wo.>"}},
	})
	all, _ := dialAs(t, s, "all")
	openRecords(t, all)
	c, log := dialAs(t, s, "small")
	r := openRecords(t, c)
	ctx := within(t, patience)
	_, err := r.CAS(ctx, "secret", 0, nil)
	expect(t, err, ErrRefused, `may not publish to "gc.p.o.secret"`)
	if _, err := r.CAS(ctx, "open", 0, nil); err != nil {
		t.Error(err)
	}
	_, err = c.Request(ctx, "forbidden", nil)
	expect(t, err, ErrRefused, `may not publish to "forbidden"`)
	_, err = c.Subscribe("forbidden", "", func(Message) {})
	expect(t, err, ErrRefused, `may not subscribe to "forbidden"`)
	err = r.Watch(ctx, "app.*", func([]Record) {})
	expect(t, err, ErrRefused, `may not subscribe to "gc.p.wo.app.*"`)
	_, err = OpenRecords(ctx, c, names(t, "other").Records())
	expect(t, err, ErrRefused, "STREAM.CREATE.gc_records_other", "allow it on the server")
	_, err = c.Check(ctx, 1)
	expect(t, err, ErrRefused, "may not publish")
	if err := c.Publish(ctx, "forbidden", nil); err != nil {
		t.Error(err)
	}
	eventually(t, "the log of the denied publish", func() bool { return len(log.String()) > 0 })
	if ctx.Err() != nil {
		t.Error("a violation was not told at once")
	}
}

func TestNoInboxPermission(t *testing.T) {
	s := limited(t, &server.Permissions{Subscribe: &server.SubjectPermission{Deny: []string{"_INBOX.>"}}})
	c, _ := dialAs(t, s, "small")
	ctx := within(t, patience)
	_, err := c.Request(ctx, "$JS.API.INFO", nil)
	expect(t, err, ErrUnknown, "may not subscribe", "_INBOX")
	_, err = c.Request(ctx, "$JS.API.INFO", nil)
	expect(t, err, ErrRefused, "may not subscribe", "_INBOX")
}

func TestCheck(t *testing.T) {
	c := dialServer(t, startServer(t))
	got, err := c.Check(within(t, patience), 0)
	if err != nil {
		t.Fatal(err)
	}
	if got.Replicas != 1 || got.Servers != 1 || got.Version != server.VERSION || len(got.Weaker) != 3 {
		t.Errorf("%+v", got)
	}
	if got, err := c.Check(within(t, patience), 1); err != nil || got.Replicas != 1 || len(got.Weaker) != 2 {
		t.Errorf("%+v %v", got, err)
	}
	_, err = c.Check(within(t, patience), 6)
	expect(t, err, pluginapi.ErrInvalid)
	for stream := range c.JetStream().StreamNames(within(t, patience)).Name() {
		t.Errorf("stream %s is left behind", stream)
	}
	without := dialServer(t, startServer(t, func(o *server.Options) { o.JetStream = false }))
	_, err = without.Check(within(t, patience), 0)
	expect(t, err, ErrRefused, "no JetStream", "turn it on")
	_, err = OpenRecords(within(t, 300*time.Millisecond), without, names(t, "p").Records())
	expect(t, err, pluginapi.ErrTimeout, "no JetStream", "turn it on")
	account := server.NewAccount("APP")
	noAccount := startServer(t, func(o *server.Options) {
		o.Accounts = []*server.Account{account}
		o.Users = []*server.User{{Username: "all", Password: "pw", Account: account}}
	})
	c, _ = dialAs(t, noAccount, "all")
	_, err = c.Check(within(t, patience), 0)
	expect(t, err, ErrRefused, "not enabled for this account")
}

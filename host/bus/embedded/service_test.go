package embedded

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/host/bus"
)

func appNames(t *testing.T, app string) bus.AppNames {
	t.Helper()
	a, err := names(t).App(app)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// service is the world of an app's service: the streams of two apps, a node, and
// a connection as the service of one of them, made by a plain client.
type service struct {
	t        *testing.T
	web, db  bus.AppNames
	node, nc *nats.Conn
	js       jetstream.JetStream // of the node
}

func newService(t *testing.T, home, door *running, replicas int) *service {
	t.Helper()
	s := &service{t: t, web: appNames(t, "web"), db: appNames(t, "db"), node: dial(t, home, bus.RoleNode, "a")}
	makeStream(t, s.node, names(t).Sessions(), replicas)
	s.must(func() (err error) {
		s.js, err = jetstream.New(s.node)
		return err
	})
	for _, app := range []bus.AppNames{s.web, s.db} {
		s.must(func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, kv := s.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
				Bucket: app.Bucket(), History: 5, Replicas: replicas,
				RePublish: &jetstream.RePublish{Source: "$KV." + app.Bucket() + ".>", Destination: app.KVRepublish() + ".>"},
			})
			_, events := s.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
				Name: app.EventStream(), Subjects: []string{app.Events(bus.EventKept) + ".>"}, Replicas: replicas,
			})
			return errors.Join(kv, events)
		})
	}
	user, password := bus.Login(testSecret, bus.RoleApp, "web")
	s.must(func() (err error) {
		s.nc, err = nats.Connect(door.ClientURL(), nats.UserInfo(user, password), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		return err
	})
	t.Cleanup(s.nc.Close)
	return s
}

func (s *service) must(do func() error) {
	s.t.Helper()
	if err := do(); err != nil {
		s.t.Fatal(err)
	}
}

// listen subscribes, and returns when the servers know it.
func (s *service) listen(nc *nats.Conn, subject string) *nats.Subscription {
	s.t.Helper()
	sub, err := nc.SubscribeSync(subject)
	if err := errors.Join(err, nc.Flush()); err != nil {
		s.t.Fatal(err)
	}
	return sub
}

// G13: the service of an app, in any language and with a stock client, works
// with its app's data and calls other apps; on one server, and with the service
// on another server than the streams' leaders.
func TestServiceAtWork(t *testing.T) {
	one := run(t, single(t))
	t.Run("single", func(t *testing.T) { serviceAtWork(t, one, one, 1) })
	three := runAll(t, voters(t, 3))
	for _, door := range three {
		t.Run("cluster through "+door.cfg.Name, func(t *testing.T) { serviceAtWork(t, three[0], door, 3) })
	}
}

func serviceAtWork(t *testing.T, home, door *running, replicas int) {
	s := newService(t, home, door, replicas)
	changes := s.listen(s.nc, s.web.KVRepublish()+".>")
	js, err := jetstream.New(s.nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	kv, err := js.KeyValue(ctx, s.web.Bucket())
	if err != nil {
		t.Fatal(err)
	}
	var rev uint64
	eventually(t, "the bucket publishes again what is put", func() bool {
		if rev, err = kv.Put(ctx, "k", []byte("1")); err != nil {
			t.Fatal(err)
		}
		m, err := changes.NextMsg(100 * time.Millisecond)
		return err == nil && m.Subject == s.web.KVRepublish()+".k" && string(m.Data) == "1"
	})
	if _, err := kv.Update(ctx, "k", []byte("2"), rev); err != nil {
		t.Errorf("update: %v", err)
	}
	if _, err := kv.Update(ctx, "k", []byte("3"), rev); err == nil {
		t.Error("an update on an old revision was taken")
	}

	heard := s.listen(s.node, s.web.Events(bus.EventLive)+".x")
	eventually(t, "a node hears the service's event", func() bool {
		_, err := heard.NextMsg(100 * time.Millisecond)
		return errors.Join(err, s.nc.Publish(s.web.Events(bus.EventLive)+".x", nil)) == nil
	})
	if ack, err := js.Publish(ctx, s.web.Events(bus.EventKept)+".z", []byte("kept")); err != nil || ack.Stream != s.web.EventStream() {
		t.Errorf("a kept event: %+v, %v", ack, err)
	}
	s.pulls(ctx, js)

	if _, err := s.node.Subscribe(s.db.RPCAny(), func(m *nats.Msg) { _ = m.Respond(append([]byte("echo "), m.Data...)) }); err != nil {
		t.Fatal(err)
	}
	if err := s.node.Flush(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other app is called", func() bool {
		m, err := s.nc.Request(s.db.RPCAny(), []byte("hello"), time.Second)
		return err == nil && string(m.Data) == "echo hello"
	})
}

// pulls reads a kept event from a consumer that a node has made, and
// acknowledges it.
func (s *service) pulls(ctx context.Context, js jetstream.JetStream) {
	s.t.Helper()
	made, err := s.js.CreateOrUpdateConsumer(ctx, s.web.EventStream(), jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := js.Consumer(ctx, s.web.EventStream(), "c")
	if err != nil {
		s.t.Fatal(err)
	}
	m, err := c.Next(jetstream.FetchMaxWait(10 * time.Second))
	if err != nil || m.Subject() != s.web.Events(bus.EventKept)+".z" || string(m.Data()) != "kept" {
		s.t.Fatalf("the kept event is %v, %v", m, err)
	}
	if err := m.DoubleAck(ctx); err != nil {
		s.t.Errorf("acknowledge: %v", err)
	}
	if in, err := made.Info(ctx); err != nil || in.NumAckPending != 0 {
		s.t.Errorf("after the acknowledgement: %+v, %v", in, err)
	}
}

// echo answers calls with what they bring, as a node does.
func echo(t *testing.T, r *running, subject string) {
	t.Helper()
	cfg := bus.Config{InProcess: r}
	cfg.Auth.User, cfg.Auth.Password = r.Login(bus.RoleNode, "echo")
	c, err := bus.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	cancel, err := c.Subscribe(subject, "", func(m bus.Message) { _ = m.Respond(m.Data) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cancel)
}

// G13: what a service may ask for it cannot turn against others: an answer does
// not go where it may not write, and no message of another app is acknowledged
// by it.
func TestServiceMisusesReplies(t *testing.T) {
	one := run(t, single(t))
	s := newService(t, one, one, 1)
	n := names(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := s.js.Publish(ctx, s.db.Events(bus.EventKept)+".x", []byte("of another app")); err != nil {
		t.Fatal(err)
	}
	durable := jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Hour}
	if _, err := s.js.CreateConsumer(ctx, s.web.EventStream(), durable); err != nil {
		t.Fatal(err)
	}
	c, err := s.js.CreateConsumer(ctx, s.db.EventStream(), durable)
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Next()
	if err != nil {
		t.Fatal(err)
	}
	echo(t, one, s.web.RPCAny())
	for _, reply := range []string{n.Sessions().Subject + ".b", n.Locks().Subject + ".app.db.l", "$KV." + s.db.Bucket() + ".k", s.db.Events(bus.EventKept) + ".y", m.Reply()} {
		for _, ask := range []struct{ subject, body string }{
			{"$KV." + s.web.Bucket() + ".k", "+TERM"},
			{"$JS.API.STREAM.INFO.KV_" + s.web.Bucket(), ""},
			{"$JS.API.STREAM.MSG.GET.KV_" + s.web.Bucket(), `{"last_by_subj":"$KV.` + s.web.Bucket() + `.k"}`},
			{"$JS.API.CONSUMER.MSG.NEXT." + s.web.EventStream() + ".c", ""},
			{"$JS.API.DIRECT.GET.KV_" + s.web.Bucket(), `{"last_by_subj":"$KV.` + s.web.Bucket() + `.k"}`},
			{"$JS.API.CONSUMER.CREATE.KV_" + s.web.Bucket(), `{"stream_name":"KV_` + s.web.Bucket() + `","config":{"deliver_subject":"` + reply + `"}}`},
			{s.web.Events(bus.EventKept) + ".x", "+TERM"},
			{s.web.RPCAny(), "+TERM"},
		} {
			if err := s.nc.PublishRequest(ask.subject, reply, []byte(ask.body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Answers that come the right way show that the others came too.
	if _, err := lastSeq(s.nc, "KV_"+s.web.Bucket(), "$KV."+s.web.Bucket()+".k", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if m, err := s.nc.Request(s.web.RPCAny(), []byte("hello"), 10*time.Second); err != nil || string(m.Data) != "hello" {
		t.Fatalf("the call is answered with %v, %v", m, err)
	}
	for stream, want := range map[string]uint64{n.Sessions().Stream: 0, "KV_" + s.db.Bucket(): 0, s.db.EventStream(): 1} {
		st, err := s.js.Stream(ctx, stream)
		if err != nil {
			t.Fatal(err)
		}
		if got := st.CachedInfo().State.LastSeq; got != want {
			t.Errorf("stream %s is at sequence %d, want %d", stream, got, want)
		}
	}
	if in, err := c.Info(ctx); err != nil || in.NumAckPending != 1 {
		t.Errorf("the other app's consumer is %+v, %v: want its message not acknowledged", in, err)
	}
	for name := range s.js.StreamNames(ctx).Name() {
		st, err := s.js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		for c := range st.ConsumerNames(ctx).Name() {
			if strings.HasPrefix(name, "KV_") {
				t.Errorf("stream %s has got the consumer %s", name, c)
			}
		}
	}
}

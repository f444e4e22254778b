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

// Nobody gets in without a login that is derived from the secret, over TCP or
// in the process.
func TestLoginsRefused(t *testing.T) {
	r := run(t, single(t))
	login := func(secret, user string) nats.Option { return nats.UserInfo(user, bus.Password(secret, user)) }
	for _, c := range []struct {
		name string
		opt  nats.Option
	}{
		{"nobody", nats.Name("nobody")},
		{"no password", nats.UserInfo("node.a", "")},
		{"wrong password", nats.UserInfo("node.a", "secret")},
		{"the secret itself", nats.UserInfo("node.a", testSecret)},
		{"another secret", login("another secret", "node.a")},
		{"the password of another node", nats.UserInfo("node.a", bus.Password(testSecret, "node.b"))},
		{"the password of another role", nats.UserInfo("node.a", bus.Password(testSecret, "cli.a"))},
		{"an unknown role", login(testSecret, "admin.a")},
		{"the role of routes", login(testSecret, "route."+platform)},
		{"no role", login(testSecret, "a")},
		{"an empty role", login(testSecret, ".a")},
		{"no id", login(testSecret, "node.")},
		{"an id that is a wildcard", login(testSecret, "guard.*")},
		{"an id of several tokens", login(testSecret, "guard.a.b")},
		{"an id that is too long", login(testSecret, "node."+strings.Repeat("a", 64))},
		{"a token", nats.Token(testSecret)},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc, err := nats.Connect(r.ClientURL(), c.opt)
			if err == nil {
				nc.Close()
			}
			if !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("%v, want an authorization violation", err)
			}
		})
	}
	// The server closes a pipe before the client has read why.
	if nc, err := nats.Connect("", nats.InProcessServer(r)); err == nil {
		nc.Close()
		t.Error("nobody got in, in the process")
	}
	for _, role := range []bus.Role{bus.RoleNode, bus.RoleGuard, bus.RoleCLI, bus.RoleApp} {
		user, password := r.Login(role, "a")
		nc, err := nats.Connect("", nats.InProcessServer(r), nats.UserInfo(user, password))
		if err != nil {
			t.Errorf("%s: %v", role, err)
			continue
		}
		nc.Close()
	}
}

// G13: each role does its work and nothing else.
func TestRights(t *testing.T) {
	r := run(t, single(t))
	n := names(t)
	sessions, records := n.Sessions(), n.Records()
	boss := dial(t, r, bus.RoleNode, "boss")
	makeStream(t, boss, sessions, 1)
	makeStream(t, boss, records, 1)
	other, err := bus.NewNames("p2")
	if err != nil {
		t.Fatal(err)
	}
	own := bus.InboxPrefix
	mine, theirs := appNames(t, "a"), appNames(t, "b")
	foreign, err := other.App("a")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		role    bus.Role
		pub     bool // else subscribe
		subject string
		may     bool
	}{
		{bus.RoleNode, true, sessions.Subject + ".a", true},
		{bus.RoleNode, true, records.Subject + ".app.web", true},
		{bus.RoleNode, true, n.Digest(), true},
		{bus.RoleNode, true, own("cli", "x") + ".1", true}, // replies
		{bus.RoleNode, false, ">", true},
		{bus.RoleNode, true, "$JS.API.STREAM.UPDATE." + sessions.Stream, true},
		{bus.RoleNode, true, "$JS.API.STREAM.SNAPSHOT." + sessions.Stream, true},
		{bus.RoleNode, true, sessions.Republish + ".a", false},
		{bus.RoleNode, true, records.Republish + ".app.web", false},
		{bus.RoleNode, true, "$JS.API.STREAM.DELETE." + sessions.Stream, false},
		{bus.RoleNode, true, "$JS.API.STREAM.DELETE." + records.Stream, false},
		{bus.RoleNode, true, "$JS.API.STREAM.PURGE." + sessions.Stream, false},
		{bus.RoleNode, true, "$JS.API.STREAM.RESTORE." + sessions.Stream, false},
		{bus.RoleNode, true, "$JS.API.STREAM.MSG.DELETE." + records.Stream, false},

		{bus.RoleGuard, true, sessions.Subject + ".a", true},
		{bus.RoleGuard, true, "$JS.API.STREAM.MSG.GET." + sessions.Stream, true},
		{bus.RoleGuard, true, n.Hint("gone"), true},
		{bus.RoleGuard, false, own("guard", "a") + ".>", true},
		{bus.RoleGuard, true, sessions.Subject + ".b", false},
		{bus.RoleGuard, true, sessions.Subject + ".a.b", false},
		{bus.RoleGuard, true, other.Sessions().Subject + ".a", false},
		{bus.RoleGuard, true, records.Subject + ".app.web", false},
		{bus.RoleGuard, true, sessions.Republish + ".a", false},
		{bus.RoleGuard, true, n.Hint("join"), false},
		{bus.RoleGuard, true, n.ControlAny("status"), false},
		{bus.RoleGuard, true, "$JS.API.STREAM.MSG.GET." + records.Stream, false},
		{bus.RoleGuard, true, "$JS.API.STREAM.MSG.DELETE." + sessions.Stream, false},
		{bus.RoleGuard, true, "$JS.API.CONSUMER.CREATE." + sessions.Stream, false},
		{bus.RoleGuard, false, "_INBOX.>", false},
		{bus.RoleGuard, false, own("guard", "b") + ".>", false},
		{bus.RoleGuard, false, own("cli", "a") + ".>", false},
		{bus.RoleGuard, false, sessions.Republish + ".>", false},
		{bus.RoleGuard, false, ">", false},

		{bus.RoleCLI, true, n.ControlAny("status"), true},
		{bus.RoleCLI, true, n.ControlNode("b", "drain"), true},
		{bus.RoleCLI, false, own("cli", "a") + ".>", true},
		{bus.RoleCLI, true, other.ControlAny("status"), false},
		{bus.RoleCLI, true, sessions.Subject + ".a", false},
		{bus.RoleCLI, true, records.Subject + ".app.web", false},
		{bus.RoleCLI, true, "$JS.API.INFO", false},
		{bus.RoleCLI, true, "$JS.API.STREAM.DELETE." + sessions.Stream, false},
		{bus.RoleCLI, true, "$SYS.REQ.SERVER.PING", false},
		{bus.RoleCLI, true, "$SYS.REQ.USER.INFO", false},
		{bus.RoleCLI, false, "_INBOX.>", false},
		{bus.RoleCLI, false, own("cli", "b") + ".>", false},
		{bus.RoleCLI, false, n.ControlAny(">"), false},

		{bus.RoleApp, true, "$KV." + mine.Bucket() + ".k", true},
		{bus.RoleApp, true, "$JS.API.STREAM.INFO.KV_" + mine.Bucket(), true},
		{bus.RoleApp, true, "$JS.API.STREAM.MSG.GET.KV_" + mine.Bucket(), true},
		{bus.RoleApp, true, "$JS.API.STREAM.MSG.GET." + mine.EventStream(), true},
		{bus.RoleApp, true, "$JS.API.DIRECT.GET.KV_" + mine.Bucket(), true},
		{bus.RoleApp, true, "$JS.API.CONSUMER.MSG.NEXT." + mine.EventStream() + ".c", true},
		{bus.RoleApp, true, mine.Events(bus.EventLive) + ".x", true},
		{bus.RoleApp, true, mine.Events(bus.EventKept) + ".x", true},
		{bus.RoleApp, true, mine.RPCAny(), true},
		{bus.RoleApp, true, theirs.RPCNode("n1"), true},
		{bus.RoleApp, false, mine.KVRepublish() + ".>", true},
		{bus.RoleApp, false, "_INBOX.>", true}, // of its own account
		{bus.RoleApp, true, "$KV." + theirs.Bucket() + ".k", false},
		{bus.RoleApp, true, "$KV." + foreign.Bucket() + ".k", false},
		{bus.RoleApp, true, "$JS.API.STREAM.INFO.KV_" + theirs.Bucket(), false},
		{bus.RoleApp, true, "$JS.API.STREAM.MSG.GET.KV_" + theirs.Bucket(), false},
		{bus.RoleApp, true, "$JS.API.STREAM.MSG.GET." + theirs.EventStream(), false},
		{bus.RoleApp, true, "$JS.API.STREAM.MSG.GET." + sessions.Stream, false},
		{bus.RoleApp, true, "$JS.API.STREAM.MSG.GET." + records.Stream, false},
		{bus.RoleApp, true, "$JS.API.STREAM.MSG.GET." + n.AuditStream(), false},
		{bus.RoleApp, true, "$JS.API.DIRECT.GET.KV_" + theirs.Bucket(), false},
		{bus.RoleApp, true, "$JS.API.STREAM.CREATE.KV_" + mine.Bucket(), false},
		{bus.RoleApp, true, "$JS.API.STREAM.UPDATE.KV_" + mine.Bucket(), false},
		{bus.RoleApp, true, "$JS.API.STREAM.DELETE.KV_" + mine.Bucket(), false},
		{bus.RoleApp, true, "$JS.API.STREAM.PURGE.KV_" + mine.Bucket(), false},
		{bus.RoleApp, true, "$JS.API.STREAM.MSG.DELETE.KV_" + mine.Bucket(), false},
		{bus.RoleApp, true, "$JS.API.CONSUMER.CREATE.KV_" + mine.Bucket(), false},
		{bus.RoleApp, true, "$JS.API.CONSUMER.CREATE." + mine.EventStream() + ".c", false},
		{bus.RoleApp, true, "$JS.API.CONSUMER.DURABLE.CREATE." + mine.EventStream() + ".c", false},
		{bus.RoleApp, true, "$JS.API.CONSUMER.DELETE." + mine.EventStream() + ".c", false},
		{bus.RoleApp, true, "$JS.API.CONSUMER.MSG.NEXT." + theirs.EventStream() + ".c", false},
		{bus.RoleApp, true, "$JS.ACK." + theirs.EventStream() + ".c.1.1.1.1.0", false},
		{bus.RoleApp, true, "$JS.API.INFO", false},
		{bus.RoleApp, true, "$JS.API.STREAM.LIST", false},
		{bus.RoleApp, true, sessions.Subject + ".a", false},
		{bus.RoleApp, true, records.Subject + ".app.a", false},
		{bus.RoleApp, true, n.Locks().Subject + "." + bus.AppLock("a", "l"), false},
		{bus.RoleApp, true, n.Audit() + ".app.a", false},
		{bus.RoleApp, true, n.PlatformEvents(bus.EventLive, "a") + ".x", false},
		{bus.RoleApp, true, n.ControlAny("status"), false},
		{bus.RoleApp, true, n.Hint("gone"), false},
		{bus.RoleApp, true, mine.KVRepublish() + ".k", false},
		{bus.RoleApp, true, theirs.Events(bus.EventLive) + ".x", false},
		{bus.RoleApp, true, own("cli", "a") + ".1", false},
		{bus.RoleApp, true, "_INBOX.x", false},
		{bus.RoleApp, false, mine.Events(bus.EventLive) + ".>", false},
		{bus.RoleApp, false, theirs.KVRepublish() + ".>", false},
		{bus.RoleApp, false, theirs.Events(bus.EventLive) + ".>", false},
		{bus.RoleApp, false, mine.RPCAny(), false},
		{bus.RoleApp, false, sessions.Republish + ".>", false},
		{bus.RoleApp, false, own("cli", "a") + ".>", false},
		{bus.RoleApp, false, n.Platform() + ".>", false},
		{bus.RoleApp, false, ">", false},
	} {
		verb := map[bool]string{true: " publishes ", false: " subscribes "}[c.pub]
		t.Run(string(c.role)+verb+c.subject, func(t *testing.T) {
			nc := dial(t, r, c.role, "a")
			if c.pub {
				// A body that no JetStream API accepts, so that the allowed ones do nothing.
				err = nc.Publish(c.subject, []byte("no json"))
			} else {
				_, err = nc.SubscribeSync(c.subject)
			}
			if err := errors.Join(err, nc.Flush()); err != nil {
				t.Fatal(err)
			}
			if refused := errors.Is(nc.LastError(), nats.ErrPermissionViolation); refused == c.may {
				t.Errorf("refused is %v, allowed should be %v (%v)", refused, c.may, nc.LastError())
			}
		})
	}
}

// The table above is about permissions; this is what they are for, on one
// server and with the guest on another server than the stream.
func TestRightsAtWork(t *testing.T) {
	one := run(t, single(t))
	t.Run("single", func(t *testing.T) { guestsAtWork(t, one, []*running{one}, 1) })
	three := runAll(t, voters(t, 3))
	t.Run("cluster", func(t *testing.T) { guestsAtWork(t, three[0], three, 3) })
}

func guestsAtWork(t *testing.T, home *running, doors []*running, replicas int) {
	n := names(t)
	sessions := n.Sessions()
	mine, other := sessions.Subject+".a", sessions.Subject+".b"
	node := dial(t, home, bus.RoleNode, "a")
	makeStream(t, node, sessions, replicas)
	seq, err := put(node, mine, 0, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.Subscribe(n.ControlNode("a", "status"), func(m *nats.Msg) {
		_ = errors.Join(m.Respond([]byte("one")), m.Respond([]byte("two")))
	}); err != nil {
		t.Fatal(err)
	}
	hints, err := node.SubscribeSync(n.Hint("gone"))
	if err := errors.Join(err, node.Flush()); err != nil {
		t.Fatal(err)
	}
	for _, door := range doors {
		guard, cli := dial(t, door, bus.RoleGuard, "a"), dial(t, door, bus.RoleCLI, "x")
		eventually(t, "the guard reads its node's session", func() bool {
			got, err := lastSeq(guard, sessions.Stream, mine, time.Second)
			return err == nil && got == seq
		})
		if seq, err = put(guard, mine, seq, 5*time.Second); err != nil {
			t.Fatalf("the guard does not release its node's session: %v", err)
		}
		if _, err := put(guard, mine, seq-1, 5*time.Second); err == nil {
			t.Error("the guard wrote on a sequence that is over")
		}
		if err := guard.Publish(n.Hint("gone"), []byte(door.cfg.Name)); err != nil {
			t.Fatal(err)
		}
		if m, err := hints.NextMsg(5 * time.Second); err != nil || string(m.Data) != door.cfg.Name {
			t.Errorf("the guard's hint is %v, %v", m, err)
		}
		if _, err := put(guard, other, 0, 100*time.Millisecond); !errors.Is(err, nats.ErrTimeout) {
			t.Errorf("the guard writes the session of another node: %v", err)
		}
		askControl(t, n, cli)
		misuseReplies(t, n, guard, cli)
	}
	if _, err := lastSeq(node, sessions.Stream, other, 5*time.Second); err == nil {
		t.Error("there is a session of node b")
	}
	if got, err := lastSeq(node, sessions.Stream, mine, 5*time.Second); err != nil || got != seq {
		t.Errorf("after all that the session is at sequence %d, %v, want %d", got, err, seq)
	}
	js, err := jetstream.New(node)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := js.DeleteStream(ctx, sessions.Stream); err == nil {
		t.Error("a node deleted the stream of sessions")
	}
}

// askControl asks one node, gets both of its answers, and learns at once that
// there is nobody to answer another request.
func askControl(t *testing.T, n bus.Names, cli *nats.Conn) {
	t.Helper()
	inbox := cli.NewInbox()
	answers, err := cli.SubscribeSync(inbox)
	if err := errors.Join(err, cli.PublishRequest(n.ControlNode("a", "status"), inbox, nil)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", "two"} {
		if m, err := answers.NextMsg(5 * time.Second); err != nil || string(m.Data) != want {
			t.Errorf("the command line's answer is %v, %v, want %q", m, err, want)
		}
	}
	if _, err := cli.Request(n.ControlAny("nothing"), nil, 5*time.Second); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a request that nobody serves: %v", err)
	}
}

// misuseReplies lets others answer to where the guest may not write itself.
func misuseReplies(t *testing.T, n bus.Names, guard, cli *nats.Conn) {
	t.Helper()
	sessions := n.Sessions()
	other := sessions.Subject + ".b"
	if err := errors.Join(
		guard.PublishRequest("$JS.API.STREAM.MSG.GET."+sessions.Stream, other, []byte(`{"last_by_subj":"x"}`)),
		cli.PublishRequest(n.ControlNode("a", "status"), other, nil),
		guard.Flush(), cli.Flush(),
	); err != nil {
		t.Fatal(err)
	}
	// An answer that comes the right way shows that the others came too.
	if _, err := lastSeq(guard, sessions.Stream, sessions.Subject+".a", 5*time.Second); err != nil {
		t.Fatal(err)
	}
	askControl(t, n, cli)
}

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
)

// words collects what handlers get.
type words struct {
	mu  sync.Mutex
	all []string
}

func (w *words) add(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, string(b))
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.all, " ")
}

func (w *words) event(e cluster.Event) { w.add([]byte(e.SourceApp + "/" + string(e.Data))) }

// TestEvents: the events of apps and of the platform reach their subscribers on
// all nodes, those of before Run too, and nobody else.
func TestEvents(t *testing.T) {
	t.Parallel()
	url := startNATS(t).ClientURL()
	n1, n2 := newNode(t, "ev", "n1", url), newNode(t, "ev", "n2", url)
	web1, web2, services := n1.app(cluster.NewApp("web")), n2.app(cluster.NewApp("web")), n2.app(cluster.NewApp("services", cluster.Spread()))
	var local, remote, stranger, all, fromWeb, durable words
	must(t, web1.Events().Subscribe("orders.*", local.add))
	must(t, web2.Events().Subscribe("orders.*", remote.add))
	must(t, services.Events().Subscribe(">", stranger.add))
	_, err := n2.Events().Subscribe(">", all.event)
	must(t, err)
	_, err = n2.Events().SubscribeFromApp("web", "orders.>", fromWeb.event)
	must(t, err)
	wantErr(t, web1.Events().Publish(t.Context(), "orders.new", nil), cluster.ErrInvalid, "WaitReady")
	n1.start()
	n2.start()
	_, err = web2.Events().SubscribeDurable(t.Context(), "orders.>", "billing", func(_ context.Context, e cluster.Event) error {
		if e.Tries == 1 && string(e.Data) == "b" {
			return errors.New("not yet")
		}
		if string(e.Data) == "c" {
			return errors.New("never")
		}
		durable.add([]byte(fmt.Sprint(e.SourceNode, "/", string(e.Data), e.Tries)))
		return nil
	}, cluster.WithTries(2), cluster.WithBackoff(time.Millisecond, time.Millisecond), cluster.WithHandlerTimeout(time.Second), cluster.WithConcurrency(1))
	must(t, err)
	must(t, web1.Events().Publish(t.Context(), "orders.new", []byte("a")))
	must(t, web1.Events().PublishDurable(t.Context(), "orders.new", []byte("b"), cluster.WithEventID("b")))
	must(t, web1.Events().PublishDurable(t.Context(), "orders.new", []byte("b"), cluster.WithEventID("b")))
	must(t, web1.Events().PublishDurable(t.Context(), "orders.new", []byte("c")))
	must(t, n1.Events().Publish(t.Context(), "orders.x", []byte("d")))
	must(t, n1.Events().PublishFrom(t.Context(), "web", "orders.x", []byte("e")))
	must(t, n1.Events().PublishDurableFrom(t.Context(), "web", "orders.y", []byte("f")))
	// The repetition of b is live once more: it was published twice.
	for w, want := range map[*words]string{&local: "a b b c", &remote: "a b b c", &all: "/d web/e web/f", &fromWeb: "web/e web/f", &durable: "n1/b2"} {
		eventually(t, want, func() bool { return w.String() == want })
	}
	eventually(t, "c is a dead letter", func() bool {
		dead, err := web1.Events().DeadLetters(t.Context(), "billing")
		return err == nil && len(dead) == 1 && string(dead[0].Data) == "c" && dead[0].Reason == "never"
	})
	must(t, web1.Events().Unsubscribe("orders.*"))
	wantErr(t, web1.Events().Unsubscribe("orders.*"), cluster.ErrInvalid, "orders.*")
	n2.Events().Stop()
	must(t, n1.stop())
	wantErr(t, web1.Events().Publish(t.Context(), "orders.new", nil), cluster.ErrShuttingDown)
	wantErr(t, web1.Events().Subscribe("orders.*", local.add), cluster.ErrShuttingDown)
	wantErr(t, n1.Events().PublishDurable(t.Context(), "x", nil), cluster.ErrShuttingDown)
	wantErr(t, n1.Audit().Log(t.Context(), cluster.AuditEntry{Category: "a", Action: "b"}), cluster.ErrShuttingDown)
	if stranger.String() != "" {
		t.Errorf("another app got %s", &stranger)
	}
}

// TestE41NamesCannotCollide: events of one platform and app are never those of
// another, however the names read when they are put together (defect 41).
func TestE41NamesCannotCollide(t *testing.T) {
	t.Parallel()
	url := startNATS(t).ClientURL()
	got := map[string]*words{}
	apps := map[string]*cluster.App{}
	for _, name := range [][2]string{{"a_b", "c"}, {"a", "b_c"}, {"a", "b"}, {"1_a_b", "c"}} {
		key := name[0] + "/" + name[1]
		n := newNode(t, name[0], "n-"+name[1], url)
		apps[key], got[key] = n.app(cluster.NewApp(name[1])), &words{}
		must(t, apps[key].Events().Subscribe(">", got[key].add))
		got[key+" platform"] = &words{}
		_, err := n.Events().Subscribe(">", got[key+" platform"].event)
		must(t, err)
		n.start()
	}
	for key, a := range apps {
		must(t, a.Events().PublishDurable(t.Context(), "x", []byte(key)))
		must(t, a.Platform().Events().PublishDurable(t.Context(), "x", []byte(a.Platform().Name())))
	}
	for key := range apps {
		eventually(t, key+" gets its own", func() bool { return got[key].String() == key })
		platform, _, _ := strings.Cut(key, "/")
		want := "/" + platform
		if platform == "a" { // two nodes of it publish
			want += " " + want
		}
		eventually(t, key+" gets its platform's", func() bool { return got[key+" platform"].String() == want })
	}
}

// TestBadEventOptions: what cannot be meant is refused at once, or by Run.
func TestBadEventOptions(t *testing.T) {
	t.Parallel()
	a := cluster.NewApp("web", cluster.WithEventLimits(cluster.EventLimits{MaxAge: -1}))
	wantErr(t, a.Events().Subscribe("x", nil), cluster.ErrInvalid, "handler is nil")
	handler := func(context.Context, cluster.Event) error { return nil }
	for text, o := range map[string]cluster.DurableOption{
		"tries": cluster.WithTries(0), "pauses": cluster.WithBackoff(0, 0), "timeout": cluster.WithHandlerTimeout(0),
		"concurrency": cluster.WithConcurrency(0), "option 1 is nil": nil,
	} {
		_, err := a.Events().SubscribeDurable(t.Context(), "x", "g", handler, o)
		wantErr(t, err, cluster.ErrInvalid, text)
	}
	_, err := cluster.NewPlatform("p", "n1", "nats://127.0.0.1:1", cluster.WithPlatformEventLimits(cluster.EventLimits{MaxBytes: 1}))
	wantErr(t, err, cluster.ErrInvalid, "bytes of events")
	p, err := cluster.NewPlatform("p", "n1", "nats://127.0.0.1:1")
	must(t, err)
	p.Register(a)
	wantErr(t, p.Run(t.Context()), cluster.ErrInvalid, "events kept for -1ns")
	wantErr(t, p.Events().PublishFrom(t.Context(), "-", "x", nil), cluster.ErrInvalid, "app name")
	_, err = p.Events().SubscribeFromApp("-", "x", func(cluster.Event) {})
	wantErr(t, err, cluster.ErrInvalid, "app name")
	wantErr(t, p.Audit().Log(t.Context(), cluster.AuditEntry{}), cluster.ErrInvalid, "call Run first")
}

// actions lists the entries of an audit log, the oldest first, as
// node:category.action.
func actions(t testing.TB, n *node, f cluster.AuditFilter) (out []string) {
	t.Helper()
	all, err := n.Audit().Query(within(t, patience), f)
	must(t, err)
	for _, e := range slices.Backward(all) {
		out = append(out, fmt.Sprintf("%s:%s.%s", e.NodeID, e.Category, e.Action))
	}
	return out
}

// TestAudit: entries are stored when Log returns, an action may have dots
// (defect 42), and filters find what they should.
func TestE42Audit(t *testing.T) {
	t.Parallel()
	n := newNode(t, "au", "n1", startNATS(t).ClientURL()).start()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := n.Audit().Stream(ctx)
	must(t, err)
	log := func(category, action string) {
		t.Helper()
		must(t, n.Audit().Log(t.Context(), cluster.AuditEntry{NodeID: "forged", Category: category, Action: action, Data: map[string]any{"k": 1.5}, TraceID: "t"}))
	}
	log("test", "migration.started")
	log("test", "migration.completed")
	log("other", "migration.started")
	must(t, n.Audit().Log(t.Context(), cluster.AuditEntry{Category: "test", Action: "old", Time: time.Now().Add(-2 * time.Hour)}))
	for _, c := range []struct {
		f    cluster.AuditFilter
		want string
	}{
		{cluster.AuditFilter{Category: "test"}, "n1:test.migration.started n1:test.migration.completed"},
		{cluster.AuditFilter{Action: "migration.started"}, "n1:test.migration.started n1:other.migration.started"},
		{cluster.AuditFilter{Category: "test", Action: "migration.completed", NodeID: "n1"}, "n1:test.migration.completed"},
		{cluster.AuditFilter{Category: "test", NodeID: "n2"}, ""},
		{cluster.AuditFilter{Category: "test", Until: time.Now().Add(-time.Hour), Since: time.Now().Add(-3 * time.Hour)}, "n1:test.old"},
		{cluster.AuditFilter{Category: "test", Since: time.Now().Add(-3 * time.Hour), Action: "migration"}, ""},
	} {
		if got := strings.Join(actions(t, n, c.f), " "); got != c.want {
			t.Errorf("%+v finds %q, want %q", c.f, got, c.want)
		}
	}
	all, err := n.Audit().Query(t.Context(), cluster.AuditFilter{Category: "other"})
	must(t, err)
	if e := all[0]; e.Data["k"] != 1.5 || e.TraceID != "t" || time.Since(e.Time).Abs() > time.Hour {
		t.Errorf("entry %+v", e)
	}
	for range 3 {
		for e := range stream {
			if e.Category == "other" {
				cancel() // the stream ends with its context
			}
		}
	}
	for what, c := range map[string]struct {
		e  cluster.AuditEntry
		is error
	}{
		"no category": {cluster.AuditEntry{Action: "a"}, cluster.ErrInvalid}, "category with a dot": {cluster.AuditEntry{Category: "a.b", Action: "a"}, cluster.ErrInvalid},
		"wildcard": {cluster.AuditEntry{Category: "a", Action: "*"}, cluster.ErrInvalid}, "much data": {cluster.AuditEntry{Category: "a", Action: "b", Data: map[string]any{"x": strings.Repeat("x", 20000)}}, cluster.ErrTooLarge},
		"no JSON": {cluster.AuditEntry{Category: "a", Action: "b", Data: map[string]any{"x": make(chan int)}}, cluster.ErrInvalid},
	} {
		if err := n.Audit().Log(t.Context(), c.e); !errors.Is(err, c.is) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = n.Audit().Query(t.Context(), cluster.AuditFilter{Action: ">"})
	wantErr(t, err, cluster.ErrInvalid, "wildcard")
}

// TestPlatformAudit: the platform writes what it does, and each thing once,
// however many nodes see it.
func TestPlatformAudit(t *testing.T) {
	t.Parallel()
	var nodes []*node
	for _, n := range trio(t, "pa") {
		n.app(cluster.NewApp("web")).OnActive(func(context.Context) error { return nil })
		nodes = append(nodes, n.begin())
	}
	leader := leaderOf(t, "web", nodes...)
	for _, n := range nodes {
		n.knows("n1", "n2", "n3")
	}
	must(t, leader.SetLabels(within(t, patience), map[string]string{"zone": "a"}))
	asker := other(nodes, leader)
	asker.CordonNode(leader.NodeID())
	asker.UncordonNode(leader.NodeID())
	eventually(t, "uncordoned", func() bool {
		return countOf(actions(t, asker, cluster.AuditFilter{}), asker.NodeID()+":placement.node.uncordoned") == 1
	})
	var to string
	eventually(t, "stepped down", func() bool {
		if err := leader.election("web").StepDown(within(t, patience)); err != nil && !errors.Is(err, cluster.ErrNotLeader) {
			return false
		}
		to = leaderOf(t, "web", nodes...).NodeID()
		return to != leader.NodeID()
	})
	must(t, leader.stop())
	rest := slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return n == leader })
	want := []string{
		leader.NodeID() + ":election.leader_acquired", leader.NodeID() + ":election.leader_changed", leader.NodeID() + ":app.started",
		leader.NodeID() + ":placement.node.labels.updated", asker.NodeID() + ":placement.node.cordoned", asker.NodeID() + ":placement.node.uncordoned",
		leader.NodeID() + ":election.step_down_initiated", leader.NodeID() + ":election.leader_released",
		leader.NodeID() + ":app.stopping", leader.NodeID() + ":app.stopped",
	}
	var got []string
	eventually(t, "all is written", func() bool {
		got = actions(t, rest[0], cluster.AuditFilter{})
		for _, w := range want {
			if countOf(got, w) == 0 {
				return false
			}
		}
		return countOf(whatOf(got), "membership.member_left") > 0 && countOf(whatOf(got), "membership.member_joined") >= 3
	})
	once := map[string]bool{}
	all, err := rest[0].Audit().Query(within(t, patience), cluster.AuditFilter{})
	must(t, err)
	for _, e := range all {
		if e.Category == "membership" || e.Category == "placement" {
			what := fmt.Sprint(e.Category, e.Action, e.Data)
			if once[what] {
				t.Errorf("twice: %s in %v", what, got)
			}
			once[what] = true
		}
	}
}

func countOf(all []string, want string) (n int) {
	for _, s := range all {
		if s == want {
			n++
		}
	}
	return n
}

// whatOf leaves out who wrote it.
func whatOf(all []string) (out []string) {
	for _, s := range all {
		_, what, _ := strings.Cut(s, ":")
		out = append(out, what)
	}
	return out
}

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

// pair starts two nodes that know each other; register adds their apps.
func pair(t *testing.T, platform, url string, register func(*node), opts ...cluster.PlatformOption) []*node {
	t.Helper()
	var nodes []*node
	for _, id := range []string{"n1", "n2"} {
		n := newNode(t, platform, id, url, opts...)
		register(n)
		nodes = append(nodes, n.start())
	}
	for _, n := range nodes {
		n.knows("n1", "n2")
	}
	return nodes
}

// TestHooksArePaired: over 20 step-downs and a shutdown each OnActive is
// followed by one OnPassive of the same node and epoch before another OnActive,
// OnStop comes last, and each node is told each leader once (defects 14, 15).
func TestHooksArePaired(t *testing.T) {
	t.Parallel()
	var apps []string
	journals := map[string]*journal{}
	for i := range 20 {
		name := fmt.Sprintf("app%d", i)
		apps, journals[name] = append(apps, name), &journal{}
	}
	nodes := pair(t, "pairs", startNATS(t).ClientURL(), func(n *node) {
		for _, a := range apps {
			n.app(journals[a].app(n.NodeID(), a))
		}
	})
	leaders := map[string][]string{}
	note := func(app string) *node {
		leader := leaderOf(t, app, nodes...)
		leaders[app] = append(leaders[app], "leader "+leader.NodeID())
		for _, n := range nodes {
			eventually(t, fmt.Sprintf("OnLeaderChange of %s on %s", app, n.NodeID()), func() bool {
				return len(told(journals[app], n)) >= len(leaders[app])
			})
		}
		return leader
	}
	for _, a := range apps {
		leader := note(a)
		eventually(t, "OnActive of "+a, func() bool { return len(journals[a].of("", "active")) > 0 })
		must(t, leader.election(a).StepDown(within(t, patience)))
		note(a)
	}
	must(t, nodes[0].stop())
	must(t, nodes[1].stop())
	for _, a := range apps {
		j := journals[a]
		j.check(t, true)
		if n := len(j.of("", "active")); n < 2 || n > 3 {
			t.Errorf("%s: %d times OnActive, want 2: the start, the step-down, and 3 if n1 led it when it shut down", a, n)
		}
		if d := j.all(); d[len(d)-1].what != "stop" || len(j.of("n1", "stop")) != 1 || len(j.of("n2", "stop")) != 1 {
			t.Errorf("%s: OnStop must come once on each node, last of all: %v", a, d)
		}
		if got := told(j, nodes[1]); !slices.Equal(got[:2], leaders[a]) || len(got) > 3 {
			t.Errorf("%s: n2 was told %v, want %v", a, got, leaders[a])
		}
	}
}

// told returns what OnLeaderChange of a node was told, in order.
func told(j *journal, n *node) (out []string) {
	for _, d := range j.all() {
		if d.node == n.NodeID() && strings.HasPrefix(d.what, "leader ") {
			out = append(out, d.what)
		}
	}
	return out
}

// TestHooksRunInOrder: the functions of one hook are called in order until one
// fails; OnPassive follows the failed OnActive once, the leadership is given
// away with the reason, and the node comes back after a pause.
func TestHooksRunInOrder(t *testing.T) {
	t.Parallel()
	var j journal
	var once sync.Once
	n := newNode(t, "order", "n1", startNATS(t).ClientURL())
	app := n.app(cluster.NewApp("web"))
	app.OnActive(j.hook("n1", "first"))
	app.OnActive(func(context.Context) (err error) {
		once.Do(func() { err = errors.New("the disk is on fire") })
		return err
	})
	app.OnActive(j.hook("n1", "active"))
	app.OnPassive(j.hook("n1", "passive"))
	app.OnPassive(j.hook("n1", "passive 2"))
	n.start()
	n.knows("n1")
	eventually(t, "OnPassive after the failed OnActive", func() bool { return len(j.of("", "passive 2")) > 0 })
	failed := time.Now()
	if i := n.status("web"); !strings.Contains(i.Reason+i.HookError, "the disk is on fire") || !strings.Contains(i.Reason+i.HookError, "OnActive") {
		t.Errorf("the status must name the hook and its error: %+v", i)
	}
	eventually(t, "the node has come back", func() bool { return len(j.of("", "active")) > 0 })
	if d := time.Since(failed); d < 500*time.Millisecond {
		t.Errorf("it came back after %v: a node that failed stands back for a second", d)
	}
	must(t, n.stop())
	var got []string
	for _, d := range j.all() {
		got = append(got, d.String())
	}
	first := j.of("", "first")
	e1, e2 := first[0].epoch, first[1].epoch
	want := []string{
		fmt.Sprintf("n1 first %d", e1), fmt.Sprintf("n1 passive %d", e1), fmt.Sprintf("n1 passive 2 %d", e1),
		fmt.Sprintf("n1 first %d", e2), fmt.Sprintf("n1 active %d", e2), fmt.Sprintf("n1 passive %d", e2), fmt.Sprintf("n1 passive 2 %d", e2),
	}
	if !slices.Equal(got, want) || e2 <= e1 {
		t.Errorf("got %q\nwant %q with a higher second epoch", got, want)
	}
}

// TestFailedHookGivesLeadershipAway: an OnActive that fails, panics or takes
// too long hands the app to the standby at once, with the reason to be seen;
// a failed OnPassive does not keep it.
func TestFailedHookGivesLeadershipAway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		hook   func(context.Context) error
		reason string
	}{
		{"error", func(context.Context) error { return errors.New("no such table") }, "no such table"},
		{"panic", func(context.Context) error { panic("nil map") }, "panic: nil map"},
		{"timeout", func(ctx context.Context) error { <-ctx.Done(); return nil }, cluster.ErrHookTimeout.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var j journal
			var mu sync.Mutex
			var bad string // the first that becomes active
			isBad := func(id string) bool {
				mu.Lock()
				defer mu.Unlock()
				if bad == "" {
					bad = id
				}
				return bad == id
			}
			nodes := pair(t, "fails", startNATS(t).ClientURL(), func(n *node) {
				app := n.app(cluster.NewApp("web", cluster.WithAppHookTimeout(300*time.Millisecond)))
				app.OnActive(j.hook(n.NodeID(), "active"))
				app.OnActive(func(ctx context.Context) error {
					if isBad(n.NodeID()) {
						return tt.hook(ctx)
					}
					return nil
				})
				app.OnPassive(j.hook(n.NodeID(), "passive"))
				app.OnPassive(func(context.Context) error { return errors.New("cannot say good-bye") })
			})
			eventually(t, "the other one leads", func() bool {
				d := j.of("", "active")
				return len(d) > 1 && d[1].node != d[0].node
			})
			j.check(t, false)
			failed := nodes[slices.IndexFunc(nodes, func(n *node) bool { return isBad(n.NodeID()) })]
			if i := failed.status("web"); !strings.Contains(i.Reason, tt.reason) || i.Role != "standby" {
				t.Errorf("status %+v, want a standby with the reason %q", i, tt.reason)
			}
			if d := j.of(failed.NodeID(), "passive"); len(d) != 1 {
				t.Errorf("OnPassive of the one that failed: %v", d)
			}
		})
	}
}

// TestLeaseInHooks: inside of OnActive and OnPassive the node is the leader, in
// the epoch that the context's lease has.
func TestLeaseInHooks(t *testing.T) {
	t.Parallel()
	n := newNode(t, "inside", "n1", startNATS(t).ClientURL())
	app := n.app(cluster.NewApp("web"))
	called := make(chan string, 10)
	look := func(hook string) func(context.Context) error {
		return func(ctx context.Context) error {
			l, ok := cluster.LeaseFrom(ctx)
			e := app.Election()
			switch own, err := e.Lease(); {
			case !ok || l.Epoch == 0 || !l.Valid() || l.Until() <= 0:
				t.Errorf("%s: lease %+v, %v", hook, l, ok)
			case l.Epoch != e.Epoch() || err != nil || own.Epoch != l.Epoch || !own.Valid():
				t.Errorf("%s: the context says epoch %d, Epoch %d, Lease %+v, %v", hook, l.Epoch, e.Epoch(), own, err)
			case !app.IsLeader() || !e.IsLeader() || app.Role() != cluster.RoleLeader || e.Leader() != "n1":
				t.Errorf("%s: leader %v %v, role %q, leader %q", hook, app.IsLeader(), e.IsLeader(), app.Role(), e.Leader())
			}
			if hook == "OnPassive" && ctx.Err() != nil {
				t.Errorf("OnPassive of a planned stop begins with %v", ctx.Err())
			}
			called <- hook
			return nil
		}
	}
	app.OnActive(look("OnActive"))
	app.OnPassive(look("OnPassive"))
	n.start()
	n.leads("web")
	if got := <-called; got != "OnActive" {
		t.Fatalf("first is %s", got)
	}
	must(t, n.stop())
	if len(called) != 1 || <-called != "OnPassive" {
		t.Error("OnPassive must be called once, on shutdown")
	}
	if app.IsLeader() || app.Role() != "" {
		t.Errorf("after the end: leader %v, role %q", app.IsLeader(), app.Role())
	}
	_, err := app.Election().Lease()
	wantErr(t, err, cluster.ErrNotLeader)
}

// TestSpreadHooks: an app that is active everywhere starts and stops once on
// each node, without a lease; one that fails to start stands back and comes.
func TestSpreadHooks(t *testing.T) {
	t.Parallel()
	var j journal
	var once sync.Once
	nodes := pair(t, "spread", startNATS(t).ClientURL(), func(n *node) {
		for _, mode := range []struct {
			name string
			opt  cluster.AppOption
		}{{"spread", cluster.Spread()}, {"pool", cluster.Pool()}} {
			app := n.app(cluster.NewApp(mode.name, mode.opt))
			id := n.NodeID() + " " + mode.name
			app.OnStart(func(ctx context.Context) error {
				if _, ok := cluster.LeaseFrom(ctx); ok {
					t.Error("a spread app has no lease")
				}
				return j.hook(id, "start")(ctx)
			})
			app.OnStart(func(context.Context) (err error) {
				if id == "n2 pool" {
					once.Do(func() { err = errors.New("not yet") })
				}
				return err
			})
			app.OnStop(j.hook(id, "stop"))
			app.OnActive(func(context.Context) error { t.Error("OnActive of a spread app"); return nil })
			if app.Election() != nil {
				t.Error("a spread app has no election")
			}
		}
	})
	for _, n := range nodes {
		for name, app := range n.apps {
			eventually(t, n.NodeID()+" runs "+name, func() bool { return app.Role() == cluster.RoleActive })
			if app.IsLeader() {
				t.Errorf("%s leads %s", n.NodeID(), name)
			}
		}
	}
	must(t, nodes[0].stop())
	must(t, nodes[1].stop())
	for _, id := range []string{"n1 spread", "n1 pool", "n2 spread", "n2 pool"} {
		want := 1
		if id == "n2 pool" {
			want = 2
		}
		if a, b := len(j.of(id, "start")), len(j.of(id, "stop")); a != want || b != want {
			t.Errorf("%s: %d OnStart and %d OnStop, want %d of each", id, a, b, want)
		}
	}
}

// TestSlowHooksDoNotHoldOthersUp: while a hook of one app takes its time, other
// apps change hands and the lease is renewed.
func TestSlowHooksDoNotHoldOthersUp(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	wait := func(ctx context.Context) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	}
	nodes := pair(t, "slow", startNATS(t).ClientURL(), func(n *node) {
		slow := n.app(cluster.NewApp("slow"))
		slow.OnActive(wait)
		slow.OnLeaderChange(func(ctx context.Context, _ string) error { return wait(ctx) })
		slow.OnMemberJoin(func(ctx context.Context, _ cluster.Member) error { return wait(ctx) })
		n.app(cluster.NewApp("quick"))
	})
	first := leaderOf(t, "quick", nodes...)
	must(t, first.election("quick").StepDown(within(t, patience)))
	if second := leaderOf(t, "quick", nodes...); second == first {
		t.Errorf("%s still leads", first.NodeID())
	}
	leader := leaderOf(t, "slow", nodes...) // it holds the lease while its OnActive runs
	if i := leader.status("slow"); !strings.Contains(i.Phase, "OnActive") {
		t.Errorf("status %+v, want the step that runs", i)
	}
	close(release)
}

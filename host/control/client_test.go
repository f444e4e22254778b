package control_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

func one(h *host) *control.Client {
	return control.NewClient(wire{hosts: map[string]*host{"n1": h}, any: "n1"})
}

func TestRoundTrip(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n1 := member("n1", true, "web")
	n1.Labels, n1.JoinedAt, n1.Cordoned, n1.Leads, n1.LastSeenMS = map[string]string{"zone": "a"}, now, true, 1, 12
	web := app("web", "n1", 7, control.Instance{Node: "n1", Role: "leader", Phase: "active", Since: now, HookError: "boom",
		Backend: &control.Backend{Status: "running", UptimeMS: 5, Restarts: 2, Isolation: "cgroup"}})
	h := &host{
		status: control.Status{
			Platform: "p", Node: "n1", Version: "v1", Incarnation: 1 << 62, Controller: "n1",
			Session: control.Session{State: "live", ValidForMS: 2900},
			NATS:    control.NATS{Mode: "embedded", Voters: 3, VotersUp: 2, RaftTuned: true, Leaders: map[string]string{"s": "n1"}},
			Nodes:   []control.Node{n1}, Apps: []control.App{web}, Warnings: []string{"w"},
		},
		nodes:  []control.Node{member("n2", true), n1},
		apps:   []control.App{web},
		labels: map[string]string{"zone": "a", "rack": "3"},
		result: control.StepDownResult{App: "web", From: "n1", To: "n2", Epoch: 8, TookMS: 41},
	}
	c, ctx := one(h), t.Context()
	same(t, "status")(c.Status(ctx))(h.status)
	n2 := member("n2", true)
	n2.Apps = []string{} // a list in any case
	same(t, "nodes")(c.Nodes(ctx))([]control.Node{n1, n2})
	same(t, "node")(c.Node(ctx, "n1"))(n1)
	same(t, "label")(c.Label(ctx, "n1", map[string]string{"zone": "b"}, []string{"rack"}))(map[string]string{"zone": "b"})
	same(t, "app")(c.App(ctx, "web"))(web)
	same(t, "stepdown")(c.StepDown(ctx, "web"))(h.result)
	if err := errors.Join(c.Cordon(ctx, "n9", true), c.Cordon(ctx, "n9", false)); err != nil {
		t.Error(err)
	}
	want := "status nodes nodes label n1 set map[zone:b] remove [rack] nodes apps status stepdown web cordon n9 true cordon n9 false"
	if got := strings.Join(h.calls, " "); got != want {
		t.Errorf("the host was asked\n%s\nwant\n%s", got, want)
	}
}

// same compares a result with what was wanted: same(t, what)(call())(want).
func same(t *testing.T, what string) func(got any, err error) func(want any) {
	return func(got any, err error) func(any) {
		return func(want any) {
			t.Helper()
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, %v\nwant %+v", what, got, err, want)
			}
		}
	}
}

// An error that crossed the wire is the same error again.
func TestSentinelsCrossTheWire(t *testing.T) {
	sentinels := append(pluginapi.Sentinels(), control.ErrUnreachable)
	for _, s := range sentinels {
		err := one(&host{err: fmt.Errorf("write record: %w: because", s)}).Cordon(t.Context(), "n1", true)
		for _, other := range sentinels {
			if errors.Is(err, other) != (s == other) {
				t.Errorf("%v arrived as %v: Is(%v) is %t", s, err, other, s != other)
			}
		}
		if err == nil || !strings.Contains(err.Error(), "write record: "+string(s)+": because") || control.Code(err) != string(s) {
			t.Errorf("%v arrived as %v", s, err)
		}
	}
	err := one(&host{err: context.DeadlineExceeded}).Cordon(t.Context(), "n1", true)
	if !errors.Is(err, pluginapi.ErrTimeout) {
		t.Errorf("a deadline arrived as %v", err)
	}
	err = one(&host{err: errors.New("disk full")}).Cordon(t.Context(), "n1", true)
	if err == nil || control.Code(err) != control.CodeInternal {
		t.Errorf("a plain error arrived as %v", err)
	}
}

func TestClientRefusesBadArguments(t *testing.T) {
	h := &host{}
	c, ctx := one(h), t.Context()
	_, node := c.Node(ctx, "a.b")
	_, app := c.App(ctx, "")
	_, down := c.StepDown(ctx, "*")
	_, label := c.Label(ctx, "n1", map[string]string{"a b": "c"}, nil)
	for _, err := range []error{node, app, down, label, c.Cordon(ctx, "", true)} {
		if !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("got %v, want ErrInvalid", err)
		}
	}
	if len(h.calls) > 0 {
		t.Errorf("the host was asked: %q", h.calls)
	}
}

func TestClientReadsNoGarbage(t *testing.T) {
	for answer, want := range map[string]string{
		``:                                       "read answer",
		`{}`:                                     "neither ok nor an error",
		`{"ok":[]}`:                              "read answer",
		`{"error":{}}`:                           "no message",
		`{"error":{"code":"x\u001b"}}`:           "no message",
		strings.Repeat(" ", 2*control.MaxAnswer): "longest allowed",
	} {
		c := control.NewClient(wire{raw: func(string, string, []byte) ([]byte, error) { return []byte(answer), nil }})
		if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("answer %.40q: got %v, want %q", answer, err, want)
		}
	}
}

func TestClientErrorsOfTheWay(t *testing.T) {
	fail := func(err error) *control.Client {
		return control.NewClient(wire{raw: func(string, string, []byte) ([]byte, error) { return nil, err }})
	}
	if _, err := fail(context.DeadlineExceeded).Status(t.Context()); !errors.Is(err, pluginapi.ErrTimeout) {
		t.Errorf("deadline: %v", err)
	}
	if _, err := fail(fmt.Errorf("dial: %w", control.ErrUnreachable)).Status(t.Context()); !errors.Is(err, control.ErrUnreachable) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestNotFoundNamesWhatThereIs(t *testing.T) {
	h := &host{nodes: []control.Node{member("n2", true), member("n1", true)}, apps: []control.App{app("web", "n1", 1)},
		status: control.Status{Apps: []control.App{app("web", "n1", 1)}}}
	_, err := one(h).Node(t.Context(), "n3")
	if !errors.Is(err, pluginapi.ErrNodeNotFound) || !strings.Contains(err.Error(), "n1, n2") {
		t.Error(err)
	}
	if _, err = one(h).App(t.Context(), "db"); !errors.Is(err, pluginapi.ErrAppNotFound) || !strings.Contains(err.Error(), "has web") {
		t.Error(err)
	}
	if _, err = one(h).StepDown(t.Context(), "db"); !errors.Is(err, pluginapi.ErrAppNotFound) {
		t.Error(err)
	}
}

// The view of the node that was asked is behind: the node it names does not
// lead any more. The next look finds the leader.
func TestStepDownFollowsTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		view := &host{status: control.Status{Apps: []control.App{app("web", "n2", 1)}}}
		old := &host{err: pluginapi.ErrNotLeader}
		now := &host{result: control.StepDownResult{App: "web", From: "n3", To: "n2", Epoch: 3}}
		c := control.NewClient(wire{hosts: map[string]*host{"n1": view, "n2": old, "n3": now}, any: "n1"})
		old.onStepDown = func() {
			if len(old.calls) == 2 {
				view.status.Apps = []control.App{app("web", "n3", 2)}
			}
		}
		res, err := c.StepDown(t.Context(), "web")
		if err != nil || res.To != "n2" || len(old.calls) != 2 || len(now.calls) != 1 {
			t.Errorf("got %+v, %v; old leader asked %d times, new one %d", res, err, len(old.calls), len(now.calls))
		}
	})
}

func TestStepDownGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{status: control.Status{Apps: []control.App{app("web", "n2", 1)}}}
		c := control.NewClient(wire{hosts: map[string]*host{"n1": h, "n2": {err: pluginapi.ErrNotLeader}}, any: "n1"})
		if _, err := c.StepDown(t.Context(), "web"); !errors.Is(err, pluginapi.ErrNotLeader) {
			t.Errorf("a node that never leads: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := c.StepDown(ctx, "web"); !errors.Is(err, pluginapi.ErrTimeout) {
			t.Errorf("out of time: %v", err)
		}
		h.status.Apps[0].Leader = ""
		if _, err := c.StepDown(t.Context(), "web"); !errors.Is(err, pluginapi.ErrNoLeader) {
			t.Errorf("no leader: %v", err)
		}
		h.status.Apps[0].Mode = control.AppSpread
		if _, err := c.StepDown(t.Context(), "web"); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("spread app: %v", err)
		}
		h.status.Apps[0] = app("web", "n2.>", 1)
		if _, err := c.StepDown(t.Context(), "web"); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("a leader whose name would be a subject: %v", err)
		}
	})
}

package control_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// show writes apps in one line each: name mode leader/epoch instances.
func show(apps []control.App) string {
	var b strings.Builder
	for _, a := range apps {
		fmt.Fprintf(&b, "%s %s %s/%d", a.Name, a.Mode, a.Leader, a.Epoch)
		for _, i := range a.Instances {
			fmt.Fprintf(&b, " %s=%s", i.Node, i.Role)
		}
		b.WriteString("\n")
	}
	return strings.TrimSpace(b.String())
}

// Every live node speaks for its own instance; who does not answer is named.
func TestAppsAreMerged(t *testing.T) {
	nodes := []control.Node{member("n3", true, "web"), member("n1", true, "web", "db"), member("n2", true, "web"), member("n4", false, "db"), member("bad name", true, "db")}
	hosts := map[string]*host{
		"n1": {nodes: nodes, apps: []control.App{app("web", "n2", 5, inst("n1", "standby")), app("db", "n1", 2, inst("n1", "leader"), inst("n4", "leader"))}},
		"n2": {apps: []control.App{app("web", "n2", 5, inst("n2", "leader"))}},
		"n3": {err: errors.New("disk on fire")},
	}
	apps, err := control.NewClient(wire{hosts: hosts, any: "n1"}).Apps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := "db singleton n1/2 bad name=unknown n1=leader n4=unknown\nweb singleton n2/5 n1=standby n2=leader n3=unknown"
	if got := show(apps); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if r := apps[1].Instances[2].Reason; !strings.Contains(r, "disk on fire") {
		t.Errorf("reason of n3: %q", r)
	}
	if r := apps[0].Instances[2].Reason; r != "node n4 is not up" {
		t.Errorf("reason of n4: %q", r)
	}
	if len(hosts["n3"].calls) != 1 {
		t.Errorf("n3 was asked %d times", len(hosts["n3"].calls))
	}
}

// Who leads, when nodes disagree: the higher epoch; then who says "I do"; then
// the news that nobody does.
func TestMergeOfLeaders(t *testing.T) {
	for _, tt := range []struct {
		name   string
		a, b   control.App
		leader string
	}{
		{"higher epoch", app("web", "n1", 1, inst("n1", "leader")), app("web", "n2", 2, inst("n2", "leader")), "n2"},
		{"higher epoch without a leader", app("web", "n1", 1, inst("n1", "leader")), app("web", "", 2, inst("n2", "standby")), ""},
		{"released", app("web", "n3", 4, inst("n1", "standby")), app("web", "", 4, inst("n2", "standby")), ""},
		{"the leader knows", app("web", "n1", 4, inst("n1", "leader")), app("web", "", 4, inst("n2", "standby")), "n1"},
		{"a node that was just started", app("web", "n1", 4, inst("n1", "leader")), app("web", "", 0, inst("n2", "standby")), "n1"},
		{"one that lies about another", app("web", "n1", 4, inst("n1", "standby")), app("web", "", 4, inst("n1", "leader")), ""},
	} {
		for _, swap := range []bool{false, true} {
			a, b, ids := tt.a, tt.b, []string{"n1", "n2"}
			if swap {
				ids = []string{"n2", "n1"}
			}
			hosts := map[string]*host{
				"n1": {apps: []control.App{a}},
				"n2": {apps: []control.App{b}},
				"q":  {nodes: []control.Node{member(ids[0], true, "web"), member(ids[1], true, "web")}},
			}
			got, err := control.NewClient(wire{hosts: hosts, any: "q"}).App(t.Context(), "web")
			if err != nil || got.Leader != tt.leader {
				t.Errorf("%s: leader %q, %v; want %q", tt.name, got.Leader, err, tt.leader)
			}
		}
	}
}

func TestHealth(t *testing.T) {
	good := func() control.Status {
		return control.Status{
			Platform: "p", Node: "n1", Controller: "n1", Session: control.Session{State: "live"},
			NATS:  control.NATS{Voters: 3, VotersUp: 2, Leaders: map[string]string{"s": "n1"}},
			Nodes: []control.Node{member("n1", true)},
			Apps:  []control.App{app("web", "n1", 1, control.Instance{Node: "n1", Role: "leader", Backend: &control.Backend{Status: "running"}})},
		}
	}
	for _, tt := range []struct {
		name  string
		spoil func(*control.Status)
		want  string
	}{
		{"all well", func(s *control.Status) {}, ""},
		{"external nats", func(s *control.Status) { s.NATS = control.NATS{Mode: "external"} }, ""},
		{"spread app", func(s *control.Status) { s.Apps[0].Mode, s.Apps[0].Leader = "spread", "" }, ""},
		{"starting", func(s *control.Status) { s.Apps[0].Instances[0].Backend.Status = "starting" }, ""},
		{"standby is stopped", func(s *control.Status) {
			s.Apps[0].Instances[0].Role, s.Apps[0].Instances[0].Backend.Status = "standby", "stopped"
		}, ""},
		{"half of the voters", func(s *control.Status) { s.NATS.Voters = 4 }, "nats : no quorum: 2 of 4 voters are up"},
		{"stream without leader", func(s *control.Status) { s.NATS.Leaders["s"] = "" }, "nats : stream s has no leader"},
		{"no controller", func(s *control.Status) { s.Controller = "" }, "platform p: no controller: nobody follows who is up"},
		{"revoked", func(s *control.Status) { s.Session.State = "revoked" }, "node n1: its session is revoked"},
		{"no session", func(s *control.Status) { s.Session.State = "" }, "node n1: its session is unknown"},
		{"node down", func(s *control.Status) { s.Nodes[0].Up, s.Nodes[0].LastSeenMS = false, 2500 }, "node n1: not up, last heard 2.5s ago"},
		{"check fails", func(s *control.Status) { s.Nodes[0].FailingChecks = []string{"db", "disk"} }, "node n1: health check db fails; node n1: health check disk fails"},
		{"node down, its checks are history", func(s *control.Status) { s.Nodes[0].Up, s.Nodes[0].FailingChecks = false, []string{"db"} }, "node n1: not up, last heard 0s ago"},
		{"no leader", func(s *control.Status) { s.Apps[0].Leader = "" }, "app web: no leader"},
		{"service stopped", func(s *control.Status) { s.Apps[0].Instances[0].Backend.Status = "stopped" }, "app web: service on n1 is stopped"},
		{"service sick", func(s *control.Status) {
			*s.Apps[0].Instances[0].Backend = control.Backend{Status: "unhealthy", Message: "503"}
		}, "app web: service on n1 is unhealthy: 503"},
		{"database is not fed", func(s *control.Status) {
			s.Apps[0].Instances[0].Database = &control.Database{Role: "leading", Error: "no space left"}
		}, "app web: database on n1 is not replicated: no space left"},
		{"database is not there", func(s *control.Status) {
			s.Apps[0].Instances[0].Database = &control.Database{Role: "leading", Error: "not there yet", Absent: true}
		}, ""},
		{"copy has an error", func(s *control.Status) {
			s.Apps[0].Instances[0].Role = "standby"
			s.Apps[0].Instances[0].Database = &control.Database{Role: "following", Error: "no space left"}
		}, ""},
		{"node down and silent", func(s *control.Status) {
			s.Nodes[0].Up = false
			s.Apps[0].Instances[0] = control.Instance{Node: "n1", Role: "unknown", Reason: "not up"}
		}, "node n1: not up, last heard 0s ago"},
		{"node silent", func(s *control.Status) {
			s.Apps[0].Instances[0] = control.Instance{Node: "n2", Role: "unknown", Reason: "no answer"}
		}, "app web: instance on n2 is unknown: no answer"},
	} {
		s := good()
		tt.spoil(&s)
		h := control.Check(s)
		var got []string
		for _, p := range h.Problems {
			got = append(got, p.Scope+" "+p.Name+": "+p.Text)
		}
		if strings.Join(got, "; ") != tt.want || h.Healthy != (tt.want == "") {
			t.Errorf("%s: healthy %t, %q; want %q", tt.name, h.Healthy, got, tt.want)
		}
	}
}

// Health looks at what the nodes say of themselves, not only at one view.
func TestHealthAsksEveryNode(t *testing.T) {
	sick := inst("n2", "leader")
	sick.Backend, sick.HookError = &control.Backend{Status: pluginapi.StatusUnhealthy}, "exit status 3"
	status := control.Status{Controller: "n1", Session: control.Session{State: "live"}, Warnings: []string{"two voters"},
		Nodes: []control.Node{member("n1", true, "web"), member("n2", true, "web")}, Apps: []control.App{app("web", "n2", 1)}}
	hosts := map[string]*host{
		"n1": {status: status, apps: []control.App{app("web", "n2", 1, inst("n1", "standby"))}},
		"n2": {apps: []control.App{app("web", "n2", 1, sick)}},
	}
	h, err := control.NewClient(wire{hosts: hosts, any: "n1"}).Health(t.Context())
	if err != nil || h.Healthy || len(h.Problems) != 1 || h.Problems[0].Text != "service on n2 is unhealthy" {
		t.Errorf("got %+v, %v", h, err)
	}
	if w := strings.Join(h.Warnings, "; "); w != "two voters; app web: a hook failed on n2: exit status 3" {
		t.Errorf("warnings %q", w)
	}
	hosts["n1"].err = pluginapi.ErrShuttingDown
	if _, err := control.NewClient(wire{hosts: hosts, any: "n1"}).Health(t.Context()); !errors.Is(err, pluginapi.ErrShuttingDown) {
		t.Error(err)
	}
}

// All nodes are asked, 16 of them at a time.
func TestAppsAsksFewAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var nodes []control.Node
		for i := range 50 {
			nodes = append(nodes, member(fmt.Sprintf("n%02d", i), true, "web"))
		}
		q := &host{nodes: nodes}
		c := &counting{inner: wire{hosts: map[string]*host{"q": q}, any: "q"}}
		apps, err := control.NewClient(c).Apps(t.Context())
		if err != nil || len(apps) != 1 || len(apps[0].Instances) != 50 || c.most != 16 {
			t.Errorf("got %s, %v; at most %d at once, want 16", show(apps), err, c.most)
		}
	})
}

// counting takes a while for each request and counts those under way.
type counting struct {
	inner wire

	mu        sync.Mutex
	now, most int
}

func (c *counting) Request(ctx context.Context, node, verb string, data []byte) ([]byte, error) {
	c.count(1)
	defer c.count(-1)
	<-time.After(time.Millisecond)
	return c.inner.Request(ctx, node, verb, data)
}

func (c *counting) count(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += by
	c.most = max(c.most, c.now)
}

// A node knows its own apps only; status and step-down find the others'.
func TestAppsOfOtherNodes(t *testing.T) {
	nodes := []control.Node{member("n1", true, "web"), member("n2", true, "web", "db"), member("n3", false, "batch")}
	hosts := map[string]*host{
		"n1": {nodes: nodes, status: control.Status{Nodes: nodes, Apps: []control.App{app("web", "n1", 3, inst("n1", "leader"))}}},
		"n2": {apps: []control.App{app("db", "n2", 2, inst("n2", "leader")), app("web", "n1", 3, inst("n2", "standby"))},
			result: control.StepDownResult{App: "db", From: "n2", To: "n1"}},
	}
	c := control.NewClient(wire{hosts: hosts, any: "n1"})
	s, err := c.Status(t.Context())
	want := "batch  /0 n3=unknown\ndb singleton n2/2 n2=leader\nweb singleton n1/3 n1=leader"
	if got := show(s.Apps); err != nil || got != want {
		t.Errorf("got\n%s\n%v\nwant\n%s", got, err, want)
	}
	if res, err := c.StepDown(t.Context(), "db"); err != nil || res.To != "n1" {
		t.Errorf("step down: %+v, %v", res, err)
	}
}

// TestDatabaseWarnings: what hurts nobody yet is said: a copy that does not
// follow, and what was kept aside.
func TestDatabaseWarnings(t *testing.T) {
	for _, tt := range []struct {
		name, role string
		database   control.Database
		want       string
	}{
		{"leads", "leader", control.Database{Role: "leading"}, ""},
		{"follows", "standby", control.Database{Role: "following", Follows: true}, ""},
		{"behind", "standby", control.Database{Role: "following"}, "app web: copy on n1 does not follow yet: that node cannot take over"},
		{"error", "standby", control.Database{Role: "following", Error: "no space left"}, "app web: copy on n1: no space left"},
		{"too much", "leader", control.Database{Role: "leading", Alarm: 1 << 20, FeedBytes: 3 << 20, ChunkBytes: 1 << 20},
			"app web: the feed: 3 MiB on each server, above the alarm of 1 MiB: replication stops when the disk is full"},
		{"snapshot fails", "standby", control.Database{Role: "following", Follows: true, SnapshotError: "no space left"}, "app web: snapshots on n1: no space left"},
		{"aside", "leader", control.Database{Role: "leading", Aside: []string{"/a", "/b"}},
			"app web: on n1 a copy was kept that had what nobody else had: look at it and delete it: /a, /b"},
	} {
		h := control.Check(control.Status{Apps: []control.App{app("web", "n1", 1, control.Instance{Node: "n1", Role: tt.role, Database: &tt.database})}})
		if got := strings.Join(h.Warnings, "; "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

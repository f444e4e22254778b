package observe_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/host/observe"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// fake is a node with one app that it leads.
type fake struct{ ready bool }

func (f *fake) Ready() bool { return f.ready }

func (f *fake) Status(context.Context) (control.Status, error) {
	return control.Status{
		Platform: "p", Node: "n1", Session: control.Session{State: "live", ValidForMS: 1500},
		NATS:  control.NATS{Voters: 3, VotersUp: 2},
		Nodes: []control.Node{{Member: pluginapi.Member{NodeID: "n1"}, Leads: 1}, {Member: pluginapi.Member{NodeID: "n2"}, Cordoned: true}},
		Apps: []control.App{{Name: "web", Mode: control.AppSingleton, Leader: "n1", Epoch: 7, Instances: []control.Instance{
			{Node: "n1", Role: "leader", Backend: &control.Backend{Status: "running", UptimeMS: 2500, Restarts: 2}},
		}}},
	}, nil
}

// serve runs a handler on a free port until the test ends.
func serve(t *testing.T, h http.Handler) (url string) {
	s, err := observe.Listen("health_addr", "127.0.0.1:0", h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + s.Addr()
}

func get(t *testing.T, url string) (int, string) {
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestHealth(t *testing.T) {
	src := &fake{}
	url := serve(t, observe.Health(src))
	if code, body := get(t, url+"/health"); code != 200 || !strings.Contains(body, `"ok"`) {
		t.Errorf("/health: %d %s", code, body)
	}
	if code, _ := get(t, url+"/ready"); code != 503 {
		t.Errorf("/ready of a node without a session: %d", code)
	}
	src.ready = true
	if code, _ := get(t, url+"/ready"); code != 200 {
		t.Errorf("/ready of a node with a session: %d", code)
	}
	if code, body := get(t, url+"/status"); code != 200 || !strings.Contains(body, `"epoch":7`) {
		t.Errorf("/status: %d %s", code, body)
	}
	if code, _ := get(t, url+"/other"); code != 404 {
		t.Errorf("/other: %d", code)
	}
}

// TestMetrics fails on a figure that is declared and not set.
func TestMetrics(t *testing.T) {
	_, body := get(t, serve(t, observe.Metrics(&fake{ready: true}))+"/metrics")
	for _, want := range []string{
		`gc_leader{app="web",node="n1",platform="p"} 1`,
		`gc_election_epoch{app="web",platform="p"} 7`,
		`gc_members_total{platform="p"} 2`,
		`gc_node_cordoned{node="n2",platform="p"} 1`,
		`gc_node_app_count{node="n1",platform="p"} 1`,
		`gc_session_valid_seconds{node="n1",platform="p"} 1.5`,
		`gc_voters_total{platform="p"} 3`,
		`gc_voters_up{platform="p"} 2`,
		`gc_backend_state{app="web",node="n1",platform="p"} 2`,
		`gc_backend_restarts_total{app="web",node="n1",platform="p"} 2`,
		`gc_backend_uptime_seconds{app="web",node="n1",platform="p"} 2.5`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := observe.Listen("metrics_addr", l.Addr().String(), nil); err == nil || !strings.Contains(err.Error(), "metrics_addr") {
		t.Errorf("an address in use: %v", err)
	}
}

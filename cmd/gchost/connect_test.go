package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/bus/embedded"
	"github.com/ozanturksever/go-cluster/host/control"
)

// serve starts a server and returns the data folder of a host that has it, and
// a connection of that host.
func serve(t *testing.T) (dataDir string, host *bus.Conn) {
	t.Helper()
	s, err := embedded.New(embedded.Config{Name: "n1", Platform: "prod", Dir: t.TempDir(), Listen: "127.0.0.1:0", Secret: "0123456789abcdef"})
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
	select {
	case <-s.Ready():
	case <-time.After(time.Minute):
		t.Fatal("the server does not start")
	}
	c := bus.Config{InProcess: s}
	c.Auth.User, c.Auth.Password = s.Login(bus.RoleNode, "n1")
	if host, err = bus.Dial(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = host.Close(context.Background()) }) // the server goes first in a test that fails
	dataDir = t.TempDir()
	f := cliFile{Platform: "prod", Node: "n1", URLs: []string{s.ClientURL()}, InboxPrefix: bus.InboxPrefix(bus.RoleCLI, "n1")}
	f.User, f.Password = s.Login(bus.RoleCLI, "n1")
	text, err := json.Marshal(f)
	if err == nil {
		err = os.WriteFile(filepath.Join(dataDir, "cli.json"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dataDir, host
}

// A command reaches the host that answers for all, and one node by its name. A
// node that does not answer is not reached, and is named.
func TestConnect(t *testing.T) {
	dataDir, host := serve(t)
	names, err := bus.NewNames("prod")
	if err != nil {
		t.Fatal(err)
	}
	cfg, origins, err := load(t, "", nil, map[string]string{"data_dir": dataDir})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := connect(t.Context(), cfg, origins)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	client := control.NewClient(conn)
	if _, err := client.Status(t.Context()); exitOf(err) != exitUnreachable {
		t.Errorf("nobody there: %v, exit %d", err, exitOf(err))
	}
	fake := &fakeNode{platformOf("healthy"), "n1"}
	for _, verb := range control.Verbs() {
		for _, subject := range []string{names.ControlAny(verb), names.ControlNode("n1", verb)} {
			cancel, err := host.Subscribe(subject, "", func(m bus.Message) {
				if err := m.Respond(control.Serve(context.Background(), fake, verb, m.Data)); err != nil {
					t.Error(err)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer cancel()
		}
	}
	if res, err := client.StepDown(t.Context(), "web"); err != nil || res.To != "n2" {
		t.Errorf("step down: %+v, %v", res, err)
	}
	app, err := client.App(t.Context(), "web")
	if err != nil || len(app.Instances) != 2 || app.Instances[0].Role != "leader" || app.Instances[1].Role != control.Unknown {
		t.Errorf("app: %+v, %v", app, err)
	}
}

// What any node may answer is asked of the host of this machine; when that one
// does not run, of any.
func TestOwnHostAnswers(t *testing.T) {
	dataDir, host := serve(t)
	names, err := bus.NewNames("prod")
	if err != nil {
		t.Fatal(err)
	}
	answer := func(subject, node string) (cancel func()) {
		p := platformOf("healthy")
		p.status.Node = node
		cancel, err := host.Subscribe(subject, "", func(m bus.Message) {
			if err := m.Respond(control.Serve(context.Background(), &fakeNode{p, node}, "status", m.Data)); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return cancel
	}
	defer answer(names.ControlAny("status"), "n2")()
	own := answer(names.ControlNode("n1", "status"), "n1")
	cfg, origins, err := load(t, "", nil, map[string]string{"data_dir": dataDir})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := connect(t.Context(), cfg, origins)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, want := range []string{"n1", "n2"} {
		if s, err := control.NewClient(conn).Status(t.Context()); err != nil || s.Node != want {
			t.Errorf("%s answers, %v; want %s", s.Node, err, want)
		}
		own()
	}
}

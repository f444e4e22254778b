package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

func TestExitCodes(t *testing.T) {
	want := map[pluginapi.Error]int{
		pluginapi.ErrNotLeader: 5, pluginapi.ErrNoLeader: 5, pluginapi.ErrTimeout: 1, pluginapi.ErrAppNotFound: 4, pluginapi.ErrNodeNotFound: 4,
		pluginapi.ErrHookTimeout: 1, pluginapi.ErrShuttingDown: 5, pluginapi.ErrNodeAlreadyPresent: 5, pluginapi.ErrNoStandby: 5, pluginapi.ErrInvalid: 2, pluginapi.ErrUnauthorized: 5,
		pluginapi.ErrPluginNotFound: 4, pluginapi.ErrPluginDisabled: 5, pluginapi.ErrNotGranted: 5, pluginapi.ErrKeyExists: 5, pluginapi.ErrConflict: 5, pluginapi.ErrBusy: 5,
		control.ErrUnreachable: 3, errUnhealthy: 6, errBadConfig: 2,
	}
	for _, s := range pluginapi.Sentinels() {
		if _, ok := want[s]; !ok {
			t.Logf("%v has no exit code of its own, it is a failure", s)
			want[s] = exitFailure
		}
	}
	for s, code := range want {
		if got := exitOf(fmt.Errorf("a: %w: b", s)); got != code {
			t.Errorf("%v: exit %d, want %d", s, got, code)
		}
	}
	for _, tt := range []struct {
		err  error
		code int
	}{{nil, 0}, {errors.New("x"), 1}, {usagef("x"), 2}, {Faults{{Text: "x"}}, 2}} {
		if got := exitOf(tt.err); got != tt.code {
			t.Errorf("%v: exit %d, want %d", tt.err, got, tt.code)
		}
	}
}

// A defect of ours is 70 and says where, also in JSON.
func TestDefect(t *testing.T) {
	var stdout, stderr bytes.Buffer
	p := &program{stdout: &stdout, stderr: &stderr, machine: testMachine(), dial: func(context.Context, Config, Origins) (conversation, error) { panic("ouch") }}
	exit := p.run(t.Context(), []string{"status", "--json"})
	var doc struct {
		Error struct {
			Code    string
			Exit    int
			Message string
		}
	}
	if err := json.Unmarshal(stdout.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if exit != exitInternal || doc.Error.Exit != exitInternal || doc.Error.Code != control.CodeInternal || doc.Error.Message != "ouch" || !strings.Contains(stderr.String(), "program_test.go") {
		t.Errorf("exit %d, %+v, %s", exit, doc, stderr.String())
	}
}

// A runner gets a whole configuration, with the secret that stands in a file,
// and a log as it was asked for.
func TestRunnerGetsItsConfig(t *testing.T) {
	secret := write(t, "secret", "0123456789abcdef\n", 0o600)
	file := write(t, "gchost.yaml", "platform: prod\ncluster: {secret_file: "+secret+"}\nlog: {format: json}\n", 0o600)
	for _, verbose := range []bool{false, true} {
		var stderr bytes.Buffer
		var got Config
		p := &program{stdout: &bytes.Buffer{}, stderr: &stderr, machine: testMachine(), runners: []runner{{use: "run", start: func(_ context.Context, cfg Config, log *slog.Logger) error {
			got = cfg
			log.Debug("deep")
			log.Info("hello")
			return pluginapi.ErrNodeAlreadyPresent
		}}}}
		args := []string{"run", "--config", file, "--node", "n7"}
		if verbose {
			args = append(args, "-v")
		}
		if exit := p.run(t.Context(), args); exit != exitRefused || got.Platform != "prod" || got.Node != "n7" || got.Cluster.Secret.Reveal() != "0123456789abcdef" {
			t.Errorf("exit %d, %+v", exit, got)
		}
		if out := stderr.String(); !strings.Contains(out, `"msg":"hello"`) || strings.Contains(out, "deep") != verbose || !strings.Contains(out, "gchost: node already present") {
			t.Errorf("verbose %t: %s", verbose, out)
		}
	}
}

// Where a command goes, and as whom.
func TestAddress(t *testing.T) {
	dir := t.TempDir()
	text := `{"platform":"prod","node":"n1","urls":["tls://10.0.0.1:4222","tls://10.0.0.2:4222"],"user":"cli.n1","password":"pw","inbox_prefix":"_INBOX_cli_n1","tls":{"ca":"/ca","cert":"/c","key":"/k"},"new":1}`
	if err := os.WriteFile(dir+"/cli.json", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, origins, err := load(t, "", nil, map[string]string{"data_dir": dir})
	if err != nil {
		t.Fatal(err)
	}
	to, err := address(cfg, origins)
	got := to.bus
	if err != nil || to.platform != "prod" || to.node != "n1" || !slices.Equal(got.URLs, []string{"tls://10.0.0.1:4222", "tls://10.0.0.2:4222"}) || got.InboxPrefix != "_INBOX_cli_n1" ||
		got.Auth != (bus.Auth{User: "cli.n1", Password: "pw", TLS: bus.TLS{CA: "/ca", Cert: "/c", Key: "/k"}}) {
		t.Errorf("embedded: %+v, %v", to, err)
	}
	cfg, origins, err = load(t, "platform: prod\nnats: {url: 'nats://a, nats://b', creds: /creds, tls: {ca: /ca}}", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	to, err = address(cfg, origins)
	got = to.bus
	if err != nil || to.platform != "prod" || to.node != "" || !slices.Equal(got.URLs, []string{"nats://a", "nats://b"}) || got.Auth != (bus.Auth{CredsFile: "/creds", TLS: bus.TLS{CA: "/ca"}}) {
		t.Errorf("external: %+v, %v", to, err)
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{
		"lease_tll": "lease_ttl", "Lease_TTL": "lease_ttl", "nod": "node", "node_id": "node", "timeout": "hook_timeout", "zzz": "", "x": "", "": "", "lgo": "log",
	} {
		got, ok := nearest(word, []string{"platform", "node", "lease_ttl", "hook_timeout", "log", "nats"})
		if got != want || ok != (want != "") {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"ab", "ba", 1}, {"command", "comand", 1}, {"kitten", "sitting", 3}} {
		if got := distance(tt.a, tt.b); got != tt.want || distance(tt.b, tt.a) != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

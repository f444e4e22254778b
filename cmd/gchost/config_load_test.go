package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/builtin/backend"
	yamlv3 "go.yaml.in/yaml/v3"
)

// A flag goes over the environment, our variables over the old ones, the
// environment over the file, the file over the defaults.
func TestPrecedence(t *testing.T) {
	const file = "platform: file\nnode: file\nlease_ttl: 4s\nlog: {level: warn}\nlabels: {zone: file, rack: file}\n"
	environ := []string{
		"PLATFORM=old", "NODE_ID=old", "NATS_URL=nats://old:1", "GCHOST_NODE=env", "GCHOST_LOG__LEVEL=error",
		"GCHOST_LABELS=zone=env", "GCHOST_HEARTBEAT=", "GCHOST_NATS__TLS__CA=/env/ca", "HOME=/x", "GCHOST_EPOCH=9",
	}
	cfg, origins, err := load(t, file, environ, map[string]string{"platform": "flag"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ key, got, want, from string }{
		{"platform", cfg.Platform, "flag", "flag --platform"},
		{"node", cfg.Node, "env", "environment GCHOST_NODE"},
		{"nats.url", cfg.NATS.URL, "nats://old:1", "environment NATS_URL"},
		{"nats.tls.ca", cfg.NATS.TLS.CA, "/env/ca", "environment GCHOST_NATS__TLS__CA"},
		{"log.level", cfg.Log.Level, "error", "environment GCHOST_LOG__LEVEL"},
		{"lease_ttl", cfg.LeaseTTL.String(), "4s", "gchost.yaml:3"},
		{"labels.zone", cfg.Labels["zone"], "env", "environment GCHOST_LABELS"},
		{"labels.rack", cfg.Labels["rack"], "file", "gchost.yaml:5"},
		{"log.format", cfg.Log.Format, "text", ""},
		{"heartbeat", cfg.Heartbeat.String(), "1s", ""},
	} {
		from := origins.Of(tt.key).Where
		if _, given := origins.set[tt.key]; !given {
			from = ""
		}
		if tt.got != tt.want || filepath.Base(from) != tt.from && from != tt.from {
			t.Errorf("%s: %q from %q, want %q from %q", tt.key, tt.got, from, tt.want, tt.from)
		}
	}
}

func TestDefaultsFollowTheMachine(t *testing.T) {
	for _, tt := range []struct {
		m              Machine
		node, dir, adr string
	}{
		{Machine{Hostname: "box.example.com", Home: "/home/me"}, "box", "/home/me/.local/share/gchost", "127.0.0.1"},
		{Machine{Hostname: "box", Home: "/root", Root: true}, "box", "/var/lib/gchost", "127.0.0.1"},
		{Machine{Hostname: "box", Root: true, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fd00::1"), netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("10.9.9.9")}}, "box", "/var/lib/gchost", "10.1.2.3"},
		{Machine{Hostname: "box", Root: true, Addresses: []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")}}, "box", "/var/lib/gchost", "fd00::1"},
	} {
		cfg, _, err := Load(Options{Machine: tt.m})
		if err != nil || cfg.Node != tt.node || cfg.DataDir != tt.dir || cfg.Address != tt.adr {
			t.Errorf("%+v: node %q, data_dir %q, address %q, %v", tt.m, cfg.Node, cfg.DataDir, cfg.Address, err)
		}
	}
	_, _, err := Load(Options{Machine: Machine{Hostname: "-"}})
	if err == nil || !strings.Contains(err.Error(), "node: node name \"-\"") || !strings.Contains(err.Error(), "data_dir: there is no home folder") {
		t.Errorf("a machine without a good name and a home: %v", err)
	}
}

func TestDefaultsThatFollowFromOthers(t *testing.T) {
	cfg, _, err := load(t, `
cluster:
  listen: 10.0.0.1:4300
  routes: 10.0.0.1:6222
  secret: 0123456789abcdef
  tls: {ca: /ca, cert: /c, key: /k}
  peers: [{name: n2, routes: "10.0.0.2:7000"}, {name: n3, routes: "10.0.0.3:7000", mesh: "10.0.0.3:9", client: "h3:1"}]
hook_timeout: 7s
apps:
  - {name: a, backend: {process: {command: x, ready: {tcp: "h:1"}, restart: {max: 0}}}}
  - {name: b, hook_timeout: 2s, hooks: {on_stop: [/x]}}
`, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := cfg.Apps[0].Backend.Process
	for _, tt := range []struct{ got, want any }{
		{cfg.LeaseTTL, 3 * time.Second}, {cfg.Heartbeat, 750 * time.Millisecond}, {cfg.Cluster.Mesh, "10.0.0.1:6223"},
		{cfg.Cluster.Peers[0], PeerConfig{"n2", "10.0.0.2:7000", "10.0.0.2:7001", "10.0.0.2:4300"}},
		{cfg.Cluster.Peers[1], PeerConfig{"n3", "10.0.0.3:7000", "10.0.0.3:9", "h3:1"}},
		{cfg.Apps[0].HookTimeout, 7 * time.Second}, {cfg.Apps[1].HookTimeout, 2 * time.Second}, {cfg.Apps[0].Mode, "singleton"},
		{p.Ready.Interval, 200 * time.Millisecond}, {p.Restart, RestartConfig{0, time.Minute, 100 * time.Millisecond}},
	} {
		if tt.got != tt.want {
			t.Errorf("got %+v, want %+v", tt.got, tt.want)
		}
	}
	if cfg, _, err = load(t, "nats: {url: nats://h}", nil, nil); err != nil || cfg.LeaseTTL != 12*time.Second || cfg.Heartbeat != 3*time.Second || cfg.Cluster.Listen != "" {
		t.Errorf("external: %v, heartbeat %v, listen %q, %v", cfg.LeaseTTL, cfg.Heartbeat, cfg.Cluster.Listen, err)
	}
}

func TestFileIsLookedFor(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.yaml"), filepath.Join(dir, "second.yaml")
	if err := os.WriteFile(second, []byte("platform: second"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Search: []string{first, second}, Machine: testMachine()}
	if cfg, _, err := Load(o); err != nil || cfg.Platform != "second" {
		t.Errorf("platform %q, %v", cfg.Platform, err)
	}
	if err := os.WriteFile(first, []byte("platform: first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if cfg, _, err := Load(o); err != nil || cfg.Platform != "first" {
		t.Errorf("platform %q, %v", cfg.Platform, err)
	}
	for _, bad := range []string{filepath.Join(dir, "none.yaml"), dir} {
		o.File = bad
		var faults Faults
		if _, _, err := Load(o); err == nil || errors.As(err, &faults) {
			t.Errorf("%s: %v, want an error that is no list of faults", bad, err)
		}
	}
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, []byte("# "+strings.Repeat("x", maxFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	o.File = big
	if _, _, err := Load(o); err == nil || !strings.Contains(err.Error(), "longest allowed") {
		t.Errorf("big file: %v", err)
	}
}

const secrets = `
nats: {url: "nats://u:s3cr3t-url@h:4222", user: me, password: s3cr3t-pw}
apps:
  - name: a
    backend: {process: {command: x, env: {DB: s3cr3t-env}, args: ["", "true", "1", "a: b", "#", "ü\"\n"]}}
`

// What is shown is what Load reads again, secrets aside, and holds none.
func TestShow(t *testing.T) {
	cfg, _, err := load(t, secrets, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	cfg.show().yaml(&b, "")
	again, _, err := load(t, b.String(), nil, nil)
	if err != nil {
		t.Fatalf("%s%v", b.String(), err)
	}
	asJSON, err := json.Marshal(cfg.show())
	if err != nil {
		t.Fatal(err)
	}
	printed, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "cfg", cfg, "pw", cfg.NATS.Password)
	for what, text := range map[string]string{"show": b.String(), "JSON": string(asJSON)} {
		if strings.Contains(text, "s3cr3t") {
			t.Errorf("%s holds a secret: %s", what, text)
		}
	}
	for what, text := range map[string]string{"%v": fmt.Sprintf("%v %+v %#v", cfg.NATS, cfg.NATS, cfg.NATS), "JSON": string(printed), "log": logged.String()} {
		if strings.Contains(text, "s3cr3t-pw") {
			t.Errorf("%s holds a secret: %s", what, text)
		}
	}
	if cfg.NATS.Password.Reveal() != "s3cr3t-pw" {
		t.Error("the secret is lost")
	}
	cfg.NATS.Password, cfg.NATS.URL = masked, "nats://"+masked+"@h:4222"
	cfg.Apps[0].Backend.Process.Env["DB"] = masked
	if !reflect.DeepEqual(cfg, again) {
		t.Errorf("read again:\n%+v\nwant\n%+v", again, cfg)
	}
}

// Every text survives being shown and read again.
func FuzzPlainOrQuoted(f *testing.F) {
	for _, s := range []string{"", "a", "3s", "true", "Yes", "1e3", "a:b", "- a", "0x1", "~", "a b", "2026-01-02", "\x00", "null", ".5", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "")
		m, err := (&yamlFile{}).Unmarshal([]byte("key: " + plainOrQuoted(s) + "\n"))
		if err != nil || m["key"] != s {
			t.Errorf("%q is written as %s and read as %#v, %v", s, plainOrQuoted(s), m["key"], err)
		}
	})
}

// The lines that the finder finds are those of the YAML parser's own tree.
func TestLinesAreTheParsers(t *testing.T) {
	_, scenes := readScenes(t, "testdata/bad.txtar")
	texts := []string{secrets, readDoc(t, "config.md")[strings.Index(readDoc(t, "config.md"), "```yaml\n")+8:]}
	texts[1] = texts[1][:strings.Index(texts[1], "```")]
	for _, s := range scenes {
		texts = append(texts, s["file.yaml"])
	}
	checked := 0
	for _, text := range texts {
		var doc yamlv3.Node
		var m map[string]any
		if yamlv3.Unmarshal([]byte(text), &m) != nil || yamlv3.Unmarshal([]byte(text), &doc) != nil || len(doc.Content) == 0 {
			continue
		}
		f := newFinder([]byte(text))
		treeLines(doc.Content[0], "", 0, func(path string, line int) {
			checked++
			if got := f.line(path); got != line {
				t.Errorf("%s\n%s is found in line %d, the parser has %d", text, path, got, line)
			}
		})
	}
	if checked < 100 {
		t.Errorf("only %d keys were compared", checked)
	}
}

// treeLines visits keys and items with their lines; what stands in brackets has
// the line of the bracket.
func treeLines(n *yamlv3.Node, path string, bracket int, visit func(string, int)) {
	if n.Style&yamlv3.FlowStyle != 0 && bracket == 0 && (n.Kind == yamlv3.MappingNode || n.Kind == yamlv3.SequenceNode) {
		bracket = n.Line
	}
	at := func(n *yamlv3.Node) int {
		if bracket > 0 {
			return bracket
		}
		return n.Line
	}
	switch n.Kind {
	case yamlv3.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			key := keyPath(path, n.Content[i].Value)
			visit(key, at(n.Content[i]))
			treeLines(n.Content[i+1], key, bracket, visit)
		}
	case yamlv3.SequenceNode:
		for i, item := range n.Content {
			key := fmt.Sprintf("%s[%d]", path, i)
			visit(key, at(item))
			treeLines(item, key, bracket, visit)
		}
	}
}

// Whatever a file holds, the answer is a good configuration or a list of
// faults, each with its place.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(secrets))
	f.Add([]byte("a: &x [*x]"))
	f.Add([]byte("? {a: b}\n: c"))
	f.Add([]byte("1: 2\n\"1\": 3\n"))
	f.Add([]byte("<<: {node: a}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "gchost.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, _, err := Load(Options{File: path, Machine: testMachine()})
		var faults Faults
		switch {
		case err == nil:
			if err := cfg.Validate(); err != nil {
				t.Errorf("loaded, and not valid: %v", err)
			}
		case !errors.As(err, &faults):
			t.Errorf("not a list of faults: %v", err)
		}
	})
}

func TestProcessConfigBecomesBackend(t *testing.T) {
	cfg, _, err := load(t, `
apps:
  - name: a
    backend:
      process:
        command: /x
        args: [a]
        dir: /d
        env: {B: "2", A: "1"}
        graceful_timeout: 1s
        log_file: /l
        ready: {http: "http://h", tcp: "h:1", exec: [/e], interval: 1s, timeout: 2s}
        restart: {max: 4, window: 5s, delay: 6s}
  - name: b
    backend: {process: {command: x, restart: {max: 0}}}
`, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := backend.ProcessConfig{
		Command: "/x", Args: []string{"a"}, Dir: "/d", Env: []string{"A=1", "B=2"}, GracefulTimeout: time.Second, LogFile: "/l",
		Ready:   &backend.ReadyCheck{HTTP: "http://h", TCP: "h:1", Exec: []string{"/e"}, Interval: time.Second, Timeout: 2 * time.Second},
		Restart: backend.RestartPolicy{MaxRestarts: 4, Window: 5 * time.Second, Delay: 6 * time.Second},
	}
	if got := cfg.Apps[0].Backend.Process.process(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got := cfg.Apps[1].Backend.Process.process(); !got.Restart.Disabled || got.Ready != nil {
		t.Errorf("never restarted: %+v", got)
	}
	for _, a := range cfg.Apps { // what we let pass the backend takes
		if err := backend.NewProcess(a.Backend.Process.process()).Validate(); err != nil {
			t.Error(err)
		}
	}
}

// The defaults here and in builtin/backend are the same.
func TestProcessDefaults(t *testing.T) {
	var p ProcessConfig
	p.setDefaults()
	cfg := Config{Apps: []AppConfig{{Backend: BackendConfig{Process: &ProcessConfig{Ready: ReadyConfig{TCP: "h:1"}}}}}}
	cfg.fill(testMachine())
	r := cfg.Apps[0].Backend.Process.Ready
	for _, tt := range []struct{ got, want any }{
		{p.GracefulTimeout, backend.DefaultGracefulTimeout}, {p.Restart.Max, backend.DefaultMaxRestarts}, {p.Restart.Window, backend.DefaultRestartWindow},
		{p.Restart.Delay, backend.DefaultRestartDelay}, {r.Interval, backend.DefaultReadyInterval}, {r.Timeout, backend.DefaultReadyTimeout},
	} {
		if tt.got != tt.want {
			t.Errorf("got %v, builtin/backend has %v", tt.got, tt.want)
		}
	}
}

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

func TestReadSecret(t *testing.T) {
	const good = "0123456789abcdef"
	for _, tt := range []struct {
		name, text string
		mode       os.FileMode
		want, err  string
	}{
		{"good", good + "\n", 0o600, good, ""},
		{"for a group", " " + good, 0o640, good, ""},
		{"for all", good, 0o644, "", "others may use"},
		{"writable by a group", good, 0o660, "", "others may use"},
		{"short", "short\n", 0o600, "", "has 5 bytes, give 16 or more"},
		{"empty", "", 0o600, "", "has 0 bytes"},
		{"long", strings.Repeat("x", maxSecretFile+1), 0o600, "", "is it the right file?"},
	} {
		if runtime.GOOS == "windows" && strings.Contains(tt.err, "others") {
			continue
		}
		got, err := ClusterConfig{SecretFile: write(t, "secret", tt.text, tt.mode)}.ReadSecret()
		if got.Reveal() != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v", tt.name, got.Reveal(), err)
		}
		if err != nil && strings.Contains(err.Error(), good) {
			t.Errorf("%s: the error holds the secret", tt.name)
		}
	}
	if _, err := (ClusterConfig{SecretFile: "/no/such/file"}).ReadSecret(); err == nil {
		t.Error("no file: no error")
	}
	if got, err := (ClusterConfig{Secret: "direct"}).ReadSecret(); got != "direct" || err != nil {
		t.Errorf("direct: %q, %v", got.Reveal(), err)
	}
}

func TestAdvice(t *testing.T) {
	for text, want := range map[string]string{
		"platform: p":                                  "",
		"nats: {url: nats://h}":                        "",
		"nats: {url: nats://h}\nlease_ttl: 3s":         "lease_ttl: 3s with an existing NATS",
		"cluster: {raft: wan}":                         "lease_ttl: 3s with cluster.raft wan",
		"cluster: {raft: wan}\nlease_ttl: 12s":         "",
		"cluster: {listen: \"127.0.0.1:0\"}\nnode: n1": "",
	} {
		cfg, _, err := load(t, text, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(cfg.Advice(), "; "); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// A secret in a file that everybody reads is worth a word.
func TestExposedSecret(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("file modes are not for windows")
	}
	const text = "nats: {url: nats://h, token: geheim}"
	for mode, want := range map[os.FileMode]bool{0o644: true, 0o640: false} {
		path := write(t, "gchost.yaml", text, mode)
		r := execute(t.Context(), platformOf("healthy"), "config", "check", "--config", path)
		if r.exit != exitOK || strings.Contains(r.stdout, "nats.token: every user") != want || strings.Contains(r.stdout, "geheim") {
			t.Errorf("mode %04o: %s", mode, r)
		}
	}
}

// Of the files that a configuration names, the ones that are not there are
// faults, with their places.
func TestCheckFiles(t *testing.T) {
	here := write(t, "here", "x", 0o600)
	cfg, origins, err := load(t, `
cluster:
  tls: {ca: `+here+`, cert: /no/cert, key: `+filepath.Dir(here)+`}
apps:
  - name: a
    backend:
      process:
        command: bin/x
        dir: `+filepath.Dir(here)+`
        ready: {exec: [no-such-check]}
`, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := withoutFolder(cfg.CheckFiles(origins).Error())
	dir := filepath.Dir(here)
	want := "gchost.yaml:3: cluster.tls.cert: /no/cert does not exist\n" +
		"gchost.yaml:3: cluster.tls.key: " + dir + " is a folder, want a file\n" +
		"gchost.yaml:8: apps[0].backend.process.command: " + dir + "/bin/x does not exist\n" +
		"gchost.yaml:10: apps[0].backend.process.ready.exec: no-such-check is not in PATH"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

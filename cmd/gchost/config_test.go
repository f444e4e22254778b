package main

import (
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// update says whether golden files are rewritten.
func update() bool { return flag.Lookup("update").Value.String() == "true" }

func testMachine() Machine { return Machine{Hostname: "box.example.com", Home: "/home/me"} }

// load reads a configuration whose file has the text; "" is none.
func load(t *testing.T, text string, environ []string, flags map[string]string) (Config, Origins, error) {
	t.Helper()
	o := Options{Environ: environ, Flags: flags, Machine: testMachine()}
	if text != "" {
		o.File = filepath.Join(t.TempDir(), "gchost.yaml")
		if err := os.WriteFile(o.File, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(o)
}

// scene is one case of an archive: the text of its files by name.
type scene map[string]string

func readScenes(t *testing.T, file string) (*txtar.Archive, map[string]scene) {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]scene{}
	for _, f := range a.Files {
		name, part, _ := strings.Cut(f.Name, "/")
		if out[name] == nil {
			out[name] = scene{}
		}
		out[name][part] = string(f.Data)
	}
	return a, out
}

// Every mistake is refused, and the message says where it is and how to mend it.
func TestBadConfig(t *testing.T) {
	const file = "testdata/bad.txtar"
	a, scenes := readScenes(t, file)
	if len(scenes) < 40 {
		t.Fatalf("%d cases", len(scenes))
	}
	for name, s := range sorted(scenes) {
		t.Run(name, func(t *testing.T) {
			flags := map[string]string{}
			for line := range strings.Lines(s["flags"]) {
				k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
				flags[k] = v
			}
			_, _, err := load(t, s["file.yaml"], strings.Fields(s["env"]), flags)
			var faults Faults
			if !errors.As(err, &faults) {
				t.Fatalf("got %v, want faults", err)
			}
			got := withoutFolder(err.Error()) + "\n"
			for _, secret := range []string{"hunter2", "123456789"} {
				if strings.Contains(got, secret) {
					t.Errorf("%q shows the secret %q", got, secret)
				}
			}
			if got != s["want"] && !update() {
				t.Errorf("got\n%s\nwant\n%s", got, s["want"])
			}
			s["want"] = got
		})
	}
	if update() {
		rewrite(t, file, a, scenes)
	}
}

// withoutFolder takes the folder of a test's file out of a text.
func withoutFolder(s string) string {
	words := strings.SplitAfter(s, " ")
	for i, w := range words {
		for {
			at := strings.Index(w, os.TempDir())
			if at < 0 {
				break
			}
			end := strings.Index(w[at:], "gchost.yaml")
			if end < 0 {
				break
			}
			w = w[:at] + w[at+end:]
		}
		words[i] = w
	}
	return strings.Join(words, "")
}

func rewrite(t *testing.T, file string, a *txtar.Archive, scenes map[string]scene) {
	t.Helper()
	out := &txtar.Archive{Comment: a.Comment}
	var done []string
	for _, f := range a.Files {
		name, _, _ := strings.Cut(f.Name, "/")
		if slices.Contains(done, name) {
			continue
		}
		done = append(done, name)
		s := scenes[name]
		for _, part := range slices.Sorted(maps.Keys(s)) {
			if part != "want" {
				out.Files = append(out.Files, txtar.File{Name: name + "/" + part, Data: []byte(s[part])})
			}
		}
		out.Files = append(out.Files, txtar.File{Name: name + "/want", Data: []byte(s["want"])})
	}
	if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
		t.Fatal(err)
	}
}

package manifest

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

const full = `
name: webhook            # a comment
version: 1.2.0-rc.1
contract: hook
runtime: wasm
abi: 1
description: |
  Tells a web server of every change.
file: webhook.wasm
digest: sha256:00000000000000000000000000000000000000000000000000000000000000ff
size: 1MiB
capabilities:
  - log
  - http:POST *
  - kv.read:webhook.
  - secret:webhook-token
limits: {memory: 64MiB, call: 1m30s, host_calls: 10, log: 4096, guests: 2, output: 1KiB, input: 2KiB}
events: [active, passive]
config_schema:
  type: object
  required: [url]
  additionalProperties: false
  properties:
    url: {$ref: "#/$defs/url"}
    tries: {type: integer, minimum: 1, maximum: 10, default: 1.0}
    ratio: {type: number}
    day: {type: string}
  $defs:
    url: {type: string, pattern: "^https://"}
config:
  tries: 3
  ratio: 2.50
  day: 2026-01-02
`

func parse(t *testing.T, text string) Manifest {
	t.Helper()
	m, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestParse(t *testing.T) {
	m := parse(t, full)
	want := Manifest{
		Name: "webhook", Version: "1.2.0-rc.1", Contract: "hook", Runtime: WASM, ABI: 1,
		Description: "Tells a web server of every change.\n", File: "webhook.wasm", Digest: Digest{31: 0xff}, Size: 1 << 20,
		Limits: plugin.Limits{Memory: 64 << 20, Call: 90 * time.Second, HostCalls: 10, Log: 4096, Guests: 2, Output: 1024, Input: 2048},
		Events: []pluginapi.HookKind{pluginapi.HookActive, pluginapi.HookPassive},
	}
	want.Capabilities, _ = capability.ParseSet([]string{"log", "http:POST *", "kv.read:webhook.", "secret:webhook-token"})
	want.ConfigSchema, want.Default = m.ConfigSchema, m.Default
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got  %+v\nwant %+v", m, want)
	}
	if got := string(m.Default); got != `{"day":"2026-01-02","ratio":2.5,"tries":3}` {
		t.Errorf("config %s", got)
	}
	if !m.Sealed() {
		t.Error("not sealed")
	}
}

// The canonical form of a good manifest is these bytes, in this version and in
// all to come: signatures are over them.
func TestCanonicalStays(t *testing.T) {
	const want = `{"name":"webhook","version":"1.2.0-rc.1","contract":"hook","runtime":"wasm","abi":1,` +
		`"description":"Tells a web server of every change.\n","file":"webhook.wasm",` +
		`"digest":"sha256:00000000000000000000000000000000000000000000000000000000000000ff","size":1048576,` +
		`"capabilities":["log","http:POST *","kv.read:webhook.","secret:webhook-token"],` +
		`"limits":{"memory":67108864,"call":"1m30s","output":1024,"input":2048,"host_calls":10,"log":4096,"guests":2},` +
		`"events":["active","passive"],` +
		`"config_schema":{"$defs":{"url":{"pattern":"^https://","type":"string"}},"additionalProperties":false,` +
		`"properties":{"day":{"type":"string"},"ratio":{"type":"number"},"tries":{"default":1,"maximum":10,"minimum":1,"type":"integer"},` +
		`"url":{"$ref":"#/$defs/url"}},"required":["url"],"type":"object"},` +
		`"config":{"day":"2026-01-02","ratio":2.5,"tries":3}}`
	m := parse(t, full)
	if got := string(m.Canonical()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if again := parse(t, want); !reflect.DeepEqual(again, m) {
		t.Errorf("read again %+v\nwant %+v", again, m)
	}
}

// Every mistake is told, with its line, its key and how to mend it.
func TestMistakes(t *testing.T) {
	const file = "testdata/mistakes.txtar"
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	update := os.Getenv("UPDATE") != ""
	for i := 0; i+1 < len(a.Files); i += 2 {
		text, want := a.Files[i], a.Files[i+1]
		_, err := Parse(text.Data)
		if err == nil {
			t.Errorf("%s: no mistake found", text.Name)
			continue
		}
		if !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%s: %v is no ErrInvalid", text.Name, err)
		}
		if got := err.Error() + "\n"; got != string(want.Data) && !update {
			t.Errorf("%s: got\n%s\nwant\n%s", text.Name, got, want.Data)
		} else {
			a.Files[i+1].Data = []byte(got)
		}
	}
	if update {
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// What is large, deep or clever is refused, and does not take long.
func TestHostileManifests(t *testing.T) {
	const head = "name: a\nversion: 1.0.0\ncontract: hook\nruntime: wasm\nabi: 1\nfile: a.wasm\n"
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [x,x]\n")
	for i := range 40 {
		n := string(rune('0'+i/10)) + string(rune('0'+i%10))
		bomb.WriteString("b" + n + ": &b" + n + " [*a0,*a0]\n")
	}
	var doubling strings.Builder
	doubling.WriteString("config_schema:\n  $ref: '#/$defs/d0'\n  $defs:\n")
	for i := range 30 {
		doubling.WriteString(strings.NewReplacer("A", itoa(i), "B", itoa(i+1)).Replace("    dA: {allOf: [{$ref: '#/$defs/dB'}, {$ref: '#/$defs/dB'}]}\n"))
	}
	doubling.WriteString("    d30: {type: object}\n")
	for name, text := range map[string]string{
		"aliases":       bomb.String(),
		"merge key":     head + "limits: {<<: {memory: 1MiB}}",
		"long":          head + "description: " + strings.Repeat("x", MaxManifest),
		"deep":          head + "config: " + strings.Repeat("{a: ", 100) + "1" + strings.Repeat("}", 100),
		"very deep":     head + "config: " + strings.Repeat("[", 100_000),
		"deep blocks":   head + "config:\n" + deepBlocks(400),
		"wide":          head + "config: {a: [" + strings.Repeat("1,", 100_000) + "1]}",
		"doubling refs": head + doubling.String(),
		"recursion":     head + "config_schema: {$ref: '#/$defs/a', $defs: {a: {allOf: [{$ref: '#/$defs/a'}]}}}",
		"other file":    head + "config_schema: {$ref: 'file:///etc/passwd'}",
		"web":           head + "config_schema: {$ref: 'http://127.0.0.1/x'}",
		"other id":      head + "config_schema: {$id: 'http://127.0.0.1/x'}",
		"meta schema":   head + "config_schema: {$schema: 'http://127.0.0.1/x'}",
		"dynamic":       head + "config_schema: {$dynamicRef: '#x'}",
		"bad pattern":   head + "config_schema: {properties: {a: {pattern: '(a'}}}",
		"wide pattern":  head + "config_schema: {properties: {a: {pattern: '((a{1000}){1000}){1000}'}}}",
		"long pattern":  head + "config_schema: {properties: {a: {pattern: '" + strings.Repeat("a", 600) + "'}}}",
		"huge number":   head + "config_schema: {maximum: 1e1000000000}",
		"not a number":  head + "config: {a: .nan}",
		"nul":           "name: \"a\\0b\"",
		"not UTF-8":     "name: \xff\xfe",
		"binary":        "\x00asm\x01\x00\x00\x00",
		"tag":           head + "config: {a: !!binary aGk=}",
		"empty":         "",
		"blank":         "\n\n",
		"null":          "~",
		"list":          "[]",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse([]byte(text)); !errors.Is(err, pluginapi.ErrInvalid) {
				t.Errorf("got %v", err)
			} else if len(err.Error()) > 20_000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func itoa(i int) string { return string(rune('0'+i/10)) + string(rune('0'+i%10)) }

func deepBlocks(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i+1) + "a:\n")
	}
	return b.String()
}

func TestCheckConfig(t *testing.T) {
	m := parse(t, full)
	for config, want := range map[string]string{
		`{"url":"https://a"}`:                      "",
		`{"url":"https://a","tries":2}`:            "",
		`{"url":"https://a","tries":2.0}`:          "",
		`{"tries":3}`:                              "url",
		`{"url":"http://a","tries":11,"more":1}`:   "tries",
		`{"url":"https://a","url":"https://b"}`:    "twice",
		`{"url":"https://a"} {}`:                   "behind",
		`{"url":"https://a"`:                       "too early",
		`{"url":"https://a","ratio":1e1000000000}`: "too large",
		`[]`:                                 "no JSON object",
		`null`:                               "no JSON object",
		``:                                   "too early",
		`{"url":` + strings.Repeat("[", 200): "deep",
		`{"url":"` + strings.Repeat("x", 70_000) + `"}`: "too large",
	} {
		err := m.CheckConfig([]byte(config))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.60s: got %v, want %q", config, err, want)
		}
		if err != nil && !errors.Is(err, pluginapi.ErrInvalid) && !errors.Is(err, pluginapi.ErrTooLarge) {
			t.Errorf("%.60s: %v has no sentinel", config, err)
		}
	}
	none := parse(t, strings.Split(full, "config_schema")[0])
	if err := none.CheckConfig([]byte(`{"x":1}`)); err != nil {
		t.Errorf("without a schema: %v", err)
	}
}

// The default config holds where the operator gives nothing, key by key.
func TestConfig(t *testing.T) {
	m := parse(t, full)
	got, err := m.Config([]byte(`{"url":"https://a","tries":5}`))
	if want := `{"day":"2026-01-02","ratio":2.5,"tries":5,"url":"https://a"}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if _, err := m.Config(nil); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("without the url that the schema wants: %v", err)
	}
}

func TestCheckPlatform(t *testing.T) {
	m := Manifest{Name: "a", Runtime: Binary, OS: "linux", Arch: "arm64"}
	if err := m.CheckPlatform("linux", "arm64"); err != nil {
		t.Error(err)
	}
	if err := m.CheckPlatform("linux", "amd64"); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("another architecture: %v", err)
	}
	if err := (Manifest{Runtime: WASM}).CheckPlatform("plan9", "mips"); err != nil {
		t.Error(err)
	}
}

// Parse never panics; what it accepts has a canonical form that means the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	a, err := txtar.ParseFile("testdata/mistakes.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, x := range a.Files {
		f.Add(x.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			if !errors.Is(err, pluginapi.ErrInvalid) {
				t.Fatalf("%v is no ErrInvalid", err)
			}
			return
		}
		again, err := Parse(m.Canonical())
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("canonical form %s: %v\n%+v\n%+v", m.Canonical(), err, m, again)
		}
	})
}

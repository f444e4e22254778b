package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

type answer struct {
	OK    json.RawMessage
	Error *struct{ Code, Message string }
}

func serve(t testing.TB, h control.Handler, verb string, data []byte) answer {
	t.Helper()
	raw := control.Serve(t.Context(), h, verb, data)
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		t.Fatalf("Serve(%q) answered %q: %v", verb, raw, err)
	}
	if (a.OK == nil) == (a.Error == nil) {
		t.Fatalf("Serve(%q) answered %q: want ok or error, and not both", verb, raw)
	}
	return a
}

// Whatever is refused is refused with the sentinel of a user's mistake, and the
// handler never hears of it.
func TestServeRefuses(t *testing.T) {
	for _, tt := range []struct{ name, verb, data, want string }{
		{"unknown verb", "reboot", `{}`, `unknown verb "reboot"`},
		{"no verb", "", `{}`, `unknown verb ""`},
		{"garbage", "status", "\x00\xff{", "read request"},
		{"a list", "status", `[]`, "read request"},
		{"unknown field", "status", `{"force":true}`, `unknown field "force"`},
		{"two documents", "status", `{}{}`, "something behind the document"},
		{"oversized", "status", `{"args":"` + strings.Repeat("x", control.MaxRequest) + `"}`, "the longest allowed is 65536"},
		{"negative wait", "status", `{"timeout_ms":-1}`, "timeout_ms is -1"},
		{"args where none belong", "nodes", `{"args":{"node":"n1"}}`, "nodes takes no arguments"},
		{"no args", "cordon", `{}`, "no arguments"},
		{"no args at all", "label", ``, "no arguments"},
		{"unknown arg", "cordon", `{"args":{"node":"n1","on":true,"drain":true}}`, `unknown field "drain"`},
		{"node with a dot", "cordon", `{"args":{"node":"n1.x","on":true}}`, `'.' at byte 2`},
		{"no node", "cordon", `{"args":{"on":true}}`, "node name is empty"},
		{"no app", "stepdown", `{"args":{}}`, "app name is empty"},
		{"app with a wildcard", "stepdown", `{"args":{"app":">"}}`, `'>' at byte 0`},
		{"snapshots of nothing", "snapshot", `{"args":{"do":"list"}}`, "app name is empty"},
		{"no such deed", "snapshot", `{"args":{"app":"web","do":"eat"}}`, "cannot be done"},
		{"no id", "snapshot", `{"args":{"app":"web","do":"delete"}}`, "give one that the list shows"},
		{"long id", "snapshot", `{"args":{"app":"web","do":"verify","id":"` + strings.Repeat("x", 200) + `"}}`, "give one that the list shows"},
		{"negative part", "snapshot", `{"args":{"app":"web","do":"parts","id":"s1","from":-1}}`, "digest -1"},
		{"no digest", "snapshot", `{"args":{"app":"web","do":"chunk","digest":"../../x"}}`, "no SHA-256"},
		{"no label", "label", `{"args":{"node":"n1"}}`, "no label to set or to remove"},
		{"label for a bad node", "label", `{"args":{"node":"*","set":{"a":"b"}}}`, `'*' at byte 0`},
		{"bad label key", "label", `{"args":{"node":"n1","set":{"-a":"b"}}}`, `'-' at byte 0`},
		{"bad label value", "label", `{"args":{"node":"n1","set":{"a":"b\u001b[2J"}}}`, "unprintable character"},
		{"bad removal", "label", `{"args":{"node":"n1","remove":["a="]}}`, `'=' at byte 1`},
		{"set and remove", "label", `{"args":{"node":"n1","set":{"a":"b"},"remove":["a"]}}`, "label a is to be set and removed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &host{}
			a := serve(t, h, tt.verb, []byte(tt.data))
			if a.Error == nil {
				t.Fatalf("answered ok %s", a.OK)
			}
			if a.Error.Code != string(pluginapi.ErrInvalid) || !strings.Contains(a.Error.Message, tt.want) {
				t.Errorf("code %q, message %q: want %q, %q", a.Error.Code, a.Error.Message, pluginapi.ErrInvalid, tt.want)
			}
			if len(h.calls) > 0 {
				t.Errorf("the handler was called: %q", h.calls)
			}
		})
	}
}

func TestServeTooManyLabels(t *testing.T) {
	set := map[string]string{}
	for i := range control.MaxLabels + 1 {
		set[fmt.Sprint("k", i)] = "v"
	}
	if err := control.CheckLabels(set); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("65 labels: %v", err)
	}
	delete(set, "k0")
	if err := control.CheckLabels(set); err != nil {
		t.Errorf("64 labels: %v", err)
	}
	set["k1"] = strings.Repeat("v", control.MaxLabelValue+1)
	if err := control.CheckLabels(set); err == nil || !strings.Contains(err.Error(), "label k1 has 256 bytes") {
		t.Errorf("long value: %v", err)
	}
}

func TestServeBoundsItsAnswer(t *testing.T) {
	h := &host{status: control.Status{Version: strings.Repeat("x", control.MaxAnswer)}}
	if a := serve(t, h, "status", nil); a.Error == nil || a.Error.Code != control.CodeInternal || !strings.Contains(a.Error.Message, "longest allowed") {
		t.Errorf("oversized answer: %+v", a.Error)
	}
	h = &host{err: errors.New(strings.Repeat("ä", control.MaxAnswer))}
	if raw := control.Serve(t.Context(), h, "status", nil); len(raw) > 16<<10 {
		t.Errorf("answer with a long error has %d bytes", len(raw))
	}
}

func TestServePanic(t *testing.T) {
	a := serve(t, &host{panics: true}, "apps", nil)
	if a.Error == nil || a.Error.Code != control.CodeInternal || !strings.Contains(a.Error.Message, "panic: ouch") {
		t.Errorf("answer %+v", a.Error)
	}
}

// deadlines is a handler that looks at its context only.
type deadlines struct {
	host
	left time.Duration
}

func (d *deadlines) Status(ctx context.Context) (control.Status, error) {
	until, _ := ctx.Deadline()
	d.left = time.Until(until)
	return control.Status{}, nil
}

// The handler works as long as the asker waits, but has an end in any case.
func TestServeDeadline(t *testing.T) {
	for data, want := range map[string]time.Duration{
		``:                                   30 * time.Second,
		`{"timeout_ms":7000}`:                7 * time.Second,
		`{"timeout_ms":9223372036854775807}`: 5 * time.Minute,
	} {
		d := &deadlines{}
		serve(t, d, "status", []byte(data))
		if d.left > want || d.left < want-5*time.Second {
			t.Errorf("request %q: the handler has %v, want %v", data, d.left, want)
		}
	}
}

func FuzzServe(f *testing.F) {
	f.Add("status", []byte(`{}`))
	f.Add("label", []byte(`{"args":{"node":"n1","set":{"a":"b"},"remove":["c"]}}`))
	f.Add("cordon", []byte(`{"args":{"node":"n1","on":true}}`))
	f.Add("stepdown", []byte(`{"timeout_ms":5,"args":{"app":"web"}}`))
	f.Add("\xff", []byte("{\"args\":null}"))
	f.Fuzz(func(t *testing.T, verb string, data []byte) {
		h := &checking{t: t}
		serve(t, h, verb, data)
	})
}

// checking is a handler that holds Serve to its promise: arguments are checked.
type checking struct {
	host
	t *testing.T
}

func (c *checking) Cordon(_ context.Context, node string, _ bool) error { return c.name("node", node) }

func (c *checking) StepDown(_ context.Context, app string) (control.StepDownResult, error) {
	return control.StepDownResult{}, c.name("app", app)
}

func (c *checking) Label(_ context.Context, node string, set map[string]string, remove []string) (map[string]string, error) {
	if err := control.CheckLabels(set); err != nil {
		c.t.Errorf("handler got %v", err)
	}
	for _, k := range remove {
		if err := control.CheckLabelKey(k); err != nil {
			c.t.Errorf("handler got %v", err)
		}
	}
	return set, c.name("node", node)
}

func (c *checking) name(kind, name string) error {
	if err := pluginapi.CheckName(kind, name); err != nil {
		c.t.Errorf("handler got %v", err)
	}
	return nil
}

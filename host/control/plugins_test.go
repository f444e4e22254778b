package control_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// pluginHost is a host with plugins, which takes uploads.
type pluginHost struct {
	*host
	got    map[string][]byte
	asked  []string
	list   []control.Plugin
	failed error
}

func newPluginHost() *pluginHost { return &pluginHost{host: &host{}, got: map[string][]byte{}} }

func (h *pluginHost) Plugins(context.Context) ([]control.Plugin, error) { return h.list, nil }

func (h *pluginHost) BeginPlugin(_ context.Context, size int64) (control.PluginUpload, error) {
	return control.PluginUpload{Node: "n1", ID: fmt.Sprint(size)}, nil
}

func (h *pluginHost) PluginPiece(_ context.Context, id string, offset int64, data []byte) error {
	if int(offset) != len(h.got[id]) {
		return fmt.Errorf("%w: a piece at %d, %d bytes are here", pluginapi.ErrInvalid, offset, len(h.got[id]))
	}
	h.got[id] = append(h.got[id], data...)
	return nil
}

func (h *pluginHost) InstallPlugin(_ context.Context, id string, upgrade bool) (control.Plugin, error) {
	h.asked = append(h.asked, fmt.Sprint("install ", id, upgrade))
	return control.Plugin{Name: "greet"}, h.failed
}

func (h *pluginHost) ChangePlugin(_ context.Context, name, change string) (control.Plugin, error) {
	h.asked = append(h.asked, change+" "+name)
	return control.Plugin{Name: name}, h.failed
}

func (h *pluginHost) VerifyPlugin(_ context.Context, name string) ([]control.PluginCheck, error) {
	h.asked = append(h.asked, "verify "+name)
	return []control.PluginCheck{{Node: "n1", OK: true}}, h.failed
}

func (h *pluginHost) PluginLogs(_ context.Context, name string) ([]control.PluginLine, error) {
	h.asked = append(h.asked, "logs "+name)
	return []control.PluginLine{{Node: "n1", Text: "x"}}, h.failed
}

// Request implements control.Requester.
func (h *pluginHost) Request(ctx context.Context, _, verb string, data []byte) ([]byte, error) {
	return control.Serve(ctx, h, verb, data), nil
}

// What is refused never reaches the handler.
func TestServeRefusesPlugins(t *testing.T) {
	big := base64.StdEncoding.EncodeToString(make([]byte, control.MaxPiece+8<<10))
	for _, tt := range []struct{ verb, data, want string }{
		{"plugins", `{"args":{}}`, "takes no arguments"},
		{"pluginbegin", `{}`, "no arguments"},
		{"pluginpiece", `{"args":{"id":"x","offset":0,"data":"` + big + `"}}`, "the longest allowed is"},
		{"pluginpiece", `{"args":{"id":"x","offset":0,"data":"!"}}`, "read request"},
		{"plugininstall", `{"args":{"id":"x","force":true}}`, "unknown field"},
		{"plugininstall", `{"args":"` + strings.Repeat("x", control.MaxRequest) + `"}`, "the longest allowed is 65536"},
		{"pluginchange", `{"args":{"name":"a.b","change":"remove"}}`, `'.' at byte 1`},
		{"pluginchange", `{"args":{"name":"greet","change":"explode"}}`, "there are rollback, remove, enable, disable"},
		{"pluginverify", `{"args":{"name":">"}}`, `'>' at byte 0`},
		{"pluginlogs", `{"args":{}}`, "plugin name is empty"},
	} {
		h := newPluginHost()
		a := serve(t, h, tt.verb, []byte(tt.data))
		if a.Error == nil || a.Error.Code != string(pluginapi.ErrInvalid) || !strings.Contains(a.Error.Message, tt.want) {
			t.Errorf("%s: %+v, want %q", tt.verb, a.Error, tt.want)
		}
		if len(h.asked)+len(h.got) > 0 {
			t.Errorf("%s: the handler heard %v", tt.verb, h.asked)
		}
	}
	for _, verb := range control.PluginVerbs() {
		if a := serve(t, &host{}, verb, nil); a.Error == nil || !strings.Contains(a.Error.Message, "no plugins") {
			t.Errorf("%s of a host without plugins: %+v", verb, a)
		}
		if slices.Contains(control.Verbs(), verb) {
			t.Errorf("%s is asked of hosts without plugins", verb)
		}
	}
}

// A package arrives as it was, in pieces that fit into a message.
func TestPluginUpload(t *testing.T) {
	h := newPluginHost()
	c := control.NewClient(h)
	pkg := make([]byte, 2*control.MaxPiece+17)
	if _, err := rand.NewChaCha8([32]byte{}).Read(pkg); err != nil {
		t.Fatal(err)
	}
	p, err := c.InstallPlugin(t.Context(), iotest.HalfReader(bytes.NewReader(pkg)), int64(len(pkg)), true)
	if err != nil || p.Name != "greet" || p.Nodes == nil {
		t.Fatalf("%+v, %v", p, err)
	}
	if got := h.got[fmt.Sprint(len(pkg))]; !bytes.Equal(got, pkg) {
		t.Errorf("%d bytes have arrived of %d", len(got), len(pkg))
	}
	if _, err := c.InstallPlugin(t.Context(), iotest.ErrReader(errors.New("disk")), 5, false); err == nil || !strings.Contains(err.Error(), "disk") {
		t.Error(err)
	}
	h.failed = fmt.Errorf("not trusted: %w", pluginapi.ErrUnauthorized)
	if _, err := c.InstallPlugin(t.Context(), strings.NewReader("x"), 1, false); !errors.Is(err, pluginapi.ErrUnauthorized) {
		t.Error(err)
	}
}

// Nodes that have a plugin are asked, and one that does not answer is named.
func TestPluginNodes(t *testing.T) {
	h := newPluginHost()
	c := control.NewClient(h)
	h.list = []control.Plugin{{Name: "zeta"}, {Name: "greet", Nodes: []control.PluginNode{{Node: "n1"}, {Node: "n2"}}}}
	if list, err := c.Plugins(t.Context()); err != nil || list[0].Name != "greet" || list[1].Nodes == nil || list[0].Nodes[0].Versions == nil {
		t.Errorf("%+v, %v", list, err)
	}
	if checks, err := c.VerifyPlugin(t.Context(), "greet"); err != nil || len(checks) != 2 || !checks[1].OK {
		t.Errorf("%+v, %v", checks, err)
	}
	if lines, missing, err := c.PluginLogs(t.Context(), "greet"); err != nil || len(lines) != 2 || len(missing) != 0 {
		t.Errorf("%+v, %v, %v", lines, missing, err)
	}
	h.failed = pluginapi.ErrShuttingDown
	if checks, err := c.VerifyPlugin(t.Context(), "greet"); err != nil || len(checks) != 2 || checks[0].OK || checks[0].Reason == "" {
		t.Errorf("%+v, %v", checks, err)
	}
	if _, missing, err := c.PluginLogs(t.Context(), "greet"); err != nil || len(missing) != 2 {
		t.Errorf("%v, %v", missing, err)
	}
	if _, err := c.Plugin(t.Context(), "none"); !errors.Is(err, pluginapi.ErrPluginNotFound) || !strings.Contains(err.Error(), "greet, zeta") {
		t.Error(err)
	}
	if _, err := c.ChangePlugin(t.Context(), "greet", "explode"); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Error(err)
	}
}

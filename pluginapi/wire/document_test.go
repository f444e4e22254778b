package wire_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// TestTheDocumentIsWhole: docs/plugin-abi.md has every message with its fields,
// every operation, and every code.
func TestTheDocumentIsWhole(t *testing.T) {
	b, err := os.ReadFile("../../docs/plugin-abi.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	list := compiled(t).Messages()
	lines := 0
	for i := range list.Len() {
		line := notation(list.Get(i))
		if !strings.Contains(page, "\n"+line+"\n") {
			t.Errorf("the page has no line\n%s", line)
		}
		lines++
	}
	_, block, _ := strings.Cut(page, "## 3. Messages\n\n```\n")
	block, _, _ = strings.Cut(block, "\n```")
	if n := strings.Count(block, "\n") + 1; n != lines {
		t.Errorf("the page has %d messages, plugin.proto %d", n, lines)
	}
	for _, s := range pluginapi.Sentinels() {
		if !strings.Contains(page, "`"+string(s)+"`") {
			t.Errorf("the page has no code %q", s)
		}
	}
	for _, op := range []string{
		wire.OpDescribe, wire.OpConfigure, wire.OpCandidates, wire.OpRank, wire.OpEvent, wire.OpBind, wire.OpStart, wire.OpStop, wire.OpStatus,
		wire.HostKVGet, wire.HostKVPut, wire.HostKVDelete, wire.HostKVKeys, wire.HostPublish, wire.HostCall, wire.HostHTTP,
		wire.HostExec, wire.HostSecret, wire.HostClock, wire.HostRandom,
	} {
		if !strings.Contains(page, "\n| `"+op+"` |") {
			t.Errorf("the page has no operation %s", op)
		}
	}
	for _, k := range pluginapi.HookKinds() {
		if !strings.Contains(page, "`"+string(k)+"`") {
			t.Errorf("the page has no kind of event %s", k)
		}
	}
}

// notation is a message as the page writes it.
func notation(d protoreflect.MessageDescriptor) string {
	var fields []string
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		kind := f.Kind().String()
		if f.Message() != nil {
			kind = string(f.Message().Name())
		}
		if f.IsList() {
			kind += "*"
		}
		fields = append(fields, fmt.Sprintf("%d %s %s", f.Number(), kind, f.Name()))
	}
	return string(d.Name()) + ": " + strings.Join(fields, ", ")
}

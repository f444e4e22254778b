package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// TestDecodeRefuses names the flaw and the place for each way to be wrong.
func TestDecodeRefuses(t *testing.T) {
	long := bytes.Repeat([]byte{0xff}, 10)
	for _, c := range []struct {
		name string
		b    string
		want wire.DecodeError
	}{
		{"cut tag", "\x80", wire.DecodeError{At: 0, Flaw: wire.Truncated}},
		{"cut length", "\x0a", wire.DecodeError{At: 1, Flaw: wire.Truncated}},
		{"length past the end", "\x0a\x05abc", wire.DecodeError{At: 1, Flaw: wire.Truncated}},
		{"length of 2^64-1", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", wire.DecodeError{At: 1, Flaw: wire.Truncated}},
		{"cut fixed64 of a foreign field", "\x79abc", wire.DecodeError{At: 1, Flaw: wire.Truncated}},
		{"cut fixed32 of a foreign field", "\x7dabc", wire.DecodeError{At: 1, Flaw: wire.Truncated}},
		{"long varint", "\x18" + string(long), wire.DecodeError{At: 1, Flaw: wire.LongVarint}},
		{"field 0", "\x02\x00", wire.DecodeError{At: 0, Flaw: wire.BadTag}},
		{"field 2^29", "\x80\x80\x80\x80\x10\x00", wire.DecodeError{At: 0, Flaw: wire.BadTag}},
		{"group", "\x0a\x00\x0b", wire.DecodeError{At: 2, Flaw: wire.BadTag}},
		{"wire type 7", "\x0f", wire.DecodeError{At: 0, Flaw: wire.BadTag}},
		{"not UTF-8", "\x0a\x02a\xff", wire.DecodeError{At: 2, Flaw: wire.NotUTF8}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m wire.Error
			err := m.Decode([]byte(c.b))
			var de *wire.DecodeError
			if !errors.As(err, &de) || *de != c.want || !errors.Is(err, pluginapi.ErrPluginProtocol) {
				t.Errorf("error %v, want %v", err, &c.want)
			}
		})
	}
}

// TestSubmessageKeepsItsBounds: what is inside of a submessage cannot reach the
// bytes behind it.
func TestSubmessageKeepsItsBounds(t *testing.T) {
	// A fence of 4 bytes whose kind says that it has 3 bytes; only 2 are left.
	in := []byte("\x0a\x04\x0a\x03ab" + "\x0a\x00")
	var m wire.Fences
	if err := m.Decode(in); err == nil {
		t.Errorf("decoded %+v", m)
	}
}

// TestAppendMendsText: a reader that insists on UTF-8 can read what we write.
func TestAppendMendsText(t *testing.T) {
	in := wire.Error{Code: "x", Text: "open \xff\xfe: gone"}
	var out wire.Error
	if err := out.Decode(in.Append(nil)); err != nil || out.Text != "open \ufffd: gone" {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestBytesDoNotRunIntoTheirNeighbours: who appends to a decoded field does not
// change the message.
func TestBytesDoNotRunIntoTheirNeighbours(t *testing.T) {
	b := (&wire.ExecResult{Stdout: []byte("out"), Stderr: []byte("err")}).Append(nil)
	before := string(b)
	var m wire.ExecResult
	if err := m.Decode(b); err != nil {
		t.Fatal(err)
	}
	_ = append(m.Stdout, "and more"...)
	if string(b) != before || string(m.Stderr) != "err" {
		t.Errorf("the message is %q now, stderr %q", b, m.Stderr)
	}
}

// table makes n candidates with 4 labels and 3 apps each.
func table(n int) *wire.Candidates {
	m := &wire.Candidates{Epoch: 7}
	for i := range n {
		m.Upserts = append(m.Upserts, pluginapi.Candidate{
			Node: fmt.Sprintf("node-%04d", i),
			Labels: []pluginapi.Label{
				{Key: "arch", Value: "amd64"}, {Key: "disk", Value: "nvme"},
				{Key: "rack", Value: fmt.Sprint("r", i%20)}, {Key: "zone", Value: fmt.Sprint("eu-", i%3)},
			},
			Apps:  []string{"api", "db", "web"},
			Leads: int64(i % 5), Cores: 8000, Memory: 32 << 30, Load: 1500, MemFree: 9 << 30,
			Joined: 1_750_000_000_000 + int64(i), Healthy: true, Cordoned: i%10 == 0,
		})
	}
	return m
}

// TestSteadyStateDoesNotAllocate: into used memory a message is decoded, and
// encoded, without any allocation.
func TestSteadyStateDoesNotAllocate(t *testing.T) {
	scores := make([]int64, 1000)
	for i := range scores {
		scores[i] = int64(i*7919) - 100_000
	}
	app := pluginapi.AppSpec{Name: "db", Mode: "singleton", Requires: []pluginapi.Label{{Key: "disk", Value: "nvme"}}, CPU: 500}
	event := pluginapi.HookEvent{
		ID: "1", Kind: pluginapi.HookOwn, App: "db", Partitions: []int64{1, 2, 300},
		Member: &pluginapi.Member{NodeID: "a", Apps: []string{"db"}},
	}
	for name, m := range map[string]message{
		"Candidates":   table(100),
		"Rank":         &wire.Rank{Epoch: 7, Apps: []pluginapi.AppSpec{app, app}},
		"Ranking":      &wire.Ranking{Scores: scores},
		"HookEvent":    &wire.Event{HookEvent: event},
		"Description":  &wire.Description{Contract: wire.ContractHook, Events: []string{"own", "release"}},
		"Error":        &wire.Error{Code: "busy", Text: strings.Repeat("x", 300), Retry: true},
		"Status":       &wire.Status{Status: "running", UptimeMS: 1 << 40},
		"Fences":       &wire.Fences{Fences: []pluginapi.Fence{{Kind: "env", Name: "A=b"}}},
		"HTTPResponse": &wire.HTTPResponse{Status: 200, Headers: []wire.Header{{Name: "A", Value: "b"}}, Body: []byte("x")},
		"Keys":         &wire.Keys{Keys: []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := m.Append(nil)
			into, buf := messages()[name](), make([]byte, 0, 2*len(b))
			if err := into.Decode(b); err != nil {
				t.Fatal(err)
			}
			if n := testing.AllocsPerRun(100, func() { _ = into.Decode(b) }); n != 0 {
				t.Errorf("Decode: %v allocations", n)
			}
			if n := testing.AllocsPerRun(100, func() { buf = m.Append(buf[:0]) }); n != 0 {
				t.Errorf("Append: %v allocations", n)
			}
		})
	}
}

package guard

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

func mustEncode(t testing.TB, m message) []byte {
	t.Helper()
	b, err := encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func frame(body string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// However the bytes are cut on their way, the same messages come out.
func TestMessagesSurviveAnyCut(t *testing.T) {
	want := []message{
		{Kind: kindHello, Version: version, Init: &Init{Platform: "p", Node: "n", HostPID: 7, Store: []byte(`{"a":1}`)}},
		{Kind: kindFences, ID: 3, Fences: []pluginapi.Fence{{Kind: pluginapi.FenceEnv, Name: "GCHOST_INSTANCE=p.n.a"}}},
		{Kind: kindLease, Lease: &Lease{Node: "n", Inc: 1, Seq: 2, TTL: time.Second, Margin: 1, Deadline: 9}},
		{Kind: kindReleased},
	}
	var stream []byte
	for _, m := range want {
		stream = append(stream, mustEncode(t, m)...)
	}
	for _, step := range []int{1, 3, 7, len(stream)} {
		var d decoder
		var again []byte
		for i := 0; i < len(stream); i += step {
			d.feed(stream[i:min(i+step, len(stream))])
			for {
				m, ok, err := d.next()
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				again = append(again, mustEncode(t, m)...)
			}
		}
		if !bytes.Equal(again, stream) {
			t.Fatalf("cut into pieces of %d bytes the messages are %q, want %q", step, again, stream)
		}
	}
}

func TestDecoderRefuses(t *testing.T) {
	for name, in := range map[string][]byte{
		"too long":      binary.BigEndian.AppendUint32(nil, maxFrame+1),
		"much too long": {0xff, 0xff, 0xff, 0xff},
		"not json":      frame("hello"),
		"empty":         frame(""),
		"wrong type":    frame(`{"kind":7}`),
	} {
		var d decoder
		d.feed(in)
		if m, ok, err := d.next(); err == nil {
			t.Errorf("%s: got %+v, %v and no error", name, m, ok)
		}
	}
}

func TestEncodeRefusesWhatTheOtherEndWould(t *testing.T) {
	long := message{Kind: kindFences, Fences: []pluginapi.Fence{{Name: strings.Repeat("x", maxFrame)}}}
	if _, err := encode(long); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Fatalf("got %v, want ErrInvalid", err)
	}
	b := mustEncode(t, message{Kind: kindAck, Error: strings.Repeat("x", maxFrame)})
	if len(b) > 4096 {
		t.Fatalf("a reply has %d bytes: more than a pipe takes in one piece", len(b))
	}
}

// No bytes can make the decoder panic, keep more than one message of memory, or
// give a message that is not in them.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte{}, 1)
	f.Add(frame(`{"kind":"lease","lease":{"inc":1}}`), 2)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1}, 3)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		if step <= 0 {
			step = 1
		}
		var d decoder
		for len(in) > 0 {
			n := min(step, len(in))
			d.feed(in[:n])
			in = in[n:]
			for {
				m, ok, err := d.next()
				if err != nil {
					return
				}
				if !ok {
					break
				}
				if _, err := encode(m); err != nil && !errors.Is(err, pluginapi.ErrInvalid) {
					t.Fatal(err)
				}
			}
			if len(d.buf) > maxFrame+4+n {
				t.Fatalf("decoder keeps %d bytes", len(d.buf))
			}
		}
	})
}

func TestLeaseAndInitAreChecked(t *testing.T) {
	good := Lease{Node: "n", Inc: 1, TTL: time.Second, Margin: time.Millisecond, Deadline: 5}
	if err := good.check("n"); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Lease){
		"other node":        func(l *Lease) { l.Node = "m" },
		"no incarnation":    func(l *Lease) { l.Inc = 0 },
		"no ttl":            func(l *Lease) { l.TTL = 0 },
		"ttl of a day":      func(l *Lease) { l.TTL = 24 * time.Hour },
		"negative margin":   func(l *Lease) { l.Margin = -1 },
		"margin of the ttl": func(l *Lease) { l.Margin = l.TTL },
		"negative deadline": func(l *Lease) { l.Deadline = -1 },
	} {
		l := good
		change(&l)
		if err := l.check("n"); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	for name, i := range map[string]Init{
		"no platform": {Node: "n", HostPID: 1}, "no node": {Platform: "p", HostPID: 1},
		"no pid": {Platform: "p", Node: "n"}, "a group": {Platform: "p", Node: "n", HostPID: -5},
	} {
		if err := i.check(); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

// A deadline is never later than one TTL from now, whatever the host says.
func TestDeadlineIsBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	l := Lease{TTL: 3 * time.Second, Margin: time.Second}
	for deadline, want := range map[int64]int64{
		0: 0, 1: 1, int64(1002 * time.Second): int64(1001 * time.Second), int64(5000 * time.Second): int64(1002 * time.Second),
	} {
		l.Deadline = deadline
		if got := l.actAt(now); got != want {
			t.Errorf("deadline %d: acts at %d, want %d", deadline, got, want)
		}
	}
}

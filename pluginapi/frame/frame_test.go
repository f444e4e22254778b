package frame

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestFrameRoundTrip(t *testing.T) {
	for _, f := range []Frame{
		{Kind: Call, Op: "start", Body: []byte{1, 2, 3}, Timeout: 1500 * time.Millisecond},
		{Kind: Answer},
		{Kind: Failure, Body: bytes.Repeat([]byte("x"), 1<<20)},
		{Kind: Ask, Op: strings.Repeat("o", MaxOp), Body: []byte{0}},
		{Kind: Refusal, Body: []byte{}},
	} {
		b := f.Append([]byte("before"))[len("before"):]
		var got Frame
		if err := got.Decode(b); err != nil {
			t.Fatal(err)
		}
		if len(f.Body) == 0 {
			f.Body = nil
		}
		if !reflect.DeepEqual(got, f) {
			t.Errorf("got %v, want %v", got, f)
		}
		if len(b) > len(f.Body)+Overhead {
			t.Errorf("a body of %d bytes became %d: more than Overhead", len(f.Body), len(b))
		}
	}
}

// The bytes are protobuf's, as google's own package writes and reads them.
func TestFrameIsProtobuf(t *testing.T) {
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1)
	b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), "rank")
	b = protowire.AppendVarint(protowire.AppendTag(b, 4, protowire.VarintType), 250)
	b = protowire.AppendBytes(protowire.AppendTag(b, 3, protowire.BytesType), []byte("body"))
	want := Frame{Kind: Call, Op: "rank", Body: []byte("body"), Timeout: 250 * time.Millisecond}
	if got := want.Append(nil); !bytes.Equal(got, b) {
		t.Errorf("encoded %x, protobuf writes %x", got, b)
	}
	for _, unknown := range [][]byte{
		protowire.AppendVarint(protowire.AppendTag(nil, 9, protowire.VarintType), 7),
		protowire.AppendFixed32(protowire.AppendTag(nil, 9, protowire.Fixed32Type), 7),
		protowire.AppendFixed64(protowire.AppendTag(nil, 1000, protowire.Fixed64Type), 7),
		protowire.AppendString(protowire.AppendTag(nil, 9, protowire.BytesType), "later"),
	} {
		var got Frame
		if err := got.Decode(append(unknown, b...)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("with an unknown field: %v, %v", got, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	whole := (&Frame{Kind: Call, Op: "start", Body: []byte("body")}).Append(nil)
	long := Frame{Kind: Call, Op: strings.Repeat("o", MaxOp+1)}
	for name, b := range map[string][]byte{
		"nothing":            nil,
		"no kind":            {0x1a, 1, 'x'},
		"kind 0":             {0x08, 0},
		"kind 7":             {0x08, 7},
		"field 0":            {0x00, 0},
		"a group":            {0x08, 1, 0x0b},
		"kind as bytes":      {0x0a, 1, 1},
		"op as a number":     {0x08, 1, 0x10, 1},
		"a huge length":      {0x08, 1, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
		"an endless number":  bytes.Repeat([]byte{0x88}, 20),
		"a long operation":   long.Append(nil),
		"a truncated fixed8": {0x08, 1, 0x49, 1, 2, 3},
		"a truncated body":   whole[:len(whole)-1],
	} {
		var f Frame
		if err := f.Decode(b); err == nil {
			t.Errorf("%s: decoded as %v", name, f)
		}
	}
}

func TestTimeoutIsBounded(t *testing.T) {
	b := protowire.AppendVarint([]byte{0x08, 1, 4 << 3}, 1<<63)
	var f Frame
	if err := f.Decode(b); err != nil || f.Timeout != 24*time.Hour {
		t.Errorf("got %v, %v", f.Timeout, err)
	}
}

// What gRPC hands out is the caller's own.
func TestCodecCopies(t *testing.T) {
	b := (&Frame{Kind: Answer, Body: []byte("body")}).Append(nil)
	var f Frame
	if err := (Codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, &f); err != nil {
		t.Fatal(err)
	}
	clear(b)
	if string(f.Body) != "body" {
		t.Errorf("the body is %q after gRPC has used its memory again", f.Body)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add((&Frame{Kind: Call, Op: "start", Body: []byte("body"), Timeout: time.Second}).Append(nil))
	f.Add([]byte{0x08, 1, 0x1a, 0xff, 0xff, 0x03})
	f.Fuzz(func(t *testing.T, b []byte) {
		var one, two Frame
		if one.Decode(b) != nil {
			return
		}
		if err := two.Decode(one.Append(nil)); err != nil {
			t.Fatal(err)
		}
		if len(one.Body) == 0 {
			one.Body = nil
		}
		if !reflect.DeepEqual(one, two) {
			t.Errorf("%v became %v", one, two)
		}
	})
}

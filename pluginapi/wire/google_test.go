package wire_test

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// compiled is plugin.proto as google protobuf reads it.
func compiled(tb testing.TB) protoreflect.FileDescriptor {
	tb.Helper()
	c := protocompile.Compiler{Resolver: &protocompile.SourceResolver{}}
	files, err := c.Compile(tb.Context(), "plugin.proto")
	if err != nil {
		tb.Fatal(err)
	}
	return files[0]
}

// toGoogle makes a google message of a struct. A field is found by its name,
// so that a wrong number in the code, or in the file, is seen.
func toGoogle(tb testing.TB, d protoreflect.MessageDescriptor, v reflect.Value) *dynamicpb.Message {
	tb.Helper()
	out := dynamicpb.NewMessage(d)
	if n := d.Fields().Len(); n != v.NumField() {
		tb.Fatalf("%s has %d fields, %s has %d", d.Name(), n, v.Type(), v.NumField())
	}
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		name := strings.ReplaceAll(string(fd.Name()), "_", "")
		f := v.FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, name) })
		if !f.IsValid() {
			tb.Fatalf("%s has no field for %s", v.Type(), fd.FullName())
		}
		switch {
		case f.Kind() == reflect.Map:
			list := out.Mutable(fd).List()
			for _, k := range slices.Sorted(maps.Keys(f.Interface().(map[string]string))) {
				l := pluginapi.Label{Key: k, Value: f.MapIndex(reflect.ValueOf(k)).String()}
				list.Append(protoreflect.ValueOfMessage(toGoogle(tb, fd.Message(), reflect.ValueOf(l))))
			}
		case fd.IsList():
			list := out.Mutable(fd).List()
			for i := range f.Len() {
				list.Append(googleValue(tb, fd, f.Index(i)))
			}
		case fd.Message() != nil && f.IsNil():
		default:
			out.Set(fd, googleValue(tb, fd, f))
		}
	}
	return out
}

func googleValue(tb testing.TB, fd protoreflect.FieldDescriptor, f reflect.Value) protoreflect.Value {
	tb.Helper()
	if t, ok := f.Interface().(time.Time); ok {
		if t.IsZero() {
			return protoreflect.ValueOfInt64(0)
		}
		return protoreflect.ValueOfInt64(t.UnixMilli())
	}
	if fd.Message() != nil {
		return protoreflect.ValueOfMessage(toGoogle(tb, fd.Message(), reflect.Indirect(f)))
	}
	switch f.Kind() {
	case reflect.String:
		return protoreflect.ValueOfString(f.String())
	case reflect.Slice:
		return protoreflect.ValueOfBytes(f.Bytes())
	default:
		return protoreflect.ValueOf(f.Interface())
	}
}

// TestAgainstGoogle: what we write google reads, and writes the same bytes; what
// google writes we read.
func TestAgainstGoogle(t *testing.T) {
	file := compiled(t)
	for name, fresh := range messages() {
		t.Run(name, func(t *testing.T) {
			d := file.Messages().ByName(protoreflect.Name(name))
			if d == nil {
				t.Fatalf("plugin.proto has no message %s", name)
			}
			r := rand.New(rand.NewPCG(1, 2))
			again := fresh()
			for range 500 {
				m := randomMessage(r, fresh)
				want := toGoogle(t, d, structOf(m))
				ours := m.Append([]byte("before"))[len("before"):]
				theirs, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(ours, theirs) {
					t.Fatalf("%+v\nours   %x\ngoogle %x", m, ours, theirs)
				}
				got := fresh()
				if err := got.Decode(theirs); err != nil {
					t.Fatalf("decode %x: %v", theirs, err)
				}
				if !reflect.DeepEqual(got, m) {
					t.Fatalf("decoded\n%+v\nwant\n%+v", got, m)
				}
				if err := again.Decode(theirs); err != nil || !bytes.Equal(again.Append(nil), ours) {
					t.Fatalf("decode over old values: %+v, %v, want %+v", again, err, m)
				}
			}
		})
	}
}

// TestEveryMessageIsDocumented: plugin.proto has no message but ours and those
// that ours are made of.
func TestEveryMessageIsDocumented(t *testing.T) {
	parts := []string{"Label", "Candidate", "AppSpec", "Member", "Fence", "Header"}
	all := append(parts, slices.Collect(maps.Keys(messages()))...)
	list := compiled(t).Messages()
	for i := range list.Len() {
		if name := string(list.Get(i).Name()); !slices.Contains(all, name) {
			t.Errorf("plugin.proto: %s is no message of this package", name)
		}
	}
	if list.Len() != len(all) {
		t.Errorf("plugin.proto has %d messages, want %d", list.Len(), len(all))
	}
}

// TestStrangeBytesAgainstGoogle: foreign fields, fields twice, wrong wire types,
// cut and flipped bytes: both take it for the same, or both refuse it.
func TestStrangeBytesAgainstGoogle(t *testing.T) {
	file := compiled(t)
	for name, fresh := range messages() {
		t.Run(name, func(t *testing.T) {
			d := file.Messages().ByName(protoreflect.Name(name))
			r := rand.New(rand.NewPCG(3, 4))
			refused := 0
			for range 2000 {
				b := strange(r, fresh)
				if !agree(t, d, fresh, b) {
					refused++
				}
			}
			if refused < 100 || refused > 1900 {
				t.Errorf("%d of 2000 were refused: the bytes are not strange enough, or too strange", refused)
			}
		})
	}
}

// strange makes bytes of several messages and foreign fields, and damages half.
func strange(r *rand.Rand, fresh func() message) (b []byte) {
	for range 1 + r.IntN(3) {
		b = randomMessage(r, fresh).Append(b)
		b = foreign(r, b)
	}
	if r.IntN(2) == 0 && len(b) > 0 {
		switch r.IntN(3) {
		case 0:
			b = b[:r.IntN(len(b))]
		case 1:
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		case 2:
			at := r.IntN(len(b))
			b = slices.Insert(b, at, byte(r.IntN(256)))
		}
	}
	return b
}

// foreign appends a field that no message has, or one of a wrong wire type.
func foreign(r *rand.Rand, b []byte) []byte {
	num := protowire.Number(1 + r.IntN(20))
	if r.IntN(2) == 0 {
		num = protowire.Number(1+r.IntN(1<<29-1)) >> r.IntN(29)
	}
	num = max(num, 1)
	switch r.IntN(4) {
	case 0:
		return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), r.Uint64()>>r.IntN(64))
	case 1:
		return protowire.AppendFixed32(protowire.AppendTag(b, num, protowire.Fixed32Type), r.Uint32())
	case 2:
		return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), r.Uint64())
	default:
		return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), []byte(randomText(r)))
	}
}

// agree decodes with both and compares; it says whether they took it. Ours may
// refuse groups, which google skips.
func agree(tb testing.TB, d protoreflect.MessageDescriptor, fresh func() message, b []byte) bool {
	tb.Helper()
	m := fresh()
	ours := m.Decode(b)
	want := dynamicpb.NewMessage(d)
	theirs := proto.Unmarshal(b, want)
	if ours != nil {
		var de *wire.DecodeError
		if !errors.As(ours, &de) || de.At < 0 || de.At > len(b) || !errors.Is(ours, pluginapi.ErrPluginProtocol) {
			tb.Fatalf("error %#v", ours)
		}
		group := de.Flaw == wire.BadTag && (b[de.At]&7 == 3 || b[de.At]&7 == 4)
		if theirs == nil && !group {
			tb.Fatalf("%x: ours says %v, google takes it", b, ours)
		}
		return false
	}
	if theirs != nil {
		tb.Fatalf("%x: google says %v, ours takes it for %+v", b, theirs, m)
	}
	want.SetUnknown(nil)
	checkSame(tb, d, m, want, b)
	return true
}

// checkSame compares by the fields that both know: google keeps unknown fields
// of submessages, and a list of labels is a map for us.
func checkSame(tb testing.TB, d protoreflect.MessageDescriptor, m message, want *dynamicpb.Message, b []byte) {
	tb.Helper()
	got := toGoogle(tb, d, structOf(m))
	normalize(want)
	if !proto.Equal(got, want) {
		tb.Fatalf("%x\nours   %v\ngoogle %v", b, got, want)
	}
}

// normalize drops unknown fields, and makes the labels of a member a map: sorted,
// the last one of a key.
func normalize(m protoreflect.Message) {
	m.SetUnknown(nil)
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsList() && fd.Message() != nil:
			for i := range v.List().Len() {
				normalize(v.List().Get(i).Message())
			}
			if fd.Parent().Name() == "Member" {
				asMap(v.List(), fd.Message())
			}
		case fd.Message() != nil:
			normalize(v.Message())
		}
		return true
	})
}

func asMap(list protoreflect.List, label protoreflect.MessageDescriptor) {
	key, value := label.Fields().ByName("key"), label.Fields().ByName("value")
	last := map[string]string{}
	for i := range list.Len() {
		l := list.Get(i).Message()
		last[l.Get(key).String()] = l.Get(value).String()
	}
	list.Truncate(0)
	for _, k := range slices.Sorted(maps.Keys(last)) {
		l := dynamicpb.NewMessage(label)
		if k != "" {
			l.Set(key, protoreflect.ValueOfString(k))
		}
		if last[k] != "" {
			l.Set(value, protoreflect.ValueOfString(last[k]))
		}
		list.Append(protoreflect.ValueOfMessage(l))
	}
}

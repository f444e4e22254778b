package wire_test

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

func FuzzError(f *testing.F)        { fuzz(f, "Error") }
func FuzzDescription(f *testing.F)  { fuzz(f, "Description") }
func FuzzConfigure(f *testing.F)    { fuzz(f, "Configure") }
func FuzzCandidates(f *testing.F)   { fuzz(f, "Candidates") }
func FuzzRank(f *testing.F)         { fuzz(f, "Rank") }
func FuzzRanking(f *testing.F)      { fuzz(f, "Ranking") }
func FuzzHookEvent(f *testing.F)    { fuzz(f, "HookEvent") }
func FuzzBind(f *testing.F)         { fuzz(f, "Bind") }
func FuzzFences(f *testing.F)       { fuzz(f, "Fences") }
func FuzzStart(f *testing.F)        { fuzz(f, "Start") }
func FuzzStop(f *testing.F)         { fuzz(f, "Stop") }
func FuzzStatus(f *testing.F)       { fuzz(f, "Status") }
func FuzzKey(f *testing.F)          { fuzz(f, "Key") }
func FuzzKeyValue(f *testing.F)     { fuzz(f, "KeyValue") }
func FuzzValue(f *testing.F)        { fuzz(f, "Value") }
func FuzzKeys(f *testing.F)         { fuzz(f, "Keys") }
func FuzzPublish(f *testing.F)      { fuzz(f, "Publish") }
func FuzzCall(f *testing.F)         { fuzz(f, "Call") }
func FuzzHTTPRequest(f *testing.F)  { fuzz(f, "HTTPRequest") }
func FuzzHTTPResponse(f *testing.F) { fuzz(f, "HTTPResponse") }
func FuzzExecRequest(f *testing.F)  { fuzz(f, "ExecRequest") }
func FuzzExecResult(f *testing.F)   { fuzz(f, "ExecResult") }
func FuzzClock(f *testing.F)        { fuzz(f, "Clock") }
func FuzzRandom(f *testing.F)       { fuzz(f, "Random") }

// fuzz: a decoder never panics, agrees with google protobuf, and decodes again
// what Append makes of what it decoded, into a new message and into a used one.
func fuzz(f *testing.F, name string) {
	d := compiled(f).Messages().ByName(protoreflect.Name(name))
	fresh := messages()[name]
	r := rand.New(rand.NewPCG(5, 6))
	used := randomMessage(r, fresh).Append(nil)
	for range 8 {
		f.Add(strange(r, fresh))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !agree(t, d, fresh, b) {
			return
		}
		m, again, over := fresh(), fresh(), fresh()
		if err := m.Decode(b); err != nil {
			t.Fatal(err)
		}
		bytes := m.Append(nil)
		if err := again.Decode(bytes); err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%x: %+v, %v, want %+v", bytes, again, err, m)
		}
		if err := over.Decode(used); err != nil {
			t.Fatal(err)
		}
		if err := over.Decode(b); err != nil || string(over.Append(nil)) != string(bytes) {
			t.Fatalf("%x into a used message: %+v, %v, want %+v", b, over, err, m)
		}
	})
}

package sdk_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
	"github.com/ozanturksever/go-cluster/sdk-wasm/sdktest"
	"github.com/ozanturksever/go-cluster/sdk-wasm/testdata/sample"
)

func emptiest() *sdk.Guest {
	return sdk.Score(sdk.About{Name: "emptiest", Version: "1.0.0"}, func(app *sdk.App, n *sdk.Candidate) int64 {
		if n.Cordoned || !n.Healthy {
			return sdk.Unfit
		}
		return n.MemFree
	})
}

// Example is a whole test of a policy.
func Example() {
	h := sdktest.New(nil, emptiest())
	scores, err := h.Rank(sdk.App{Name: "db"},
		sdk.Candidate{Node: "a", Healthy: true, MemFree: 5},
		sdk.Candidate{Node: "b", Healthy: true, MemFree: 7},
		sdk.Candidate{Node: "c", MemFree: 9})
	fmt.Println(scores, err)
	// Output: [5 7 -1] <nil>
}

// world is a host in which everything is granted.
func world(t *testing.T, plugin *sdk.Guest) *sdktest.Host {
	h := sdktest.New(t, plugin)
	h.Secrets["token"] = "s3cret"
	h.RPC = func(c wire.Call) ([]byte, error) {
		return []byte(fmt.Sprint(c.App, ".", c.Method, "(", string(c.Data), ") in ", c.Timeout)), nil
	}
	h.HTTP = func(r sdk.Request) (sdk.Response, error) {
		return sdk.Response{Status: 200, Body: []byte(r.Method + " " + r.URL + r.Headers[0].Value)}, nil
	}
	h.Exec = func(sdk.Command) (sdk.Result, error) {
		return sdk.Result{}, sdk.Retry(pluginapi.ErrBusy)
	}
	return h
}

// told is what a hook of package sample says that its host has answered.
func told(t *testing.T, h *sdktest.Host) string {
	t.Helper()
	err := h.Event(sdk.Event{ID: "1", Kind: sdk.Active, App: sample.AppHost})
	var m *wire.Error
	if !errors.As(err, &m) || m.Code != "host" {
		t.Fatalf("the event's error is %v", err)
	}
	return strings.TrimPrefix(m.Text, "host: ")
}

// TestCapabilities: what is asked of the host arrives there, and the answer here.
func TestCapabilities(t *testing.T) {
	h := world(t, sample.Hook())
	if err := h.Configure(`{"url": "http://it"}`); err != nil {
		t.Fatal(err)
	}
	const want = "put= put2= get=one none=not there keys=a/1,a/2 delete= publish= rpc=app.method(question) in 3000 " +
		"http=200GET http://ity exec=failure busy, may be tried again secret=s3cret now=1893456000000 random=4 " +
		"too much=failure invalid argument who=test,n1,,1"
	if got := told(t, h); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(h.KV) != 1 || len(h.Published) != 1 || h.Published[0].Subject != "subject" || string(h.Published[0].Data) != "data" {
		t.Errorf("%v, %v", h.KV, h.Published)
	}
	lines := []sdktest.Line{
		{Level: sdk.LevelDebug, Text: "quiet"},
		{Level: sdk.LevelInfo, Text: `done notes=15 odd="two words \"and\" more\n"`},
		{Level: sdk.LevelWarn, Text: `warned empty=""`},
		{Level: sdk.LevelError, Text: "wrong"},
	}
	if !slices.Equal(h.Log, lines) {
		t.Errorf("the log is %q", h.Log)
	}
}

// TestNothingGranted: each refusal can be told from other errors.
func TestNothingGranted(t *testing.T) {
	h := sdktest.New(t, sample.Hook())
	h.Denied = []string{
		wire.HostKVGet, wire.HostKVPut, wire.HostKVDelete, wire.HostKVKeys, wire.HostPublish,
		wire.HostSecret, wire.HostClock, wire.HostRandom,
	}
	got := told(t, h)
	if n := strings.Count(got, "=not granted"); n != 14 {
		t.Errorf("%d refusals in %s", n, got)
	}
}

// TestConfigureFaults: the plugin's own no, and what the SDK finds by itself.
func TestConfigureFaults(t *testing.T) {
	h := sdktest.New(t, sample.Hook())
	for json, want := range map[string]error{
		``: nil, `{}`: nil, `{"url": null}`: nil, `{"most": 101}`: sdk.ErrRejected, `{"url": 1}`: sdk.ErrInvalid, `{"url"`: sdk.ErrInvalid, `[]`: sdk.ErrInvalid,
	} {
		if err := h.Configure(json); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", json, err, want)
		}
	}
}

// TestRankAllocatesNothing: a ranking against the table that is held.
func TestRankAllocatesNothing(t *testing.T) {
	g := emptiest()
	h := sdktest.New(t, g)
	if _, err := h.Rank(sdk.App{Name: "db"}, candidates(100, 1)...); err != nil {
		t.Fatal(err)
	}
	ask := (&wire.Rank{Epoch: 1, Apps: []sdk.App{{Name: "db", Prefers: []sdk.Label{{Key: "zone", Value: "a"}}}}}).Append(nil)
	host := h.Imports()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := g.Do(host, wire.OpRank, ask); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a ranking allocates %v times", n)
	}
}

// TestScoresBeginAtZero: what a policy leaves out is 0, whatever was there before.
func TestScoresBeginAtZero(t *testing.T) {
	h := sdktest.New(t, sdk.Policy(sdk.About{Name: "some", Version: "1"}, func(_ *sdk.Call, app *sdk.App, _ *sdk.Table, scores []int64) error {
		if app.Name == "all" {
			scores[0], scores[1] = 7, 8
		}
		return nil
	}))
	for app, want := range map[string]int64{"all": 8, "none": 0} {
		for range 2 {
			got, err := h.Rank(sdk.App{Name: app}, candidates(2, 1)...)
			if err != nil || got[1] != want {
				t.Errorf("%s: %v, %v", app, got, err)
			}
			if _, err := h.Rank(sdk.App{Name: "all"}, candidates(2, 1)...); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestWhatAPluginMayKeep: events, and all that the host has answered.
func TestWhatAPluginMayKeep(t *testing.T) {
	var kept []string
	var value []byte
	var event sdk.Event
	h := sdktest.New(t, sdk.Hook(sdk.About{Name: "keep", Version: "1"}, func(c *sdk.Call, e sdk.Event) (err error) {
		if event.ID == "" {
			event = e
			if kept, err = c.Keys(""); err == nil {
				value, err = c.Get("key")
			}
			return err
		}
		_, err = c.Get("key")
		return err
	}))
	h.KV["key"] = "value"
	for _, id := range []string{"first", "other"} {
		if err := h.Event(sdk.Event{ID: id, Kind: sdk.MemberJoin, Member: &pluginapi.Member{NodeID: id, Labels: map[string]string{id: id}}}); err != nil {
			t.Fatal(err)
		}
	}
	got := fmt.Sprintln(event.ID, event.Member.NodeID, event.Member.Labels, kept, string(value))
	if want := "first first map[first:first] [key] value\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func candidates(n int, seed uint64) (all []sdk.Candidate) {
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range n {
		all = append(all, sdk.Candidate{
			Node: fmt.Sprintf("node-%04d", i), Healthy: true, MemFree: r.Int64N(64 << 30), Leads: r.Int64N(5),
			Labels: []sdk.Label{{Key: "rack", Value: fmt.Sprint(r.IntN(9))}, {Key: "zone", Value: string(rune('a' + r.IntN(3)))}},
		})
	}
	return all
}

// TestTableOfDifferences: the table that a policy sees is the one that was meant,
// and shares no memory with the messages that it came in.
func TestTableOfDifferences(t *testing.T) {
	var seen []sdk.Candidate
	g := sdk.Policy(sdk.About{Name: "see", Version: "1"}, func(_ *sdk.Call, _ *sdk.App, table *sdk.Table, _ []int64) error {
		seen = slices.Clone(table.Candidates)
		return nil
	})
	host := sdktest.New(t, g).Imports()
	do := func(op string, m interface{ Append([]byte) []byte }) error {
		in := m.Append(nil)
		_, err := g.Do(host, op, in)
		for i := range in {
			in[i] = 'X' // whoever still reads it is found out
		}
		return err
	}
	r := rand.New(rand.NewPCG(3, 3))
	want := make(map[string]string)
	for epoch := range uint64(200) {
		m := &wire.Candidates{Base: epoch, Epoch: epoch + 1}
		for _, c := range candidates(40, epoch) {
			switch r.IntN(8) {
			case 0:
				m.Upserts = append(m.Upserts, c)
				want[c.Node] = fmt.Sprint(c)
			case 1:
				m.Removed = append(m.Removed, c.Node) // whether it is there or not
				delete(want, c.Node)
			}
		}
		if epoch > 0 { // the rows of a whole table are in the order that the scores will have
			r.Shuffle(len(m.Upserts), func(i, k int) { m.Upserts[i], m.Upserts[k] = m.Upserts[k], m.Upserts[i] })
		}
		if err := errors.Join(do(wire.OpCandidates, m), do(wire.OpRank, &wire.Rank{Epoch: epoch + 1, Apps: make([]sdk.App, 1)})); err != nil {
			t.Fatal(err)
		}
		if len(seen) != len(want) || !slices.IsSortedFunc(seen, func(a, b sdk.Candidate) int { return strings.Compare(a.Node, b.Node) }) {
			t.Fatalf("epoch %d: %v", epoch, seen)
		}
		for _, c := range seen {
			if fmt.Sprint(c) != want[c.Node] {
				t.Fatalf("epoch %d: %v, want %s", epoch, c, want[c.Node])
			}
		}
	}
	for op, m := range map[string]interface{ Append([]byte) []byte }{
		wire.OpCandidates: &wire.Candidates{Base: 199, Epoch: 300}, wire.OpRank: &wire.Rank{Epoch: 199},
	} {
		if err := do(op, m); !errors.Is(err, pluginapi.ErrStale) {
			t.Errorf("%s of an epoch that is not held: %v", op, err)
		}
	}
}

// TestBackend: through the host of tests.
func TestBackend(t *testing.T) {
	h := sdktest.New(t, sample.Backend())
	state := func() string {
		s, err := h.Status()
		return fmt.Sprintf("%s %q %v", s.Status, s.Failed, err)
	}
	before, start, running := state(), h.Start(14), state()
	stop, after := h.Stop(time.Second), state()
	got := fmt.Sprintf("%s, %v, %s, %v, %s", before, start, running, stop, after)
	if got != `stopped "" <nil>, <nil>, unhealthy "worn out" <nil>, <nil>, stopped "" <nil>` {
		t.Error(got)
	}
	if err := h.Start(13); !errors.Is(err, pluginapi.ErrFenced) {
		t.Errorf("a start in a fenced epoch: %v", err)
	}
	if d := h.Describe(); d.Contract != wire.ContractBackend || d.Name != "toy" {
		t.Errorf("%+v", d)
	}
}

// FuzzDo: whatever the bytes are, they are an answer or an error.
func FuzzDo(f *testing.F) {
	f.Add([]byte("a"), (&wire.Candidates{Base: 1, Epoch: 2, Upserts: candidates(3, 1), Removed: []string{"x", "node-0001"}}).Append(nil))
	f.Add([]byte{}, (&wire.Rank{Epoch: 1, Apps: make([]sdk.App, 2)}).Append(nil))
	f.Add([]byte{0x18, 1}, (&wire.Configure{Config: []byte(`{"url": [1, {}]}`)}).Append(nil))
	f.Add([]byte{}, (&wire.Event{HookEvent: sdk.Event{App: sample.AppHost}}).Append(nil))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		for _, fresh := range []func() *sdk.Guest{sample.Policy, sample.Hook, sample.Backend} {
			h := sdktest.New(t, fresh())
			whole := (&wire.Candidates{Epoch: 1, Upserts: candidates(5, 1)}).Append(nil)
			for _, op := range []string{
				wire.OpDescribe, wire.OpConfigure, wire.OpCandidates, wire.OpRank, wire.OpEvent,
				wire.OpBind, wire.OpStart, wire.OpStop, wire.OpStatus,
			} {
				for _, in := range [][]byte{first, whole, second} {
					if out, err := h.Do(op, in); err != nil && out != nil {
						t.Errorf("%s: both %q and %v", op, out, err)
					}
				}
			}
		}
	})
}

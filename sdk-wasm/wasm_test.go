package sdk_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest/reference"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
	"github.com/ozanturksever/go-cluster/sdk-wasm/sdktest"
	"github.com/ozanturksever/go-cluster/sdk-wasm/testdata/sample"
)

// module builds a guest of testdata with the standard compiler, or takes it from
// the folder SDK_GUESTS, where another compiler has put it.
func module(t testing.TB, name string) []byte {
	t.Helper()
	if dir := os.Getenv("SDK_GUESTS"); dir != "" {
		mod, err := os.ReadFile(filepath.Join(dir, name+".wasm"))
		if err != nil {
			t.Fatal(err)
		}
		return mod
	}
	out := filepath.Join(t.TempDir(), name+".wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, "./testdata/"+name)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build guest %s: %v\n%s", name, err, text)
	}
	mod, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return mod
}

// runner runs a guest by the letter of the ABI, with little pieces, and without
// the limits that a host must have.
type runner struct {
	guest     api.Module
	host      sdk.Host
	in, reply []byte
	out       []byte
}

func (r *runner) mem(ptr, size uint64) []byte {
	b, ok := r.guest.Memory().Read(uint32(ptr), uint32(size))
	if !ok {
		panic(fmt.Errorf("%d bytes at %d are not the guest's", size, ptr))
	}
	return b
}

// pieces hands out at most 1000 bytes at a time.
func pieces(from *[]byte, to []byte) uint64 {
	n := copy(to[:min(len(to), 1000)], *from)
	*from = (*from)[n:]
	return uint64(n)
}

func (r *runner) hostCall(s []uint64) {
	op, in := string(r.mem(s[0], s[1])), bytes.Clone(r.mem(s[2], s[3]))
	out, err := r.host.Call(op, in)
	s[0] = 0
	if err != nil {
		failure := wire.FailureOf(err)
		out, s[0] = failure.Append(nil), 1<<32
	}
	r.reply = bytes.Clone(out)
	s[0] |= uint64(len(out))
}

// run makes a guest of a module.
func run(t testing.TB, mod []byte, host sdk.Host, c wazero.RuntimeConfig) *runner {
	t.Helper()
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, c)
	t.Cleanup(func() { rt.Close(ctx) })
	r := &runner{host: host}
	i32, i64 := api.ValueTypeI32, api.ValueTypeI64
	b := rt.NewHostModuleBuilder("gchost")
	fn := func(name string, results []api.ValueType, params int, f func(s []uint64)) {
		b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, s []uint64) { f(s) }),
			bytes.Repeat([]byte{i32}, params), results).Export(name)
	}
	fn("input_read", []api.ValueType{i32}, 2, func(s []uint64) { s[0] = pieces(&r.in, r.mem(s[0], s[1])) })
	fn("reply_read", []api.ValueType{i32}, 2, func(s []uint64) { s[0] = pieces(&r.reply, r.mem(s[0], s[1])) })
	fn("output_write", nil, 2, func(s []uint64) { r.out = append(r.out, r.mem(s[0], s[1])...) })
	fn("log", nil, 3, func(s []uint64) { r.host.Log(sdk.Level(int32(s[0])), string(r.mem(s[1], s[2]))) })
	fn("host_call", []api.ValueType{i64}, 4, r.hostCall)
	if _, err := b.Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	wasi_snapshot_preview1.MustInstantiate(ctx, rt)
	guest, err := rt.InstantiateWithConfig(ctx, mod, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		t.Fatal(err)
	}
	r.guest = guest
	return r
}

func (r *runner) do(t testing.TB, op string, in []byte) ([]byte, error) {
	r.in, r.out = in, nil
	code, err := r.guest.ExportedFunction("gc_"+op).Call(context.Background(), uint64(len(in)))
	if err != nil {
		t.Fatalf("%s: %v", op, err)
	}
	if code[0] != 0 {
		return nil, wire.ReadFailure(r.out)
	}
	return r.out, nil
}

type asked struct {
	op string
	in []byte
}

// TestWASMAnswersTheSame: a guest, compiled for WebAssembly, gives the answers
// that the same code gives here, byte for byte, and asks the same of its host.
func TestWASMAnswersTheSame(t *testing.T) {
	message := func(op string, m interface{ Append([]byte) []byte }) asked { return asked{op, m.Append(nil)} }
	rank := func(epoch uint64, apps ...string) asked {
		m := &wire.Rank{Epoch: epoch}
		for _, a := range apps {
			m.Apps = append(m.Apps, sdk.App{Name: a, Prefers: []sdk.Label{{Key: "zone", Value: "a"}}})
		}
		return message(wire.OpRank, m)
	}
	event := func(app string) asked {
		return message(wire.OpEvent, &wire.Event{HookEvent: sdk.Event{ID: "1", Kind: sdk.Active, App: app, Partitions: []int64{1, -1}}})
	}
	for name, test := range map[string]struct {
		fresh func() *sdk.Guest
		asked []asked
	}{
		"policy": {sample.Policy, []asked{
			{wire.OpDescribe, nil}, rank(1, "early"), message(wire.OpConfigure, &wire.Configure{}),
			message(wire.OpCandidates, &wire.Candidates{Epoch: 1, Upserts: candidates(300, 1)}), rank(1, "a", "b"),
			message(wire.OpCandidates, &wire.Candidates{Base: 1, Epoch: 2, Upserts: candidates(20, 2), Removed: []string{"node-0100"}}),
			rank(2, "a"), rank(1, "a"), rank(2, reference.AppVeto), rank(2, reference.AppBusy), rank(2),
			message(wire.OpCandidates, &wire.Candidates{Base: 1, Epoch: 3}), {wire.OpRank, []byte{0xff}}, {wire.OpEvent, nil}, rank(2, "z"),
		}},
		"hook": {sample.Hook, []asked{
			message(wire.OpConfigure, &wire.Configure{Platform: "p", Node: "n", Config: []byte(`{"url":"http://it"}`), Seed: 1<<64 - 1}),
			{wire.OpDescribe, nil}, event("plain"), event(sample.AppHost), event(reference.AppEcho), event(reference.AppTeapot),
			message(wire.OpConfigure, &wire.Configure{Config: []byte(`{"most":101}`)}), {wire.OpStatus, nil}, event("plain"),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := world(t, test.fresh()), world(t, nil)
			r := run(t, module(t, name), there.Imports(), wazero.NewRuntimeConfigInterpreter())
			for i, a := range test.asked {
				want, wantErr := here.Do(a.op, a.in)
				got, err := r.do(t, a.op, bytes.Clone(a.in))
				if !bytes.Equal(got, want) || fmt.Sprintf("%#v", err) != fmt.Sprintf("%#v", wantErr) {
					t.Errorf("%d, %s: got %q, %v\nwant %q, %v", i, a.op, got, err, want, wantErr)
				}
			}
			if got, want := fmt.Sprint(there.KV, there.Published, there.Log), fmt.Sprint(here.KV, here.Published, here.Log); got != want {
				t.Errorf("the host was asked\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// BenchmarkRank ranks 1000 candidates that the guest holds: the policy of package
// reference as it is, through the SDK, and through the SDK in WebAssembly.
func BenchmarkRank(b *testing.B) {
	table := &pluginapi.Table{Epoch: 1, Candidates: candidates(1000, 1)}
	app := sdk.App{Name: "a", Prefers: []sdk.Label{{Key: "zone", Value: "a"}}}
	set := (&wire.Candidates{Epoch: 1, Upserts: table.Candidates}).Append(nil)
	ask := (&wire.Rank{Epoch: 1, Apps: []sdk.App{app}}).Append(nil)
	b.Run("interface", func(b *testing.B) {
		for b.Loop() {
			if _, err := (reference.Policy{}).Rank(b.Context(), app, table); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sdk", func(b *testing.B) {
		g := sample.Policy()
		host := sdktest.New(b, g).Imports()
		for _, a := range []asked{{wire.OpCandidates, set}, {wire.OpRank, ask}} {
			if _, err := g.Do(host, a.op, a.in); err != nil {
				b.Fatal(err)
			}
		}
		for b.Loop() {
			if _, err := g.Do(host, wire.OpRank, ask); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("wasm", func(b *testing.B) {
		r := run(b, module(b, "policy"), sdktest.New(b, nil).Imports(), wazero.NewRuntimeConfig())
		if _, err := r.do(b, wire.OpCandidates, set); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := r.do(b, wire.OpRank, ask); err != nil {
				b.Fatal(err)
			}
		}
	})
}

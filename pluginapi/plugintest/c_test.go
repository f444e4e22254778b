package plugintest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/host/plugin/inproc"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// TestTheDocumentsPolicyInC compiles the C of docs/plugin-abi.md, as a reader of
// that page would, and has it pass the suite: the page is enough to write a
// plugin from, and the ABI is no matter of Go. The host here is as small as the
// page's description of one.
func TestTheDocumentsPolicyInC(t *testing.T) {
	load := loaderOfC(t, "label-score", wire.ContractPlacement, nil)
	suite := plugintest.Policy{Reference: true, New: func(t plugintest.T) pluginapi.Policy {
		return must(adapt.NewPolicy(t.Context(), load(t)))(t)
	}}
	for _, c := range suite.Checks() {
		if c.Name != "failures keep their code" { // the page's policy fails for no app
			t.Run(c.Name, func(t *testing.T) { c.Run(t) })
		}
	}
	plugintest.Operations{Contract: wire.ContractPlacement, New: func(t plugintest.T) plugintest.Caller { return load(t) }}.Run(t)
	t.Run("stale table", func(t *testing.T) {
		i := load(t)
		_, err := i.Call(t.Context(), wire.OpRank, (&wire.Rank{Epoch: 9}).Append(nil))
		_, err2 := i.Call(t.Context(), wire.OpCandidates, (&wire.Candidates{Base: 8, Epoch: 9}).Append(nil))
		if !errors.Is(err, pluginapi.ErrStale) || !errors.Is(err2, pluginapi.ErrStale) {
			t.Errorf("rank: %v; a difference: %v", err, err2)
		}
	})
}

// TestTheDocumentsHookInC: its veto depends on what the host answers.
func TestTheDocumentsHookInC(t *testing.T) {
	var answer []byte
	var refusal error
	asked := ""
	load := loaderOfC(t, "freeze", wire.ContractHook, func(op string, in []byte) ([]byte, error) {
		asked = op + " " + string(in)
		return answer, refusal
	})
	h := must(adapt.NewHook(t.Context(), load(t)))(t)
	handle := func(kind pluginapi.HookKind) error {
		return h.Handle(t.Context(), pluginapi.HookEvent{ID: "1", Kind: kind, App: "db", From: "a", To: "b"})
	}
	refusal = pluginapi.ErrKeyNotFound
	if err := handle(pluginapi.HookMigrationStart); err != nil || asked != "kv.get \n\x06freeze" {
		t.Errorf("nothing is frozen: %v; it asked for %q", err, asked)
	}
	refusal = pluginapi.ErrNotGranted
	if err := handle(pluginapi.HookMigrationStart); !errors.Is(err, pluginapi.ErrNotGranted) {
		t.Errorf("it may not ask: %v", err)
	}
	answer, refusal = (&wire.Value{Value: []byte("yes")}).Append(nil), nil
	if err := handle(pluginapi.HookMigrationStart); !errors.Is(err, pluginapi.ErrRejected) {
		t.Errorf("frozen: %v", err)
	}
	if err := handle(pluginapi.HookActive); err != nil || h.Wants(pluginapi.HookActive) {
		t.Errorf("it wants one kind of event only: %v", err)
	}
	plugintest.Operations{Contract: wire.ContractHook, New: func(t plugintest.T) plugintest.Caller { return load(t) }}.Run(t)
}

// loaderOfC loads a program of the page; host is who it may ask.
func loaderOfC(t *testing.T, program string, contract wire.Contract, host func(op string, in []byte) ([]byte, error)) func(plugintest.T) *inproc.Instance {
	t.Helper()
	module := compileC(t, program)
	cache := wazero.NewCompilationCache()
	t.Cleanup(func() {
		if err := cache.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return func(t plugintest.T) *inproc.Instance {
		fresh := func() inproc.Handler { return moduleOf(t, cache, module, host) }
		return inproc.New(fresh, contract, plugin.Options{Limits: plugin.Limits{Guests: 2, Call: 1 << 40}})
	}
}

// compileC takes the files and the command from the page.
func compileC(t *testing.T, program string) []byte {
	t.Helper()
	page, err := os.ReadFile("../../docs/plugin-abi.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, m := range regexp.MustCompile("(?s)\n`([a-z-]+\\.[ch])`, [^`]*(?:`[^`]*`[^`]*)?\n\n```c\n(.*?\n)```").FindAllSubmatch(page, -1) {
		if err := os.WriteFile(filepath.Join(dir, string(m[1])), m[2], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := regexp.MustCompile("(?m)^    (clang-.*)$").FindSubmatch(page)
	if command == nil {
		t.Fatal("docs/plugin-abi.md has no command")
	}
	words := strings.Fields(strings.ReplaceAll(string(command[1]), "label-score", program))
	if _, err := exec.LookPath(words[0]); err != nil {
		t.Skipf("no compiler of C for WebAssembly: %v", err)
	}
	cc := exec.CommandContext(t.Context(), words[0], append([]string{"-Wall", "-Werror", "-Wno-unused-function"}, words[1:]...)...)
	cc.Dir = dir
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", words, err, out)
	}
	module, err := os.ReadFile(filepath.Join(dir, program+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// moduleOf is one guest of a module, with no more of a host than the page's
// section 1 says.
func moduleOf(t plugintest.T, cache wazero.CompilationCache, module []byte, host func(op string, in []byte) ([]byte, error)) inproc.Handler {
	ctx := context.WithoutCancel(t.Context())
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache))
	t.Cleanup(func() {
		if err := r.Close(ctx); err != nil {
			t.Errorf("%v", err)
		}
	})
	var in, out, reply []byte
	view := func(m api.Module, ptr, n uint32) []byte {
		b, ok := m.Memory().Read(ptr, n)
		if !ok {
			panic(fmt.Sprintf("%d bytes at %#x are outside of the memory", n, ptr))
		}
		return b
	}
	pull := func(from *[]byte) func(context.Context, api.Module, uint32, uint32) uint32 {
		return func(_ context.Context, m api.Module, ptr, n uint32) uint32 {
			n = min(n, uint32(len(*from)))
			copy(view(m, ptr, n), *from)
			*from = (*from)[n:]
			return n
		}
	}
	write := func(_ context.Context, m api.Module, ptr, n uint32) { out = append(out, view(m, ptr, n)...) }
	ask := func(_ context.Context, m api.Module, op, opLen, ptr, n uint32) uint64 {
		answer, err := host(string(view(m, op, opLen)), slices.Clone(view(m, ptr, n)))
		if reply = answer; err == nil {
			return uint64(len(reply))
		}
		failure := wire.FailureOf(err)
		reply = failure.Append(nil)
		return 1<<32 | uint64(len(reply))
	}
	_, err := r.NewHostModuleBuilder("gchost").
		NewFunctionBuilder().WithFunc(pull(&in)).Export("input_read").
		NewFunctionBuilder().WithFunc(pull(&reply)).Export("reply_read").
		NewFunctionBuilder().WithFunc(write).Export("output_write").
		NewFunctionBuilder().WithFunc(ask).Export("host_call").Instantiate(ctx)
	if err != nil {
		t.Errorf("%v", err)
	}
	m, err := r.Instantiate(ctx, module)
	if err != nil || m.ExportedFunction("gchost_abi_v1") == nil || m.Memory() == nil {
		t.Errorf("instantiate: %v, exports %v", err, m)
	}
	return func(ctx context.Context, op string, input []byte) ([]byte, error) {
		fn := m.ExportedFunction("gc_" + op)
		if fn == nil {
			return nil, pluginapi.ErrNoMethod
		}
		in, out = input, nil
		result, err := fn.Call(ctx, uint64(len(input)))
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", pluginapi.ErrPluginCrashed, err)
		case result[0] == 1:
			return nil, wire.ReadFailure(slices.Clone(out))
		case result[0] != 0:
			return nil, fmt.Errorf("%w: it returned %d", pluginapi.ErrPluginProtocol, result[0])
		}
		return out, nil
	}
}
